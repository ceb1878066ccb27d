"""ComputeProfile: a class of hardware, kept by the platform team. Cluster-scoped."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import (
    ApiModel,
    DnsName,
    EngineName,
    ImageReference,
    NodeSelector,
    QuantityText,
    Tolerations,
    list_map,
)
from smallmodel_operator.api.v1alpha1.price import Power, Price


class ProfileEngine(ApiModel):
    """The image of one engine on this hardware."""

    name: EngineName = Field(description="The engine. VLLM and TGI need `accelerator`.")
    image: ImageReference = Field(description="Its image, best with a digest.")


class PerReplica(ApiModel):
    """What one replica gets when the SmallModel says nothing."""

    cpu: QuantityText = Field(default="1", description="CPU requested; the engine's threads are this rounded up.")
    memory_limit: QuantityText | None = Field(
        default=None, description="Memory limit, and what `fits` means. Unset: no limit."
    )


class Quantizer(ApiModel):
    """What makes files of other types."""

    image: ImageReference = Field(
        description=(
            "Image with llama.cpp's `llama-quantize` and `llama-perplexity`, and, where GGUF files are to be made of "
            "safetensors, `convert_hf_to_gguf.py` with its Python packages."
        )
    )


ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        min_length=3,
        max_length=317,
    ),
]


class Accelerator(ApiModel):
    """What one replica gets of a device plugin: whole devices, which Kubernetes shares with nobody."""

    resource_name: ResourceName = Field(description="Resource of the device plugin, like `nvidia.com/gpu`.")
    count: int = Field(default=1, ge=1, le=8, description="Devices of one replica; the model is spread over them.")
    memory_bytes: int = Field(
        ge=2**30,
        le=2**40,
        description="Memory of one device in bytes; a model that needs more than its devices have is refused.",
    )


class ComputeProfileSpec(ApiModel):
    """What the platform team declares."""

    engines: list[ProfileEngine] = Field(
        min_length=1, max_length=8, json_schema_extra=list_map("name"), description="Engines and their images."
    )
    per_replica: PerReplica = Field(default_factory=PerReplica, description="Defaults of one replica.")
    quantizer: Quantizer | None = Field(
        default=None,
        description="Makes the types that models accept and their sources lack. Unset: nothing does.",
    )
    accelerator: Accelerator | None = Field(
        default=None, description="Devices of one replica. Unset: the engines compute on the CPU."
    )
    memory_bandwidth_bytes_per_second: int | None = Field(
        default=None,
        ge=10**8,
        le=10**15,
        description="Bytes a second that one replica can read of the memory its weights are in, at most. Types of the "
        "weights that could not hold `interTokenMilliseconds` with it are passed over. Unset: none are.",
    )
    runtime_class_name: DnsName | None = Field(
        default=None, description="RuntimeClass of the engines' pods, like `nvidia`. Unset: the cluster's default."
    )
    price: Price | None = Field(default=None, description="What one node of this class costs. Unset: not known.")
    power: Power | None = Field(default=None, description="What one node draws. Unset: electricity is not counted.")
    node_selector: NodeSelector = Field(default_factory=dict)
    tolerations: Tolerations = Field(default_factory=list)


class ComputeProfile(ApiModel):
    """A class of hardware: where to run, engine images, what one replica gets."""

    spec: ComputeProfileSpec = Field(description="What the platform team declares.")
