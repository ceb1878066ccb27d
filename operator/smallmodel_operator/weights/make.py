"""The Job that makes a file of another type: perhaps an importance matrix, quantize, measure against the parent, judge.

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
from smallmodel_operator.weights.recipe import CONTEXT, MATRIX_CHUNKS, SOURCE_PATH, Made, QuantizedSource, Recipe
from smallmodel_operator.weights.types import WeightsRequest

SECONDS: Final = 12 * 3600
CHUNKS: Final = 24
"""So many pieces of the text are measured; with 512 tokens each, half of them counted."""
MATRIX_SECONDS: Final = 4 * 3600
"""As long as an importance matrix may take: 32,768 tokens in that time are two or three a second."""
TEXT_PATH: Final = "/etc/smallmodel-text"
MATRIX_PATH: Final = "/etc/smallmodel-matrix"
TEXT_FILE: Final = "text.txt"
SCRATCH: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
MATRIX: Final = "importance-matrix"
STEPS: Final = {
    "prepare": "looking for room and at what is there",
    MATRIX: "building an importance matrix",
    "quantize": "quantizing",
    "measure": "measuring it against the parent",
    jobs.CONTAINER: "judging it",
}
"""In their order, and what is said of each; a Job without an importance matrix has no step for one."""
TOOLS: Final = (MATRIX, "quantize", "measure")
"""Those that run llama.cpp's tools."""
PATHS: Final = "/app:/opt/llama.cpp:/usr/local/bin:/usr/bin:/bin"
"""Where images have the tools: upstream's in /app, Debian's in /usr/bin."""

# A tool that refuses will refuse again; one that was killed or broke down may do better in another pod.
BEGIN: Final = (
    'cd "$WORK"; if [ -e done ]; then exit 0; fi; '
    'failed() { [ ! -e "$2" ] || tail -n 5 "$2"; [ "$1" -le 128 ] || exit 1; exit 3; }; '
)
# What it prints goes on to the pod's log, where one can watch it count the pieces. The last line is the step's own:
# the tool's may be lost (below), and who reads the condition is to know what to do.
_BUILD: Final = (
    BEGIN + "if [ -s matrix.gguf ]; then exit 0; fi; "
    "if ! command -v llama-imatrix >/dev/null; then "
    'echo "The image has no llama-imatrix. Name one that has it in the '
    "ComputeProfile's spec.quantizer.image or in spec.quantization.image, or leave out "
    'spec.quantization.importanceMatrix"; exit 3; fi; '
    'code=0; timeout "$SECONDS_AT_MOST" llama-imatrix -m "$PARENT" -f matrix.txt -o matrix.part.gguf -c "$CONTEXT" '
    '--chunks "$CHUNKS" -t "$THREADS" 2>&1 || code=$?; '
    'if [ "$code" = 0 ] && [ -s matrix.part.gguf ]; then mv matrix.part.gguf matrix.gguf; exit 0; fi; '
    'if [ "$code" -gt 128 ]; then echo "llama-imatrix was killed"; exit 1; fi; '
    'if [ "$code" = 124 ]; then echo "llama-imatrix took more than $SECONDS_AT_MOST s. Give the model more CPU in '
    'spec.compute.resources, or leave out spec.quantization.importanceMatrix"; exit 3; fi; '
    'echo "llama-imatrix ended with $code and no matrix. It needs a text of at least $((2 * CONTEXT)) tokens. Take '
    'more or other text in spec.quantization.importanceMatrix, or leave it out"; exit 3'
)
QUANTIZE: Final = (
    BEGIN + "if [ -s made.gguf ]; then exit 0; fi; "
    'llama-quantize ${MATRIX:+--imatrix "$MATRIX"} "$PARENT" made.part "$TYPE" "$THREADS" || failed $? -; '
    "mv made.part made.gguf"
)
# The tool's exit code says little: what it printed is judged, and shown where there is nothing to judge. Its last lines
# may be lost: a thread writes what is logged, and since llama.cpp's #22273 (2026-04) nobody waits for it at the end. A
# run that ended well without its last figure is therefore run again at once, up to three times in all.
MEASURE: Final = (
    BEGIN + "if [ -s measured.log ]; then exit 0; fi; "
    'measure() { log="$1" last="$2"; shift 2; for run in 1 2 3; do '
    'llama-perplexity "$@" -c "$CONTEXT" --chunks "$CHUNKS" -t "$THREADS" >"$log" 2>&1 || failed $? "$log"; '
    'case "$(cat "$log")" in *"$last"*) break;; esac; echo "Run $run lost its last lines."; done; }; '
    "if [ ! -s base.kld ]; then "
    'measure base.log "Final estimate: PPL" -m "$PARENT" -f text.txt --kl-divergence-base base.part; '
    "mv base.part base.kld; fi; "
    'measure measured.part "Same top p" -m made.gguf --kl-divergence-base base.kld --kl-divergence; '
    "mv measured.part measured.log"
)


