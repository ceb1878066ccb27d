"""The Job that makes a file of another type: quantize, measure against the parent, judge.

One pod: its init containers are the steps, with llama.cpp's own tools from an image of the platform's choice; the last
container judges and puts the file into its place. Every step leaves what it made in the folder of this work and passes
over what is there, so that a pod that takes over goes on where the last one broke off.
"""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.names import ROLE_QUANTIZE, WEIGHTS_CLAIM
from smallmodel_operator.core.pod import USER_ID, container_security, pod_security
from smallmodel_operator.core.units import MIB, mebibytes
from smallmodel_operator.weights import jobs, source
from smallmodel_operator.weights.recipe import SOURCE_PATH, Made, QuantizedSource, Recipe
from smallmodel_operator.weights.types import WeightsRequest

SECONDS: Final = 12 * 3600
CHUNKS: Final = 24
"""So many pieces of the text are measured; with 512 tokens each, half of them counted."""
CONTEXT: Final = 512
TEXT_PATH: Final = "/etc/smallmodel-text"
TEXT_FILE: Final = "text.txt"
SCRATCH: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
STEPS: Final = {
    "prepare": "looking for room and at what is there",
    "quantize": "quantizing",
    "measure": "measuring it against the parent",
    jobs.CONTAINER: "judging it",
}
"""In their order, and what is said of each."""
TOOLS: Final = ("quantize", "measure")
"""Those that run llama.cpp's tools."""
PATHS: Final = "/app:/opt/llama.cpp:/usr/local/bin:/usr/bin:/bin"
"""Where images have the tools: upstream's in /app, Debian's in /usr/bin."""

# A tool that refuses will refuse again; one that was killed or broke down may do better in another pod.
BEGIN: Final = (
    'cd "$WORK"; if [ -e done ]; then exit 0; fi; '
    'failed() { [ ! -e "$2" ] || tail -n 5 "$2"; [ "$1" -le 128 ] || exit 1; exit 3; }; '
)
_QUANTIZE: Final = (
    BEGIN + "if [ -s made.gguf ]; then exit 0; fi; "
    'llama-quantize "$PARENT" made.part "$TYPE" "$THREADS" || failed $? -; mv made.part made.gguf'
)
# The tool's exit code says little: what it printed is judged, and shown where there is nothing to judge.
_MEASURE: Final = (
    BEGIN + "if [ -s measured.log ]; then exit 0; fi; "
    "if [ ! -s base.kld ]; then "
    'llama-perplexity -m "$PARENT" -f text.txt -c "$CONTEXT" --chunks "$CHUNKS" -t "$THREADS" '
    "--kl-divergence-base base.part >base.log 2>&1 || failed $? base.log; mv base.part base.kld; fi; "
    'llama-perplexity -m made.gguf -c "$CONTEXT" --chunks "$CHUNKS" -t "$THREADS" --kl-divergence-base base.kld '
    "--kl-divergence >measured.part 2>&1 || failed $? measured.part; mv measured.part measured.log"
)


def memory(parent_bytes: int, vocabulary: int) -> int:
    """Bytes the largest step needs: the parent in memory, and the logits of one batch."""
    return parent_bytes + CONTEXT * 4 * vocabulary * 4 + 1024 * MIB


def disk(made_bytes: int, vocabulary: int) -> int:
    """Bytes in the claim while it is made: the result, and the parent's logits."""
    return made_bytes + CHUNKS * CONTEXT // 2 * (vocabulary + 8) * 2


def build(request: WeightsRequest, where: QuantizedSource, attempt: int, claim_uid: str) -> dict[str, Any]:
    """The Job."""
    recipe = where.recipe
    folder = f"{source.MOUNT_PATH}/{where.folder}"
    parent = f"{SOURCE_PATH if where.volume else source.MOUNT_PATH}/{recipe.parent}".rstrip("/")
    environment = {
        "WORK": f"{folder}/{where.work}", "HOME": SCRATCH, "PATH": PATHS, "TYPE": recipe.type,
        "THREADS": str(recipe.threads),
        "CONTEXT": str(min(CONTEXT, recipe.context)), "CHUNKS": str(CHUNKS),
        "PARENT": parent,
    }  # fmt: skip
    ours = ["--folder", folder, "--work", where.work, "--type", recipe.type, "--digest", recipe.digest]
    prepare = ["prepare-weights", *ours, "--parent", parent, "--disk", str(recipe.disk)]
    prepare += ["--text", f"{TEXT_PATH}/{TEXT_FILE}", "--config-map", recipe.text] if recipe.text else []
    judge = ["judge-weights", *ours, "--artifact", where.artifact, "--claim", claim_uid, "--tools", recipe.image]
    for name, number in sorted(recipe.limits.items()):
        judge += [f"--{name.replace('_', '-')}", number]
    volumes, mounts = _with_text(recipe, *volumes_and_mounts(where))
    pod = jobs.pod(request, judge, security(), volumes, mounts)
    own = pod["containers"][0]
    steps = [{**own, "name": "prepare", "args": prepare}]
    for name, script in (("quantize", _QUANTIZE), ("measure", _MEASURE)):
        steps.append(step(name, recipe.image, recipe.memory, script, environment, mounts))
    pod["initContainers"] = steps
    return jobs.job(request, where, ROLE_QUANTIZE, attempt, pod, {"activeDeadlineSeconds": SECONDS})


def step(
    name: str, image: str, memory: int, script: str, environment: Mapping[str, str], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    """A step that runs tools of llama.cpp's. `memory`: bytes it is given."""
    size = mebibytes(memory)
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", script],
        "env": [{"name": key, "value": value.replace("$(", "$$(")} for key, value in environment.items()],
        "resources": {"requests": {"cpu": "500m", "memory": size}, "limits": {"memory": size}},
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def security() -> dict[str, Any]:
    """Of the pod: a new file system belongs to root, and the steps write to it."""
    return {**pod_security(), "fsGroup": USER_ID, "fsGroupChangePolicy": "OnRootMismatch"}


def volumes_and_mounts(where: Made) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The claim, what is read, and room for what tools leave behind."""
    volumes: list[dict[str, Any]] = [
        {"name": source.VOLUME, "persistentVolumeClaim": {"claimName": WEIGHTS_CLAIM}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": source.VOLUME, "mountPath": source.MOUNT_PATH},
        {"name": "tmp", "mountPath": SCRATCH},
    ]
    if where.volume:
        volumes.insert(1, {**where.volume, "name": "source"})
        within = {"subPath": where.inside} if where.inside else {}
        mounts.insert(1, {"name": "source", "mountPath": SOURCE_PATH, "readOnly": True, **within})
    return volumes, mounts


def _with_text(
    recipe: Recipe, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not recipe.text:
        return volumes, mounts
    name, _, key = recipe.text.partition("/")
    # Optional, so that the pod starts without it and says what is missing.
    text = {"name": name, "optional": True, "items": [{"key": key, "path": TEXT_FILE}]}
    mount = {"name": "text", "mountPath": TEXT_PATH, "readOnly": True}
    return [*volumes, {"name": "text", "configMap": text}], [*mounts, mount]
