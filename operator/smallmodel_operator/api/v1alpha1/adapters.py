"""spec.adapters: LoRA adapters on the one set of weights of a model."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ApiModel

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=32)]


class AdapterSource(ApiModel):
    """Where an adapter comes from: a file in an image, by digest."""

    uri: str = Field(
        min_length=7,
        max_length=1024,
        description="`oci://registry/repository@sha256:…`, mounted as an image volume; several adapters may share one.",
    )
    path: str = Field(min_length=1, max_length=256, description="The adapter's GGUF file inside the image.")


class Adapter(ApiModel):
    """One LoRA adapter, asked for as model `<name of the SmallModel>:<name>`."""

    name: AdapterName = Field(description="Its name, in requests and records.")
    source: AdapterSource = Field(description="Where it comes from.")


class AdapterStatus(ApiModel):
    """One adapter as the engine has it."""

    name: str = Field(max_length=32, description="Its name.")
    id: int = Field(default=0, ge=0, description="Its number in the engine; it stays while the name does.")
    ready: bool = Field(default=False, description="Every replica has it loaded: the gateways let requests through.")
