"""Reports -> status: the three kstatus conditions, one per concern, and the numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import selector
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.serving.decide import Replicas
from smallmodel_operator.serving.trouble import Trouble

_KEPT = (
    "source", "weights", "quantization", "memory", "endpoint", "engineRevision", "engineImage", "access", "scaling",
    "capacity", "quality", "adapters",
)  # fmt: skip
"""What stays in a status when a pass finds nothing new to say of it."""

_OF_PODS = {
    Reason.IMAGE_PULL_FAILED, Reason.CRASH_LOOP, Reason.OUT_OF_MEMORY, Reason.UNSCHEDULABLE, Reason.CONTAINER_CONFIG,
    Reason.EVICTED,
}  # fmt: skip
MEANWHILE = " Meanwhile: "
"""Between what the user must mend and an outage."""
BUDGET_EXHAUSTED = (
    "The month's budget is used up, so requests are refused. `CostObjectiveMet` has the numbers; a larger "
    "`spec.scaling.objectives.cost.monthlyBudget` or another `onExceeded` opens it at once."
)
Hold = Refused | NotYet | None
"""What keeps the newest wish from taking effect."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a status is made from, after the plan was applied."""

    name: str
    generation: int
    off: Reason | None
    count: Replicas
    reports: tuple[Report, ...]
    hold: Hold = None
    problem: Refused | None = None
    """What the user has to mend, although the rest of the wish takes effect without it."""
    trouble: Trouble | None = None
    outage: str = ""
    fields: Mapping[str, Any] | None = None
    asleep: bool = False
    waking: bool = False
    stopped: str = ""
    """Why an administrator's stop refuses requests; empty: there is none."""

    @property
    def starts(self) -> bool:
        """An earlier wish is on its way to answer, although the newest one is held."""
        return self.count.deployed and not (self.trouble and self.trouble.stuck)

    @property
    def unreachable(self) -> Report | None:
        """Replicas answer, or would after a wake, and no gateway lets a request through."""
        if self.stopped or not (self.count.available or self.asleep):
            return None  # a stop is as somebody wants it: nothing is under way
        return next((r for r in self.reports if r.condition is Condition.ROUTABLE and r.status is False), None)


