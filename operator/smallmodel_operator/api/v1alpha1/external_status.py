"""Mode External in a SmallModel's status."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel


class ExternalStatus(ApiModel):
    """Mode External: whether `spec.replicas` counts, or what runs is kept."""

    replicas: int = Field(ge=0, description="`spec.replicas` as it was last seen.")
    owned: bool = Field(description="Some manifest sets it.")
    written: bool = Field(description="It was written since the mode is External, so it counts.")
