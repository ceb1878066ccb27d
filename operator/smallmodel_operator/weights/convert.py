"""The Job that makes a GGUF file of a folder of safetensors files, with llama.cpp's own converter.

One pod in three steps: the first looks at the folder, whether it is the one that was looked at, and lays out what the
converter may read (no pickle, no Python code); the second converts, in an image of the platform's choice; the last
reads the result and puts it into its place. What is there already is not made again.
"""

from typing import Any, Final

from smallmodel_operator.api.names import ROLE_QUANTIZE
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.units import MIB
from smallmodel_operator.weights import jobs, make, source
from smallmodel_operator.weights.recipe import ConvertedSource
from smallmodel_operator.weights.types import WeightsRequest

STEPS: Final = {
    "prepare": "looking for room and at what is there",
    "convert": "converting",
    jobs.CONTAINER: "looking at what was made",
}
"""In their order, and what is said of each."""
TOOLS: Final = ("convert",)
"""Those that run llama.cpp's tools."""
TYPES: Final = {"BF16": "bf16", "F16": "f16", "F32": "f32"}
"""As weights are stored -> as the converter is told to store them: nothing is lost before the gate."""

PROCESS_BYTES: Final = 1536 * MIB
"""Python, torch, transformers and a tokenizer of 250,000 tokens."""
BYTES_OF_A_NUMBER: Final = 12
"""Taken for each number of the tensor that is being written: as it is read, as a float, as it is written."""
DISK_BYTES: Final = 256 * MIB
"""Tokenizer and header, bounded from above."""
MORE: Final = 4
"""Tries after which a step is given no more memory than before."""

SCRIPT: Final = "convert_hf_to_gguf.py"
_VERSIONS: Final = """
from importlib.metadata import PackageNotFoundError, version
for name in ("gguf", "torch", "transformers"):
    try:
        print(name, version(name))
    except PackageNotFoundError:
        print(name, "unknown")
"""
# The converter's exit code and log are judged by the last step: it can tell causes apart, and name the file.
CONVERT: Final = (
    make.BEGIN + "if [ -s made.gguf ]; then exit 0; fi; "
    f'script=; for d in $(echo "$PATH" | tr : " "); do if [ -e "$d/{SCRIPT}" ]; then script="$d/{SCRIPT}"; break; fi; '
    "done; "
    f'if [ -z "$script" ]; then echo "The image has no {SCRIPT}. Name one that has it, with its Python packages, in '
    "the ComputeProfile's spec.quantizer.image or in spec.quantization.image\"; exit 3; fi; "
    '{ sha256sum "$script"; python3 -B -c "$VERSIONS"; } >converter.txt; '
    'code=0; python3 -B "$script" --outtype "$OUTTYPE" --outfile made.part converted >convert.log 2>&1 || code=$?; '
    'tail -n 20 convert.log; if [ "$code" = 0 ]; then mv made.part made.gguf; fi; echo "$code" >convert.code'
)


def memory(facts: WeightsFacts) -> int:
    """Bytes the conversion needs: one tensor is read and written after the other, and the largest counts.

    It is the embedding, or a part of what a layer has (where a model has experts, those of a layer become one tensor).
    """
    largest = max(facts.vocabulary * facts.embedding, facts.parameters // max(1, facts.layers))
    return PROCESS_BYTES + BYTES_OF_A_NUMBER * largest


def disk(facts: WeightsFacts) -> int:
    """Bytes of the result, from above."""
    return facts.tensor_bytes + DISK_BYTES


def build(request: WeightsRequest, where: ConvertedSource, attempt: int, claim_uid: str) -> dict[str, Any]:
    """The Job. Each further try is given half as much memory more: what was too little once would be so again."""
    wish = where.conversion
    folder = f"{source.MOUNT_PATH}/{where.folder}"
    environment = {
        "WORK": f"{folder}/{where.work}", "HOME": make.SCRATCH, "PATH": make.PATHS, "OUTTYPE": TYPES[wish.type],
        "VERSIONS": _VERSIONS, "OMP_NUM_THREADS": str(wish.threads),
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONNOUSERSITE": "1",
    }  # fmt: skip
    ours = ["--folder", folder, "--work", where.work, "--type", wish.type, "--digest", wish.digest]
    prepare = ["prepare-conversion", *ours, "--disk", str(wish.disk)]
    prepare += ["--source", make.lies_at(where, wish.folder)]
    accept = ["accept-conversion", *ours, "--artifact", where.artifact, "--claim", claim_uid, "--tools", wish.image]
    if request.survey:
        accept += ["--survey", *(word for kind in request.accept for word in ("--accept", kind))]
    volumes, mounts = make.volumes_and_mounts(where)
    pod = jobs.pod(request, accept, make.security(), volumes, mounts)
    given = wish.memory * (2 + min(attempt, MORE)) // 2
    pod["initContainers"] = [
        {**pod["containers"][0], "name": "prepare", "args": prepare},
        make.step("convert", wish.image, given, CONVERT, environment, mounts),
    ]
    return jobs.job(request, where, ROLE_QUANTIZE, attempt, pod, {"activeDeadlineSeconds": make.SECONDS})