def summarise(outcome: Outcome, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The new status. Times move only when a condition's status changes, so that equal states are equal values."""
    reports = {r.condition: r for r in outcome.reports}
    held = outcome.hold.condition if isinstance(outcome.hold, Refused) else None
    if held and isinstance(outcome.hold, Refused):
        reports[held] = Report(held, False, outcome.hold.reason, outcome.hold.message)
    held_up = outcome.hold and outcome.off is None and not (outcome.count.available or outcome.starts)
    if Condition.AVAILABLE in reports and outcome.hold and held_up:
        reports[Condition.AVAILABLE] = Report(Condition.AVAILABLE, False, outcome.hold.reason, outcome.hold.message)
    was_ready = find(previous, Condition.READY).get("status") == "True"
    summary = (_ready(outcome, was_ready), _reconciling(outcome), _stalled(outcome))
    kept = {k: v for k, v in previous.items() if k in _KEPT}
    fields = {k: v for k, v in {**kept, **(outcome.fields or {})}.items() if v is not None}  # None: no more of it
    return {
        **fields,
        **({"pending": why} if (why := pending(summary)) else {}),
        "observedGeneration": outcome.generation,
        "replicas": outcome.count.existing,
        "readyReplicas": outcome.count.available,
        "selector": ",".join(f"{k}={v}" for k, v in sorted(selector(outcome.name).items())),
        "conditions": conditions(
            [*summary, *reports.values()], previous.get("conditions") or [], outcome.generation, now
        ),
    }


def pending(summary: Sequence[Report]) -> str:
    """Why not all that is declared is in effect, in one word: the reason of Stalled, else of Reconciling."""
    found = {r.condition: r for r in summary if r.status}
    report = found.get(Condition.STALLED) or found.get(Condition.RECONCILING)
    return report.reason.value if report else ""


def standing(previous: Mapping[str, Any], generation: int) -> Refused | None:
    """What was refused of this spec when it was last looked at. What a pod's trouble was is seen on the pod."""
    stalled = find(previous, Condition.STALLED)
    known = stalled.get("status") == "True" and stalled.get("observedGeneration") == generation
    reason = next((r for r in Reason if r.value == stalled.get("reason")), None)
    if not known or reason is None or reason in _OF_PODS:
        return None
    return Refused(reason, str(stalled.get("message", "")).partition(MEANWHILE)[0])


def routable(
    off: Reason | None, traffic: Traffic, stopped: str = "", held: bool = False, *, what: str = "model"
) -> Report:
    """Do the gateways take requests for it? Unknown while none of them speaks: Envoy goes on by itself.

    `held`: though off they hold requests, for somebody else may start it.
    """
    condition = Condition.ROUTABLE
    if off is not None and held and not stopped:
        text = "At 0 in mode External: the gateways hold requests and wake nobody; who scales the model does."
        return Report(condition, False, off, text)
    if off is Reason.BUDGET_EXHAUSTED and not stopped:
        return Report(condition, False, off, "The month's budget is used up: the gateways answer 429 at once.")
    if off is not None:
        return Report(condition, False, off, "Switched off: the gateways answer 503 at once.")
    if stopped:
        return Report(condition, False, Reason.INFERENCE_STOPPED, sentence(stopped))
    if not traffic.reports:
        return Report(
            condition,
            False,
            Reason.GATEWAY_MISSING,
            f"No gateway is ready, so nothing reaches the {what}. `kubectl get pods -A -l "
            "app.kubernetes.io/component=gateway` shows them.",
        )
    if traffic.routed:
        return Report(condition, True, Reason.ROUTED, f"The gateways take requests for the {what}.")
    if any(r.fresh for r in traffic.reports):
        return Report(condition, False, Reason.GATEWAY_SYNCING, f"The gateways have not taken the {what} in yet.")
    return Report(condition, None, Reason.GATEWAY_SILENT, "No gateway agent answers; Envoy goes on with what it has.")


def _ready(o: Outcome, was_ready: bool) -> Report:
    """What keeps a model from answering by itself is said first: a stop that ends does not mend it."""
    found = _able(o, was_ready)
    if found.status and o.stopped:
        return Report(Condition.READY, False, Reason.INFERENCE_STOPPED, sentence(o.stopped) + _pending(o))
    return found


def _able(o: Outcome, was_ready: bool) -> Report:
    if o.off is Reason.BUDGET_EXHAUSTED:
        return Report(Condition.READY, False, o.off, BUDGET_EXHAUSTED)
    if o.off is not None:
        field = "`spec.suspend` is true" if o.off is Reason.SUSPENDED else "`spec.replicas` is 0"
        return Report(Condition.READY, False, o.off, f"Switched off: {field}.")
    if o.count.available or o.asleep:
        return _answering(o)
    if o.hold and not o.starts:
        return Report(Condition.READY, False, o.hold.reason, o.hold.message)
    if o.trouble:
        return Report(Condition.READY, False, o.trouble.reason, o.trouble.message)
    if o.outage:
        return Report(Condition.READY, False, Reason.RETRYING, o.outage)
    if o.waking and was_ready:
        text = "A replica starts; the gateway holds requests meanwhile."
        return Report(Condition.READY, True, Reason.WAKING, text + _pending(o))
    text = f"0 of {o.count.wanted} replica(s) answer. Pods are starting."
    return Report(Condition.READY, False, Reason.STARTING, text + _pending(o))


def _answering(o: Outcome) -> Report:
    """Replicas answer, or would after a wake: Ready unless no gateway lets a request through."""
    if o.unreachable:
        return Report(Condition.READY, False, o.unreachable.reason, o.unreachable.message)
    reason, text = Reason.SERVING, f"{o.count.available} of {o.count.wanted} replica(s) answer."
    if o.asleep:
        reason = Reason.ASLEEP
        text = "Asleep: the next request wakes the model and is held until a replica answers."
    return Report(Condition.READY, True, reason, text + _pending(o))


def sentence(words: str) -> str:
    """Words as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def _pending(o: Outcome) -> str:
    found = o.hold or o.problem or o.trouble
    return f" Not all that is declared is in effect yet: {found.message}" if found else ""


def _stalled(o: Outcome) -> Report:
    """What the user must mend; an outage is told beside it, for it may be why nothing follows on the mending."""
    found = _refused(o)
    return replace(found, message=f"{found.message}{MEANWHILE}{o.outage}") if found.status and o.outage else found


def _refused(o: Outcome) -> Report:
    if isinstance(o.hold, Refused):
        return Report(Condition.STALLED, True, o.hold.reason, o.hold.message)
    if o.trouble and o.trouble.stuck:
        return Report(Condition.STALLED, True, o.trouble.reason, o.trouble.message)
    if o.problem:
        return Report(Condition.STALLED, True, o.problem.reason, o.problem.message)
    return Report(Condition.STALLED, False, Reason.SETTLED, "Nothing needs the user.")


def _reconciling(o: Outcome) -> Report:
    if _stalled(o).status:
        return Report(Condition.RECONCILING, False, Reason.SETTLED, "Waiting for the user, see Stalled.")
    if o.outage:
        return Report(Condition.RECONCILING, True, Reason.RETRYING, o.outage)
    if isinstance(o.hold, NotYet):
        return Report(Condition.RECONCILING, True, o.hold.reason, o.hold.message)
    if o.off is not None:
        return Report(Condition.RECONCILING, False, Reason.SETTLED, "Switched off.")
    if o.unreachable:
        return Report(Condition.RECONCILING, True, o.unreachable.reason, o.unreachable.message)
    if o.asleep:
        return Report(Condition.RECONCILING, False, Reason.SETTLED, "Asleep, as declared.")
    if o.trouble:
        return Report(Condition.RECONCILING, True, o.trouble.reason, o.trouble.message)
    if not o.count.settled:
        reason = Reason.ROLLING_OUT if o.count.available else Reason.PROGRESSING
        text = f"{min(o.count.current, o.count.wanted)} of {o.count.wanted} replica(s) run the newest revision."
        if not o.count.observed:
            text = "The Deployment was just written; its pods follow."
        return Report(Condition.RECONCILING, True, reason, text)
    return Report(Condition.RECONCILING, False, Reason.SETTLED, "Everything is as declared.")


def conditions(
    reports: Sequence[Report], previous: Sequence[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Reports as conditions; the time of one moves only with its status."""
    before = {c.get("type"): c for c in previous}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = []
    for report in reports:
        status = {True: "True", False: "False", None: "Unknown"}[report.status]
        old = before.get(report.condition.value, {})
        same = old.get("status") == status
        made.append(
            {
                "type": report.condition.value,
                "status": status,
                "observedGeneration": generation,
                "lastTransitionTime": old.get("lastTransitionTime", stamp) if same else stamp,
                "reason": report.reason.value,
                "message": report.message[:4096],
            }
        )
    return made


def find(status: Mapping[str, Any], condition: Condition) -> Mapping[str, Any]:
    """One condition of a status; empty when it is not there."""
    return next((c for c in status.get("conditions") or [] if c.get("type") == condition.value), {})


def equal(a: Any, b: Any) -> bool:
    """Do two statuses say the same? The API server fills in the schema's defaults: absent, zero and empty are one."""
    return bool(_bare(a) == _bare(b))


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        bare = {k: _bare(v) for k, v in value.items()}
        return {k: v for k, v in bare.items() if v not in (None, "", 0, {}, [])}
    if isinstance(value, list | tuple):
        return [_bare(v) for v in value]
    return value
