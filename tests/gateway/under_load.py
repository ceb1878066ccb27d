"""Callers that ask a gateway with a target outside without a pause, each always the same, and what came of it."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.gateway.outward import Outward
from tests.gateway.running import Answer

from smallmodel_operator.audit.leaving import Leaving

WAIT_SECONDS: Final = 120.0
IBAN: Final = "DE89 3704 0044 0532 0130 00"
ASKED: Final[Mapping[str, tuple[str, str]]] = {
    "named": ("Hello", "desk/cloud"),
    "ruled": ("Hello", "desk"),
    "sensitive": (IBAN, "desk"),
    "inside": ("Hello", "desk/small"),
}
"""What is said, and to whom, by the column of the table in docs/explanation/gateway.md."""


def outcome(answer: Answer) -> str:
    """`outside`, `inside`, or the error."""
    if answer.status != 200:
        return f"{answer.status} {answer.error['code']}"
    return "outside" if answer.json["served_by"] == "outside" else "inside"


def joined(way: Outward) -> dict[str, Any]:
    """What the report says left, by the records of decisions and the logs of both Envoys, once these are written."""

    def said() -> dict[str, Any]:
        requests, leaving = {record["request.id"] for record in way.records}, Leaving()
        for record in way.records:
            leaving.decided(record)
        for line in way.gateway.log():
            leaving.answered({k: v for k, v in line.items() if v is not None}, line["request.id"] in requests)
        for line in way.egress.log():
            leaving.sent(line, line.get("request.id") in requests)
        return dict(leaving.statement())

    way.gateway._eventually(lambda: said()["egress"]["sent"] >= len(way.outside.asked), "the egress has written all")
    return said()


class Load:
    """One caller for each of `asked`; what came of each so far."""

    def __init__(self, way: Outward, asked: Mapping[str, tuple[str, str]] = ASKED) -> None:
        self.way, self.asked = way, asked
        self.seen: dict[str, list[str]] = defaultdict(list)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in asked]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, kind: str) -> None:
        said, name = self.asked[kind]
        while not self._stop.is_set():
            self.seen[kind].append(outcome(self.way.ask(said, name, max_tokens=9)))

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for it; what was seen last is told where it never is."""
        end = time.monotonic() + WAIT_SECONDS
        while not true():
            assert time.monotonic() < end, {kind: seen[-5:] for kind, seen in self.seen.items()}
            time.sleep(0.02)

    def settled(self, kind: str, *outcomes: str) -> None:
        """Wait until these alone are what comes of a kind, five times one after the other."""
        self.until(lambda: len(self.seen[kind]) > 5 and set(self.seen[kind][-5:]) <= set(outcomes))

    def more(self, number: int = 8) -> dict[str, list[str]]:
        """What comes of so many more of each kind, each outcome once."""
        before = {kind: len(self.seen[kind]) + 1 for kind in self.asked}  # one may be under way
        self.until(lambda: all(len(self.seen[kind]) >= before[kind] + number for kind in self.asked))
        return {kind: sorted(set(self.seen[kind][before[kind] :])) for kind in self.asked}


def leaves(seen: Mapping[str, Sequence[str]]) -> bool:
    """What may leave does, and nothing else. On a machine that is full a decision or its record may be late: then a
    request stays now and then, or nobody decided on it in time."""
    late = {"503 unavailable"}
    return (
        "outside" in seen["named"]
        and "outside" in seen["ruled"]
        and set(seen["named"]) <= {"outside", "403 kept_inside"} | late
        and set(seen["ruled"]) <= {"outside", "inside"} | late
        and set(seen["sensitive"]) <= {"inside"} | late
        and seen["inside"] == ["inside"]
    )
