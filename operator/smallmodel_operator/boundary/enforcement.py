"""Is the boundary enforced? Runs of the canary, one after the other on different nodes, become one verdict. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.boundary.canary import Finding
from smallmodel_operator.boundary.nodes import Nodes
from smallmodel_operator.core.facts import Boundary, Object
from smallmodel_operator.core.outcome import NotYet, Refused

GRACE_RUNS: Final = 3
"""For so many intervals a proof answers for its node: a run that could not be made proves nothing against it."""
LEAST_GRACE: Final = timedelta(minutes=30)
RETRY_SECONDS: Final = 60.0
"""The pause after a run that found something wrong or could not be made."""
NEXT_SECONDS: Final = 5.0
"""The pause after a run that found all well while it was wrong on other nodes: they are looked at one by one."""
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
    """One run that has ended. `node`: where the model's pod ran, or where one did not start; empty: on none."""

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
    tried: Mapping[str, datetime] = field(default_factory=dict)
    """When a node was last looked at, whatever came of it."""

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


def after(known: Enforcement, run: Run, interval: timedelta, nodes: Nodes | None = None) -> Enforcement:
    """What is known after one more run. `nodes`: those there are now; None: that is not known."""
    grace = _grace(interval)
    # Each run looks at one node, so a proof has to last until its node's turn comes again.
    lasts = grace + len(known.tried) * interval

    def counts(node: str, at: datetime) -> bool:
        return (nodes is None or node in nodes.names) and run.at - at <= lasts

    tried = {node: at for node, at in known.tried.items() if counts(node, at)}
    if run.node:
        tried[run.node] = run.at
    proofs = {node: proof for node, proof in known.proofs.items() if counts(node, proof.at)}
    if run.finding.status is not None and run.node:
        proofs[run.node] = Proof(run.finding, run.at)
    verdict = _verdict(proofs, run, grace)
    if verdict.status and nodes is not None:
        verdict = replace(verdict, message=verdict.message + _unseen(nodes, proofs))
    return Enforcement(verdict, proofs, run.at, known.runs + 1, tried)


def _grace(interval: timedelta) -> timedelta:
    return max(GRACE_RUNS * interval, LEAST_GRACE)


def wishes(known: Enforcement) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Where the next run should look, best first: nodes not tried yet, then where it went wrong, then the oldest.

    After a run that told nothing: where one did before, or proofs would run out while nodes are tried that give none.
    After one that found all well: where it went wrong, for it may be mended there too.
    """
    if not known.tried:
        return ()
    by_age = sorted(known.tried, key=lambda node: (known.tried[node], node))
    told = [node for node in by_age if node in known.proofs]
    wrong = tuple(node for node in told if known.proofs[node].finding.status is False)
    new, bad = ("NotIn", tuple(by_age)), ("In", wrong[:LISTED_NODES])
    if told and by_age[-1] in mute(known):
        return ("In", tuple(told[:1])), bad, new
    if wrong and by_age[-1] not in wrong:
        return bad, new, ("In", tuple(by_age[:1]))
    return new, bad, ("In", tuple(by_age[:1]))


def mute(known: Enforcement) -> tuple[str, ...]:
    """Nodes whose last run told nothing: the image may not fit them, or their registry is away."""
    at = {node: proof.at for node, proof in known.proofs.items()}
    return tuple(sorted(node for node, when in known.tried.items() if at.get(node) != when))


def pause(known: Enforcement, interval: timedelta) -> float:
    """Seconds until the next run."""
    seconds = interval.total_seconds()
    if known.verdict.status:
        return seconds
    newest = max(known.proofs.values(), key=lambda proof: proof.at, default=None)
    well = newest is not None and newest.finding.status is True and newest.at == known.at
    return min(seconds, NEXT_SECONDS if well else RETRY_SECONDS)


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
        text += _mute(run)
    return Finding(True, newest.finding.reason, text)


def _unseen(nodes: Nodes, proofs: Mapping[str, Proof]) -> str:
    """What a verdict of True says nothing about."""
    text, unseen = "", nodes.names - proofs.keys()
    if later := unseen - nodes.closed:
        text += f" Not seen yet, each run looks at one node: {_names(later)}."
    if never := unseen & nodes.closed:
        text += (
            f" Cannot be seen, for no ComputeProfile and no model tolerates their taints: {_names(never)}. No pod of a "
            "model comes there either."
        )
    return text


def _names(nodes: Iterable[str]) -> str:
    names = sorted(nodes)
    more = f" and {len(names) - LISTED_NODES} more" if len(names) > LISTED_NODES else ""
    return ", ".join(names[:LISTED_NODES]) + more


def _wrong(wrong: Mapping[str, Proof], run: Run) -> Finding:
    newest = wrong.get(run.node) or max(wrong.values(), key=lambda p: p.at)
    through = _once(what for p in wrong.values() for what in p.finding.through)
    text = newest.finding.message
    if len(wrong) > 1:
        names = ", ".join(sorted(wrong)[:LISTED_NODES])
        text += f" Something got through on {len(wrong)} nodes: {names}."
    if run.finding.status is None:
        text += _mute(run)
    return Finding(False, newest.finding.reason, text, through)


def _mute(run: Run) -> str:
    where = f" (node {run.node})" if run.node else ""
    return f" The newest run{where} told nothing: {run.finding.message}"


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))
