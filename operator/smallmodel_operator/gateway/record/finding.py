"""What the canary found, as records: one for each change, one a day while nothing changes, over restarts, too.

A record says from when until when the finding is known to hold (until the last run that showed it), and how long the
one before it did: what lies between two of them nobody has seen, and no record says anything of it.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.record import ENFORCEMENT
from smallmodel_operator.boundary.said import UNKNOWN, Said, nothing
from smallmodel_operator.gateway import files
from smallmodel_operator.gateway.record.recorder import Recorder

RECORDED: Final = "finding.json"
"""Beside the log: the finding that was recorded last, and until when it is known to hold."""
AGAIN: Final = timedelta(days=1)
_TIMES: Final = ("since", "probed", "holds")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the chain says last. `said.since` is the condition's; `since`: from then on it counts; `at`: recorded."""

    said: Said
    since: datetime
    at: datetime

    def dump(self) -> dict[str, Any]:
        """As a JSON value."""
        said = self.said
        times = {name: _text(getattr(said, name)) for name in _TIMES}
        what = {"status": said.status, "reason": said.reason, "through": list(said.through), **times}
        return {"said": what, "since": _text(self.since), "at": _text(self.at)}

    @classmethod
    def load(cls, value: Any) -> "Recorded":
        """Read what `dump` gave.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        what = value["said"]
        times = {name: _time(what[name]) if what[name] else None for name in _TIMES}
        said = Said(str(what["status"]), str(what["reason"]), "", tuple(map(str, what["through"])), **times)
        return cls(said, _time(value["since"]), _time(value["at"]))


def found(last: Recorded | None, said: Said | None, listed: bool, now: datetime) -> Said | None:
    """What is known of the network now; None: nothing, and never was anything.

    Args:
        last: what is recorded.
        said: what the ClusterBoundary's status says.
        listed: whether the API server was asked since this agent runs; before that the last word counts, while it
            holds.
        now: the clock.
    """
    if not listed:
        return last.said.at(now) if last is not None else None
    if said is not None:
        return said.at(now)
    return nothing() if last is not None else None


def changes(last: Recorded, said: Said) -> bool:
    """Is it another finding? One with another transition is: there was something else in between."""
    if (last.said.status, last.said.reason, last.said.through) != (said.status, said.reason, said.through):
        return True
    return said.status != UNKNOWN and last.said.since != said.since


def begins(last: Recorded | None, said: Said, now: datetime) -> datetime:
    """From when on a finding counts: never from before nothing was known, nor from before another one was shown.

    Its transition is when it was written down. The run that showed it was before that: moments, or, where the
    ClusterBoundary is new, up to a whole interval.
    """
    since = said.since or said.probed or now
    if said.status == UNKNOWN:
        return since
    shown = min(since, said.probed or since)
    if last is None:
        return shown
    if last.said.status == UNKNOWN:
        return shown if shown > last.since else said.probed or now
    before = last.said.probed or since
    if last.said.status == said.status:
        return max(shown, before)
    return shown if shown > before else since


def body(last: Recorded | None, new: Recorded) -> dict[str, Any]:
    """A record, besides event and time. `before`: until when the finding recorded before it is known to hold."""
    said = new.said
    value: dict[str, Any] = {"status": said.status, "reason": said.reason, "message": said.message}
    value |= {"through": list(said.through), "since": _text(new.since)}
    if said.status != UNKNOWN and said.probed is not None:
        value["until"] = _text(max(new.since, said.probed))
    if last is not None and last.said.status != UNKNOWN and last.said.probed is not None:
        value["before"] = {"status": last.said.status, "until": _text(last.said.probed)}
    return value


class Findings:
    """What the chain says about the network. An agent that is killed between record and file records it twice."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / RECORDED
        self._last: Recorded | None = None
        self._unsaved = False
        """Recorded or seen again, but perhaps not on the disk yet."""

    def open(self) -> None:
        """Read what an earlier agent recorded; what cannot be read was none, and it is recorded anew."""
        try:
            self._last = Recorded.load(json.loads(self._file.read_bytes()))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            self._last = None

    def due(self, said: Said | None, listed: bool, now: datetime) -> bool:
        """Is there something to record, or to remember?"""
        known, last = found(self._last, said, listed, now), self._last
        if known is None or last is None:
            return self._unsaved or known is not None
        seen = (known.probed, known.holds) != (last.said.probed, last.said.holds)
        return self._unsaved or seen or self._next(known, now)[1]

    def _next(self, known: Said, now: datetime) -> tuple[Recorded, bool]:
        """What is to be remembered, and whether it is to be recorded."""
        last = self._last
        if last is None or changes(last, known):
            return Recorded(known, begins(last, known, now), now), True
        again = now - last.at >= AGAIN
        return replace(last, said=known, at=now if again else last.at), again

    def note(self, recorder: Recorder, said: Said | None, listed: bool, now: datetime) -> None:
        """Record it with the next commit, if it is news."""
        known, last = found(self._last, said, listed, now), self._last
        if known is None:
            return
        new, again = self._next(known, now)
        if again:
            recorder.note(ENFORCEMENT, **body(last, new))
        self._last, self._unsaved = new, True

    def save(self, recorder: Recorder) -> None:
        """Commit, and remember it over a restart.

        Raises:
            OSError: the disk does not take it; try again.
        """
        recorder.commit()
        if self._last is not None:
            files.replace(self._file, json.dumps(self._last.dump()).encode())
        self._unsaved = False


def _text(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
