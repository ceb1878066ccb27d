"""ModelRoute: one name for an app team, with several SmallModels behind it, and APIs outside where that is allowed."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.access import MEBIBYTE, Callers
from smallmodel_operator.api.v1alpha1.audit import RouteAudit
from smallmodel_operator.api.v1alpha1.common import ATOMIC, ApiModel, DnsLabel, Standing, list_map
from smallmodel_operator.api.v1alpha1.route_boundary import ExternalTarget, RouteBoundary
from smallmodel_operator.api.v1alpha1.route_budget import BudgetStatus, RouteBudget
from smallmodel_operator.api.v1alpha1.route_choice import ClassifierStatus, RouteClassifier, RouteRule
from smallmodel_operator.api.v1alpha1.route_escalation import Escalation, EscalationStatus
from smallmodel_operator.api.v1alpha1.route_tools import RouteTools
from smallmodel_operator.api.v1alpha1.smallmodel_status import AccessStatus, Endpoint


class SmallModelReference(ApiModel):
    """A SmallModel."""

    name: DnsLabel = Field(description="Name of the SmallModel.")
    namespace: DnsLabel | None = Field(
        default=None,
        description=(
            "Its namespace; unset is the route's. A SmallModel of another namespace has to consent: its "
            "`spec.access.namespaces` names the route's namespace."
        ),
    )


class Target(ApiModel):
    """Where requests may go: a SmallModel of the cluster or an API outside of it."""

    name: DnsLabel = Field(description="Name of the target; a request may ask for it as `<route>/<target>`.")
    small_model_ref: SmallModelReference | None = Field(default=None, description="The SmallModel that answers.")
    external: ExternalTarget | None = Field(
        default=None,
        description=(
            "An API outside the cluster that answers instead: only requests that `spec.boundary` lets leave go there. "
            "It gets what a rule sends there and who names it; of others the route's models keep everything."
        ),
    )
    weight: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description=(
            "Share of the requests that name no target, against the weights of the others; drawn for each request. "
            "Unset is 0 where another target has a weight: it answers whoever names it. A share stays with its target "
            "whatever becomes of that: none takes over for another."
        ),
    )


class RouteLimits(ApiModel):
    """How much one caller may ask for. Requests a minute are counted by each SmallModel, whichever way they come."""

    max_body_bytes: int = Field(
        default=8 * MEBIBYTE,
        ge=1024,
        le=32 * MEBIBYTE,
        description="Largest request body in bytes; more gets 413. That of the SmallModel holds, too.",
    )


class RouteAccess(Callers):
    """Who may call a route, and how much."""

    limits: RouteLimits = Field(default_factory=RouteLimits, description="How much one caller may ask for.")


class ModelRouteSpec(ApiModel):
    """What the user declares."""

    targets: list[Target] = Field(
        min_length=1, max_length=32, json_schema_extra=list_map("name"), description="Where requests may go."
    )
    default: str = Field(
        default="",
        max_length=63,
        description="Name of the target of requests that name none, and match no rule. A single target needs none.",
    )
    rules: list[RouteRule] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=list_map("name"),
        description=(
            "Choose the target by what a request is; the first rule that matches counts, and requests that match none "
            "go to `default`. Requests that name a target are not asked."
        ),
    )
    classifier: RouteClassifier | None = Field(
        default=None, description="What tells classes of tasks apart, for rules with `match.taskClass`."
    )
    boundary: RouteBoundary | None = Field(
        default=None, description="What may leave to targets with `external`; unset: nothing."
    )
    budgets: list[RouteBudget] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC,
        description=(
            "What may be used in a day or a month, counted before a request goes, by all gateways together. A request "
            "needs room in each of them."
        ),
    )
    tools: RouteTools | None = Field(
        default=None,
        description=(
            "What conversations may have of tools. Each request is checked then, those that name a target, too."
        ),
    )
    escalation: Escalation | None = Field(
        default=None, description="Which requests a larger target answers in place of `default`, and how many at most."
    )
    audit: RouteAudit | None = Field(
        default=None, description="What is kept of requests, besides what is recorded of every request."
    )
    access: RouteAccess = Field(
        default_factory=RouteAccess,
        description="Who may call the route through the gateway. Who may needs no access to the SmallModels behind it.",
    )


class TargetStatus(ApiModel):
    """How a target stands."""

    name: str = Field(max_length=63, description="Name of the target.")
    model: str = Field(
        max_length=128,
        description="The SmallModel, as `<namespace>/<name>`, or the name the outside has for its model.",
    )
    ready: bool = Field(
        default=False, description="A request to it is answered; outside: requests that may leave get there."
    )
    reason: str = Field(default="", max_length=64, description="Why it is, or is not, in one word.")


class ModelRouteStatus(Standing):
    """What the operator observed. Nothing here is read back as a wish."""

    endpoint: Endpoint | None = Field(default=None, description="How an OpenAI client reaches the route.")
    access: AccessStatus | None = Field(default=None, description="The published credential.")
    classifier: ClassifierStatus | None = Field(default=None, description="The classifier that is in use.")
    budgets: list[BudgetStatus] = Field(
        default_factory=list, max_length=8, json_schema_extra=ATOMIC, description="How each budget stands."
    )
    escalation: EscalationStatus | None = Field(
        default=None, description="The classifier of `spec.escalation.complexity` that is in use."
    )
    targets: list[TargetStatus] = Field(
        default_factory=list, max_length=32, json_schema_extra=list_map("name"), description="How each target stands."
    )


class ModelRoute(ApiModel):
    """One address and one name for several SmallModels, behind an OpenAI endpoint."""

    spec: ModelRouteSpec = Field(description="What the user declares.")
    status: ModelRouteStatus | None = Field(default=None, description="What the operator observed.")
