"""Is the boundary enforced? Runs of the canary, one after the other on different nodes, become one verdict. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.boundary.canary import Finding
from smallmodel_operator.core.facts import Boundary, Object
from smallmodel_operator.core.outcome import NotYet, Refused

GRACE_RUNS: Final = 3
"""For so many intervals a proof answers for its node: a run that could not be made proves nothing against it."""
LEAST_GRACE: Final = timedelta(minutes=30)
RETRY_SECONDS: Final = 60.0
"""The pause after a run that found something wrong or could not be made."""
LISTED_NODES: Final = 20
MESSAGE_CHARACTERS: Final = 2048
REWRITE: Final = timedelta(hours=1)
"""So often the time of the last run is written though nothing else changed."""
LISTED_ATTEMPTS: Final = 64
ATTEMPT_CHARACTERS: Final = 512


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found on a node, and when; `finding.status` is not None."""

    finding: Finding
    at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended. `node`: where the model's pod ran, empty when it ran nowhere."""

    finding: Finding
    node: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What is known. `verdict.status`: True, False, or None for Unknown; `runs` counts those that have ended."""

    verdict: Finding
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    at: datetime | None = None
    """When a run last ended, whatever it found."""
    runs: int = 0

    def report(self) -> Report:
        """As a condition."""
        when = f" Last probe: {self.at:%Y-%m-%dT%H:%M:%SZ}." if self.at else ""
        message = self.verdict.message[: MESSAGE_CHARACTERS - len(when)] + when
        return Report(Condition.BOUNDARY_ENFORCED, self.verdict.status, self.verdict.reason, message)

    def canary(self, interval: timedelta) -> dict[str, Any]:
        """As the status has it beside the condition; empty before a run has ended."""
        if self.at is None:
            return {}
        status, last = self.verdict.status, self.at
        if status is not None:  # a run that failed meanwhile has shown nothing
            last = max((p.at for p in self.proofs.values() if p.finding.status is status), default=last)
        found: dict[str, Any] = {"lastProbeTime": f"{last:%Y-%m-%dT%H:%M:%SZ}"}
        if status is not None:
            # So long it can take until it is written that a later run found the same.
            found["holdsUntil"] = f"{self.at + REWRITE + _grace(interval):%Y-%m-%dT%H:%M:%SZ}"
        if self.verdict.through:
            found["gotThrough"] = [text[:ATTEMPT_CHARACTERS] for text in self.verdict.through[:LISTED_ATTEMPTS]]
        return found

    def says_the_same(self, other: "Enforcement") -> bool:
        """But for times and nodes' names, which change with every run."""
        mine, theirs = self.verdict, other.verdict
        if mine.status is None and mine.message != theirs.message:
            return False
        return (mine.status, mine.reason, mine.through) == (theirs.status, theirs.reason, theirs.through)


PENDING: Final = Enforcement(
    Finding(None, Reason.PROBE_PENDING, "The canary's first probe of this operator has not ended yet.")
)
OFF: Final = Enforcement(
    Finding(
        None,
        Reason.PROBE_FAILED,
        "Nobody looks: the canary is switched off. Set `boundary.canary.enabled: true` in the chart's values.",
    ),
    runs=1,
)


def after(known: Enforcement, run: Run, interval: timedelta) -> Enforcement:
    """What is known after one more run."""
    grace = _grace(interval)
    # Each run looks at one node, so a proof has to last until its node's turn comes again.
    lasts = grace + len(known.proofs) * interval
    proofs = {node: proof for node, proof in known.proofs.items() if run.at - proof.at <= lasts}
    if run.finding.status is not None and run.node:
        proofs[run.node] = Proof(run.finding, run.at)
    return Enforcement(_verdict(proofs, run, grace), proofs, run.at, known.runs + 1)


def _grace(interval: timedelta) -> timedelta:
    return max(GRACE_RUNS * interval, LEAST_GRACE)


def wishes(known: Enforcement) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Where the next run should look, best first: nodes not seen yet, then where it went wrong, then the oldest."""
    if not known.proofs:
        return ()
    by_age = sorted(known.proofs, key=lambda node: (known.proofs[node].at, node))
    wrong = tuple(node for node in by_age if known.proofs[node].finding.status is False)
    return ("NotIn", tuple(by_age)), ("In", wrong[:LISTED_NODES]), ("In", tuple(by_age[:1]))


def pause(known: Enforcement, interval: timedelta) -> float:
    """Seconds until the next run."""
    seconds = interval.total_seconds()
    return seconds if known.verdict.status else min(seconds, RETRY_SECONDS)


def required(spec: Mapping[str, Any], namespace: str) -> bool:
    """Does the ClusterBoundary's spec require an enforced boundary there? A namespace cannot require less than all."""
    own: Mapping[str, Any] = next((n for n in spec.get("namespaces") or () if n.get("name") == namespace), {})
    return "Required" in (spec.get("enforcement"), own.get("enforcement"))


def condition(declared: Object) -> Mapping[str, Any]:
    """BoundaryEnforced as it stands on a ClusterBoundary; empty when nothing was said yet."""
    conditions = (declared.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == Condition.BOUNDARY_ENFORCED), {})


def sentence(declared: Object) -> str:
    """The same for people."""
    said = condition(declared)
    if not said:
        return (
            "whether policies are enforced was not said yet: does the operator run, and is its canary on "
            "(boundary.canary.enabled)?"
        )
    return f"{said['type']} {said['status']} ({said['reason']}): {said.get('message', '')}"


def gate(boundary: Boundary) -> Refused | NotYet | None:
    """What keeps a model from being served; None: nothing.

    Refused is to close what runs. Until the first run has ended what runs stays as it is: a new leader knows nothing
    against it yet.
    """
    if not boundary.required or boundary.enforced:
        return None
    if not boundary.probed:
        return NotYet(
            Reason.PROBE_PENDING,
            "The ClusterBoundary requires an enforced boundary here, and the canary's first probe has not ended yet.",
        )
    return Refused(
        Reason.BOUNDARY_NOT_ENFORCED,
        "Not served: the ClusterBoundary requires an enforced boundary here (`enforcement: Required`). "
        f"{boundary.message} `kubectl describe clusterboundary cluster` has the newest finding; models are served "
        "again once BoundaryEnforced is True.",
    )


def _verdict(proofs: Mapping[str, Proof], run: Run, grace: timedelta) -> Finding:
    wrong = {node: p for node, p in proofs.items() if p.finding.status is False}
    if wrong:
        return _wrong(wrong, run)
    fresh = [p for p in proofs.values() if run.at - p.at <= grace]
    if not fresh:
        return run.finding
    newest = max(fresh, key=lambda p: p.at)
    text = newest.finding.message
    if others := len(proofs) - 1:
        text += f" The same was found on {others} other node(s)."
    if run.finding.status is None:
        text += f" The newest run told nothing: {run.finding.message}"
    return Finding(True, newest.finding.reason, text)


def _wrong(wrong: Mapping[str, Proof], run: Run) -> Finding:
    newest = wrong.get(run.node) or max(wrong.values(), key=lambda p: p.at)
    through = _once(what for p in wrong.values() for what in p.finding.through)
    text = newest.finding.message
    if len(wrong) > 1:
        names = ", ".join(sorted(wrong)[:LISTED_NODES])
        text += f" Something got through on {len(wrong)} nodes: {names}."
    if run.finding.status is None:
        text += f" The newest run told nothing: {run.finding.message}"
    return Finding(False, newest.finding.reason, text, through)


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))
