"""Safetensors in place of GGUF files: of what a GGUF file is made first, kept in the status. Pure."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Survey
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.weights import convert
from smallmodel_operator.weights.recipe import Conversion


def plan(resolved: Resolved, survey: Survey) -> dict[str, Any]:
    """What the status keeps of the safetensors, so that the Job stays the same without another look.

    Raises:
        Refused: nothing may be made of them.
    """
    if not resolved.quantizing.image:
        raise Refused(
            Reason.TYPE_MISSING,
            f"The source holds safetensors in `{survey.parent or '/'}` and no GGUF file. One could be made of them: "
            "name an image with llama.cpp's converter and tools in the ComputeProfile's `spec.quantizer.image` or in "
            "`spec.quantization.image`.",
            condition=Condition.QUANTIZED,
        )
    if resolved.source.sha256:
        raise Refused(
            Reason.INVALID_SPEC,
            "`spec.source.sha256` is the sum of one GGUF file, and the source holds a folder of safetensors. Leave it "
            "out: what was looked at is what is converted. `spec.source.verification` holds the folder to a signature.",
            condition=Condition.WEIGHTS_READY,
        )
    facts = survey.facts
    return {
        "folder": survey.parent,
        "digest": survey.digest,
        "type": facts.quantization,
        "memory": convert.memory(facts),
        "disk": convert.disk(facts),
    }


def told(kept: Mapping[str, Any]) -> str:
    """What is said of a choice among types that are made of safetensors; empty of any other."""
    return f" That file is made of the safetensors in `{kept['folder'] or '/'}`." if kept else ""


def conversion(resolved: Resolved, kept: Mapping[str, Any]) -> Conversion:
    """The wish, from what the status keeps."""
    return Conversion(
        type=kept["type"],
        folder=kept["folder"],
        digest=kept["digest"],
        memory=kept["memory"],
        disk=kept["disk"],
        threads=resolved.threads,
        image=resolved.quantizing.image,
    )
