"""Whether the network enforced policies, as a chain says it over time. Pure.

A time counts as proven only between two runs of the canary that showed it, without another finding between them. All
that no record speaks for is unknown: before the first one, after the last one, between two different ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.record import ENFORCEMENT, Kind, Record

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
MOST_FINDINGS: Final = 100
"""Findings of a chain that are listed, the newest."""
NOTHING: Final = (
    "No record of this time says what the network did. With a ClusterBoundary (`slm boundary seal --all` makes one) it "
    "is recorded at each change, and once a day."
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `until` this is known; `seq`: the record that says it, 0: there is none."""

    status: str
    since: datetime
    until: datetime
    reason: str = ""
    message: str = ""
    through: tuple[str, ...] = ()
    seq: int = 0

    @property
    def seconds(self) -> int:
        return int((self.until - self.since).total_seconds())

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        times = {name: getattr(self, name).strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("since", "until")}
        words = {"reason": self.reason, "message": self.message, "through": list(self.through)}
        return {"status": self.status, **times, **words, "record": self.seq}


@dataclass(slots=True)
class History:
    """Of one chain. `spans` are findings, True or False; `silent`: when it was said that nothing is known, and why."""

    spans: list[Span] = field(default_factory=list)
    silent: list[Span] = field(default_factory=list)
    _last: str = ""
    """Status of the last record."""

    def add(self, record: Record) -> None:
        """Take in a record that is intact and in its place; one that cannot be read says nothing."""
        body = record.body
        if record.kind != Kind.NOTE or body.get("event") != ENFORCEMENT:
            return
        try:
            self._finding(body, record.seq)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._last = ""

    def _finding(self, body: Mapping[str, Any], seq: int) -> None:
        status, at, since = str(body["status"]), _time(body["time"]), _time(body["since"])
        words = str(body.get("reason", "")), str(body.get("message", "")), tuple(map(str, body.get("through") or ()))
        before = body.get("before")
        if before and self.spans and self._last == before["status"]:
            self._extend(min(_time(before["until"]), at))
        if status not in (TRUE, FALSE):
            self.silent.append(Span(UNKNOWN, since, since, *words, seq))
        else:
            until = min(_time(body["until"]), at)  # nobody can know what comes
            if self._last == FALSE:
                self._extend(since)  # what was open stays open until a run shows that it is not
            if self._last == status and self.spans[-1].since == since:
                self._extend(until)
            else:
                begin = max(since, self.spans[-1].until) if self.spans else since
                self.spans.append(Span(status, begin, max(begin, until), *words, seq))
        self._last = status

    def _extend(self, until: datetime) -> None:
        last = self.spans[-1]
        self.spans[-1] = replace(last, until=max(last.until, until))

    def listed(self, begin: datetime, end: datetime) -> list[Span]:
        """The whole time, without a gap: what is known, and why it is not."""
        found, at = [], begin
        for span in within(self.spans, begin, end):
            if span.since > at:
                found.append(self._gap(at, span.since))
            found.append(span)
            at = span.until
        return [*found, self._gap(at, end)] if at < end else found

    def _gap(self, since: datetime, until: datetime) -> Span:
        said = [s for s in self.silent if s.since < until and (s.since >= since or not self._known(s.since, since))]
        last = said[-1] if said else Span(UNKNOWN, since, until, message=NOTHING)
        return replace(last, since=since, until=until)

    def _known(self, after: datetime, before: datetime) -> bool:
        return any(after < span.until and span.since <= before for span in self.spans)


def bounds(period: Period, made: str) -> tuple[datetime, datetime]:
    """The part of a period that is over when the report is made."""
    since, until = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (period.since, period.until))
    return since, max(since, min(until, _time(made))) if made else until


def within(spans: Iterable[Span], begin: datetime, end: datetime) -> list[Span]:
    """What of them lies in a time."""
    cut = (replace(s, since=max(s.since, begin), until=min(s.until, end)) for s in spans)
    return [s for s in cut if s.since < s.until or (s.since == s.until and begin <= s.since < end)]


def combined(histories: Sequence[History]) -> list[Span]:
    """What all chains of a cluster say together: a gateway that saw something get through outweighs the others."""
    spans = [span for history in histories for span in history.spans]
    edges = sorted({at for span in spans for at in (span.since, span.until)})
    found = [span for span in spans if span.since == span.until and span.status == FALSE]
    for since, until in pairwise(edges):
        said = {s.status for s in spans if s.since <= since and until <= s.until}
        if said:
            found.append(Span(FALSE if FALSE in said else TRUE, since, until))
    return sorted(found, key=lambda span: span.since)


def shares(spans: Iterable[Span], begin: datetime, end: datetime) -> dict[str, int]:
    """Seconds of a time in which enforcement is proven, is not, and is not known; `open`: findings that something got
    through."""
    cut = within(spans, begin, end)
    proven, against = (sum(s.seconds for s in cut if s.status == status) for status in (TRUE, FALSE))
    whole = int((end - begin).total_seconds())
    return {
        "whole": whole,
        "proven": proven,
        "not_proven": against,
        "unknown": whole - proven - against,
        "open": sum(s.status == FALSE for s in cut),
    }


def told(history: History, begin: datetime, end: datetime) -> dict[str, Any]:
    """One chain's word as JSON."""
    rows = history.listed(begin, end)
    return {
        "seconds": shares(history.spans, begin, end),
        "findings": [span.dump() for span in rows[-MOST_FINDINGS:]],
        "older": max(0, len(rows) - MOST_FINDINGS),
    }


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