def memory(parent_bytes: int, vocabulary: int) -> int:
    """Bytes the largest step needs: the parent in memory, and the logits of one batch."""
    return parent_bytes + CONTEXT * 4 * vocabulary * 4 + 1024 * MIB


def disk(made_bytes: int, vocabulary: int) -> int:
    """Bytes in the claim while it is made: the result, and the parent's logits."""
    return made_bytes + CHUNKS * CONTEXT // 2 * (vocabulary + 8) * 2


def steps(recipe: Recipe) -> dict[str, str]:
    """Those of this recipe, and what is said of each."""
    return {name: said for name, said in STEPS.items() if name != MATRIX or recipe.matrix}


def build(request: WeightsRequest, where: QuantizedSource, attempt: int, claim_uid: str) -> dict[str, Any]:
    """The Job."""
    recipe = where.recipe
    folder = f"{source.MOUNT_PATH}/{where.folder}"
    parent = lies_at(where, recipe.parent)
    environment = {
        "WORK": f"{folder}/{where.work}", "HOME": SCRATCH, "PATH": PATHS, "TYPE": recipe.type,
        "THREADS": str(recipe.threads),
        "CONTEXT": str(min(CONTEXT, recipe.context)), "CHUNKS": str(CHUNKS),
        "PARENT": parent,
    }  # fmt: skip
    ours = ["--folder", folder, "--work", where.work, "--type", recipe.type, "--digest", recipe.digest]
    prepare = ["prepare-weights", *ours, "--parent", parent, "--disk", str(recipe.disk), *_texts(recipe)]
    judge = ["judge-weights", *ours, "--artifact", where.artifact, "--claim", claim_uid, "--tools", recipe.image]
    judge += ["--parent", recipe.parent]
    judge += ["--matrix-config-map", recipe.matrix.text] if recipe.matrix else []
    for name, number in sorted(recipe.limits.items()):
        judge += [f"--{name.replace('_', '-')}", number]
    volumes, mounts = volumes_and_mounts(where)
    for name, path, text in _text_volumes(recipe):
        volumes.append(text)
        mounts.append({"name": name, "mountPath": path, "readOnly": True})
    pod = jobs.pod(request, judge, security(), volumes, mounts)
    own = pod["containers"][0]
    tools = {"quantize": (QUANTIZE, environment), "measure": (MEASURE, environment)}
    if recipe.matrix:
        bounds = {"CHUNKS": str(MATRIX_CHUNKS), "SECONDS_AT_MOST": str(MATRIX_SECONDS)}
        with_it = {**environment, "MATRIX": "matrix.gguf"}
        tools = {MATRIX: (_BUILD, {**environment, **bounds}), **tools, "quantize": (QUANTIZE, with_it)}
    pod["initContainers"] = [{**own, "name": "prepare", "args": prepare}]
    for name, (script, words) in tools.items():
        pod["initContainers"].append(step(name, recipe.image, recipe.memory, script, words, mounts))
    return jobs.job(request, where, ROLE_QUANTIZE, attempt, pod, {"activeDeadlineSeconds": SECONDS})


def lies_at(where: Made, path: str) -> str:
    """Path in the pod of what something is made of."""
    root = SOURCE_PATH if where.volume else f"{source.MOUNT_PATH}/{where.inside}".rstrip("/")
    return f"{root}/{path}".rstrip("/")


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
        mounts.insert(1, {"name": "source", "mountPath": SOURCE_PATH, "readOnly": True})
    return volumes, mounts


def _texts(recipe: Recipe) -> list[str]:
    """Where the first step finds them, and what they are called."""
    words = ["--text", f"{TEXT_PATH}/{TEXT_FILE}", "--config-map", recipe.text] if recipe.text else []
    if recipe.matrix:
        words += ["--matrix-text", f"{MATRIX_PATH}/{TEXT_FILE}", "--matrix-config-map", recipe.matrix.text]
        words += ["--matrix-digest", recipe.matrix.digest]
    return words


def _text_volumes(recipe: Recipe) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, place and volume of each text that lies in a ConfigMap."""
    wished = [("text", TEXT_PATH, recipe.text), ("matrix", MATRIX_PATH, recipe.matrix.text if recipe.matrix else "")]
    found = []
    for volume, path, text in wished:
        name, _, key = text.partition("/")
        if name:
            # Optional, so that the pod starts without it and says what is missing.
            given = {"name": name, "optional": True, "items": [{"key": key, "path": TEXT_FILE}]}
            found.append((volume, path, {"name": volume, "configMap": given}))
    return found
