"""ComputeProfile: a class of hardware, kept by the platform team. Cluster-scoped."""

from typing import Literal

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import (
    ApiModel,
    ImageReference,
    NodeSelector,
    QuantityText,
    Tolerations,
    list_map,
)


class ProfileEngine(ApiModel):
    """The image of one engine on this hardware."""

    name: Literal["LlamaCpp"] = Field(description="The engine.")
    image: ImageReference = Field(description="Its image, best with a digest.")


class PerReplica(ApiModel):
    """What one replica gets when the SmallModel says nothing."""

    cpu: QuantityText = Field(default="1", description="CPU requested; the engine's threads are this rounded up.")
    memory_limit: QuantityText | None = Field(
        default=None, description="Memory limit, and what `fits` means. Unset: no limit."
    )


class ComputeProfileSpec(ApiModel):
    """What the platform team declares."""

    engines: list[ProfileEngine] = Field(
        min_length=1, max_length=8, json_schema_extra=list_map("name"), description="Engines and their images."
    )
    per_replica: PerReplica = Field(default_factory=PerReplica, description="Defaults of one replica.")
    node_selector: NodeSelector = Field(default_factory=dict)
    tolerations: Tolerations = Field(default_factory=list)


class ComputeProfile(ApiModel):
    """A class of hardware: where to run, engine images, what one replica gets."""

    spec: ComputeProfileSpec = Field(description="What the platform team declares.")
