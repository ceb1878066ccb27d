"""spec.checks and spec.source.verification: what is asked of weights before they serve."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.access import SecretKeyReference
from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, NameReference

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)]
Architecture = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-_.a-z0-9]*$", min_length=1, max_length=64)]


class ConfigMapKeyReference(NameReference):
    """One entry of a ConfigMap in the model's namespace."""

    key: str = Field(
        default="golden.jsonl",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Entry of the ConfigMap's `data`.",
    )


class Golden(ApiModel):
    """Golden prompts: what a version has to answer before it takes traffic, and while it serves."""

    config_map_ref: ConfigMapKeyReference = Field(
        description=(
            "Where they lie: at most 256 JSON lines `{id, prompt | messages, expect: {exact | regex | jsonSchema | "
            "tool}}`. No pod of a new version takes traffic before it has answered them, and not when it answers fewer "
            "than the version that serves."
        )
    )
    probe_minutes: int = Field(
        default=15,
        ge=0,
        le=1440,
        description="How often the version that serves is asked again, in minutes; 0: only before a new one serves.",
    )
    release: str = Field(
        default="",
        max_length=8,
        pattern=r"^([0-9a-f]{8})?$",
        description=(
            "Lets a version serve of which the golden prompts could not tell whether it is worse: the id in "
            "`status.quality.candidate`. It stands for that version with those answers, and for no other."
        ),
    )


class Checks(ApiModel):
    """What is asked of the weights before they serve."""

    golden: Golden | None = Field(
        default=None, description="What a version has to answer before it takes traffic, and while it serves."
    )
    chat_template: Literal["Enforce", "Warn"] | None = Field(
        default=None,
        description=(
            "`Enforce`: weights whose chat template does what no chat template needs are not served, and no pod "
            "starts before it was looked at. `Warn`: `WeightsReady` tells of it. Unset: as Enforce, but with a memory "
            "request of your own a pod does not wait for the look, and one that runs by then stays."
        ),
    )
    allowed_chat_templates: list[Sha256] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=ATOMIC,
        description="Chat templates that are served whatever is found in them (`status.weights.chatTemplate`).",
    )
    allowed_architectures: list[Architecture] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=ATOMIC,
        description=(
            "Architectures that are served beside those the engine of this release knows: for an image of your own "
            "in `spec.engine.image` that knows more."
        ),
    )


class Verification(ApiModel):
    """The signature the weights must carry (OpenSSF model-signing, `model.sig` in their folder or one above it)."""

    public_key_secret_ref: SecretKeyReference = Field(
        description=(
            "The public key (PEM, elliptic curve) in a Secret of this namespace. The pod that reads the weights mounts "
            "it; the operator never reads it. Another key belongs under another name: weights are verified again "
            "when this reference changes."
        )
    )
