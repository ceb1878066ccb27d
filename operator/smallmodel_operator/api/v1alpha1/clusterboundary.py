"""ClusterBoundary: what may be served at all, and what may leave. Cluster-scoped, one for the cluster: `cluster`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ApiModel, DnsLabel, DnsName, StatusCondition, list_map

Enforcement = Literal["Required", "Reported"]
Inference = Literal["Allowed", "Stopped"]
External = Annotated[str, StringConstraints(max_length=16)]
"""A text with a rule and no enum: the rule's message says why there is only one value."""
Reason = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]


class NamespaceBoundary(ApiModel):
    """The boundary of one namespace's models. It can only be narrower than the cluster's."""

    name: DnsLabel = Field(description="The namespace; it need not exist yet.")
    inference: Inference = Field(
        default="Allowed",
        description="Stopped: every gateway refuses requests to models of this namespace and cuts running ones.",
    )
    external: External | None = Field(
        default=None,
        description="Denied is the only value: no request leaves the cluster, whatever routes say. Unset: they decide.",
    )
    enforcement: Enforcement = Field(
        default="Reported",
        description="Required: models of this namespace are served only while BoundaryEnforced is True.",
    )
    reason: Reason = Field(default="", description="Who decided it and why, in one line; callers do not see it.")


class ClusterBoundarySpec(ApiModel):
    """What the platform team, or whoever is on call, declares."""

    inference: Inference = Field(
        default="Allowed",
        description="Stopped: every gateway refuses every request to a model and cuts running ones, within 5 s.",
    )
    external: External | None = Field(
        default=None,
        description="Denied is the only value: no request leaves the cluster, whatever routes say. Unset: they decide.",
    )
    enforcement: Enforcement = Field(
        default="Reported",
        description="Required: models are served only while BoundaryEnforced is True, and their pods are removed when "
        "the network is seen not to enforce NetworkPolicies, or that is not known. Reported: it is only said.",
    )
    namespaces: list[NamespaceBoundary] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra=list_map("name"),
        description="Single namespaces. What the cluster's own fields forbid is forbidden in all of them.",
    )
    reason: Reason = Field(
        default="",
        description="Who decided it and why, in one line: it is in the records and in `slm boundary status`; callers "
        "do not see it.",
    )


Way = Annotated[str, StringConstraints(max_length=512)]


class GatewayProof(ApiModel):
    """What a gateway found when it was asked to prove that nothing leads outside through it."""

    asked: str = Field(max_length=64, description="The question it answers: `slm boundary seal` writes a new one.")
    observed_generation: int = Field(ge=0, description="metadata.generation that was in force there.")
    time: str = Field(max_length=32, json_schema_extra={"format": "date-time"}, description="When it looked.")
    configuration: str = Field(
        max_length=64, description="SHA-256 over the versions of the configuration that its Envoy said it serves."
    )
    leads_outside: list[Way] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Paths that lead outside the cluster, or why nobody can say.",
    )


class GatewayBoundary(ApiModel):
    """What one gateway says that it enforces now. It is the only writer of its entry."""

    name: DnsName = Field(description="The gateway's pod.")
    observed_generation: int = Field(ge=0, description="metadata.generation that is in force there.")
    inference: Inference = Field(description="Stopped: it refuses every request to a model.")
    stopped_namespaces: list[DnsLabel] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Namespaces whose models it refuses.",
    )
    since: str = Field(
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="When this came into force: new requests were refused, running ones were over.",
    )
    cut_requests: int = Field(default=0, ge=0, description="Requests that were running and have been cut for it.")
    proof: GatewayProof | None = Field(default=None, description="Its last proof; absent: it was never asked for one.")


Attempt = Annotated[str, StringConstraints(max_length=512)]


class CanaryStatus(ApiModel):
    """What stands behind BoundaryEnforced; gateways record it from here."""

    last_probe_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="When a run last showed this."
    )
    holds_until: str | None = Field(
        default=None,
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="After this BoundaryEnforced counts as Unknown if nothing newer was said. Absent: it is Unknown.",
    )
    got_through: list[Attempt] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What got through though policies forbid it.",
    )


class ClusterBoundaryStatus(ApiModel):
    """What is enforced where."""

    conditions: list[StatusCondition] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=list_map("type"),
        description="BoundaryEnforced: does this cluster's network enforce NetworkPolicies? Written by the operator.",
    )
    canary: CanaryStatus | None = Field(
        default=None, description="When the canary looked and what it saw. Written by the operator."
    )
    gateways: list[GatewayBoundary] = Field(
        default_factory=list,
        max_length=256,
        json_schema_extra=list_map("name"),
        description="Each gateway's own word. One that is no more leaves its last.",
    )


class ClusterBoundary(ApiModel):
    """What the gateways may do at all, for the cluster and for single namespaces. There is one, named `cluster`."""

    spec: ClusterBoundarySpec = Field(description="What is declared; without this object inference is allowed.")
    status: ClusterBoundaryStatus | None = Field(default=None, description="What is enforced where.")
