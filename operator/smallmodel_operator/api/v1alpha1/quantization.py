"""spec.quantization: of which type the weights may be; status.quantization: of which they are."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, DnsName, ImageReference

QuantizationType = Literal["F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]
DecimalText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}(\.[0-9]{1,6})?$", min_length=1, max_length=11)]


class ConfigMapKeyReference(ApiModel):
    """An entry of a ConfigMap of this namespace."""

    name: DnsName = Field(description="Name of the ConfigMap.")
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Its entry.")


class Gate(ApiModel):
    """What a made file must hold against the parent it was made from; unset: by type, see docs/how-to/quantize.md."""

    max_mean_divergence: DecimalText | None = Field(
        default=None, description="Mean Kullback-Leibler divergence of a token, in nats."
    )
    max_tail_divergence: DecimalText | None = Field(
        default=None, description="What 99.9 % of the tokens' divergences stay below."
    )
    min_same_top_percent: DecimalText | None = Field(
        default=None, description="How often both must find the same token likeliest."
    )
    max_perplexity_ratio: DecimalText | None = Field(
        default=None, description="Perplexity of the made file over its parent's."
    )
    text_config_map_ref: ConfigMapKeyReference | None = Field(
        default=None,
        description=(
            "Text it is measured on, at least 8 KiB, best of the model's own use. Unset: English prose. "
            "Another text belongs under another name: what was measured stays until this reference changes."
        ),
    )


class ImportanceMatrix(ApiModel):
    """Which of the parent's weights matter most for a text, so that Q6_K, Q5_K_M and Q4_K_M round those the least."""

    text_config_map_ref: ConfigMapKeyReference = Field(
        description=(
            "Text it is built on, at least 8 KiB, best of the model's own use, and none that the file is measured on. "
            "Another text makes another file."
        ),
    )


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
    image: ImageReference | None = Field(
        default=None,
        description=(
            "Image with llama.cpp's tools, with which a type is made that the source does not hold. Unset: the "
            "profile's `quantizer.image`; without one nothing is made."
        ),
    )
    gate: Gate = Field(default_factory=Gate, description="What a made file must hold before it serves.")
    importance_matrix: ImportanceMatrix | None = Field(
        default=None,
        description="Built by `llama-imatrix` before a type is made that takes one: Q6_K, Q5_K_M, Q4_K_M. Unset: none.",
    )


class ImportanceMatrixStatus(ApiModel):
    """On which text the importance matrix was built that a type is made with."""

    text: str = Field(default="", max_length=512, description="ConfigMap and entry (`NAME/KEY`) of the text.")
    digest: str = Field(default="", max_length=64, description="SHA-256 of the text.")


class MadeStatus(ApiModel):
    """What a type is made from, as it was seen when it was chosen."""

    parent: str = Field(default="", max_length=512, description="The parent, in the source.")
    digest: str = Field(default="", max_length=640, description="SHA-256 of the parent.")
    memory: int = Field(default=0, ge=0, description="Memory the work is given, in bytes.")
    disk: int = Field(default=0, ge=0, description="Room it needs in the claim, in bytes.")
    context: int = Field(default=0, ge=0, description="Context the parent was trained for, in tokens.")
    importance_matrix: ImportanceMatrixStatus | None = Field(
        default=None, description="The importance matrix it is made with, where one is wished and the type takes it."
    )


class ConvertedStatus(ApiModel):
    """Of which safetensors a GGUF file is made, as they were seen."""

    folder: str = Field(default="", max_length=512, description="Their folder in the source.")
    digest: str = Field(default="", max_length=640, description="SHA-256 of all that is read of it.")
    type: str = Field(default="", max_length=32, description="Type of the file that is made: as they are stored.")
    memory: int = Field(default=0, ge=0, description="Memory the work is given, in bytes.")
    disk: int = Field(default=0, ge=0, description="Room it needs in the claim, in bytes.")


class QuantizationStatus(ApiModel):
    """The type that was chosen, which stays until spec or source change."""

    decided_on: str = Field(default="", max_length=64, description="Hash of what the choice was made from.")
    type: str = Field(default="", max_length=32, description="The type.")
    file: str = Field(default="", max_length=512, description="The file of the source that has it.")
    why: str = Field(default="", max_length=1024, description="Why this one, with the numbers.")
    made: MadeStatus | None = Field(default=None, description="What it is made from, where the source lacks it.")
    converted: ConvertedStatus | None = Field(
        default=None, description="Of what a GGUF file is made first, where the source holds safetensors."
    )
