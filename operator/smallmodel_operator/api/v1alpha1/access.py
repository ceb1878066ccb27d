"""spec.access: who may call a model through the gateway, with which credential, and how much."""

from typing import Final

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel, DnsLabel, DnsName, NameReference, list_map

MEBIBYTE: Final = 1024 * 1024


class ServiceAccountReference(ApiModel):
    """A Kubernetes ServiceAccount whose tokens (audience `smallmodel-gateway`) open the model."""

    namespace: DnsLabel = Field(description="Namespace of the ServiceAccount.")
    name: DnsName = Field(description="Name of the ServiceAccount.")


class SecretKeyReference(NameReference):
    """One entry of a Secret in the model's namespace."""

    key: str = Field(
        min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Entry of the Secret's `data`."
    )


class ApiKey(ApiModel):
    """A key of the user's own making. Only its hash leaves the Secret."""

    name: DnsLabel = Field(description="Name of the caller this key stands for; it appears in metrics and records.")
    secret_ref: SecretKeyReference = Field(description="Where the key lies.")


class Limits(ApiModel):
    """How much one caller may ask for."""

    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=(
            "Requests a minute of one caller at one gateway pod (a token bucket in each, so the whole is approximate: "
            "up to this times the number of gateway pods). More get 429. Unset is no limit."
        ),
    )
    max_body_bytes: int = Field(
        default=8 * MEBIBYTE, ge=1024, le=32 * MEBIBYTE, description="Largest request body in bytes; more gets 413."
    )


class ClientKey(ApiModel):
    """The key published in Secret `<name>-client`."""

    generation: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Raise it to rotate the key; it cannot be lowered. The one before works on for `overlapHours`.",
    )
    overlap_hours: int = Field(
        default=24, ge=0, le=720, description="How long the key of the generation before works after a rotation."
    )


class Callers(ApiModel):
    """Who may call a model or a route. Its own namespace always may; these come to it."""

    namespaces: list[DnsLabel] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Further namespaces: the keys of models and routes there and every ServiceAccount there open it.",
    )
    service_accounts: list[ServiceAccountReference] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("namespace", "name"),
        description="Further ServiceAccounts.",
    )
    api_keys: list[ApiKey] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=list_map("name"),
        description="Further keys, from Secrets of this namespace. They open nothing else.",
    )
    client_key: ClientKey = Field(default_factory=ClientKey, description="The key in Secret `<name>-client`.")


class Access(Callers):
    """Who may call a model, and how much."""

    limits: Limits = Field(default_factory=Limits, description="How much one caller may ask for.")
