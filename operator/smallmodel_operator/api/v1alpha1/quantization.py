"""spec.quantization: of which type the weights may be."""

from typing import Literal

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel

QuantizationType = Literal["F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]


class Quantization(ApiModel):
    """Of which type the weights may be. Chosen once for each source, ladder and size of a replica."""

    method: Literal["GGUF", "None"] = Field(
        description="`GGUF`: the best type of `accept` that fits. `None`: the source as it is."
    )
    accept: list[QuantizationType] = Field(
        default_factory=list,
        max_length=6,
        json_schema_extra=ATOMIC,
        description=(
            "The types that may serve, best first. The first one is taken with which a replica fits its memory limit "
            "(else its declared request, else the largest node)."
        ),
    )
