"""Requests held for models that have no usable pod: who may wait, who goes first. Pure: the time is passed in.

Every request that is admitted leaves in exactly one way (`Outcome`). Callers' namespaces are treated alike: one that
holds little displaces the newest request of the one that holds most, and on release they take turns.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

MEBIBYTE: Final = 1024 * 1024


class Outcome(StrEnum):
    """How a held request ends. All but RELEASED and LEFT are refusals, and the value is their cause."""

    RELEASED = "released"
    LEFT = "left"
    """Its client gave up."""
    EXPIRED = "held-too-long"
    GONE = "unknown-model"
    STOPPED = "stopped"
    """An administrator has stopped inference."""
    OFF = "off"
    BUDGET = "budget"
    """Its month's budget is used up."""
    STALLED = "stalled"
    """It cannot start until somebody acts."""
    ENDING = "engine-ends"
    """Each engine that got this request ended before it answered."""
    QUEUE_FULL = "queue-full"
    """As many are held for this model as its `maxQueuedRequests` allows."""
    GATEWAY_FULL = "gateway-full"
    """This gateway holds as many requests, or as many bytes, as it may over all models."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one gateway over all models: requests (20 KiB each here, up to 90 KiB when many long bodies come at once),
    and bytes of their bodies (Envoy keeps those in memory)."""

    requests: int = 1000
    bytes: int = 256 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Ticket:
    """One held request. Times in seconds of the clock passed in; `size` is its body in bytes."""

    id: int
    target: str
    namespace: str
    size: int
    since: float
    deadline: float
    earliest: float


@dataclass(frozen=True, slots=True)
class Admission:
    """A ticket or the cause of a refusal, and those that had to leave for it (with the cause)."""

    ticket: Ticket | None
    cause: Outcome | None = None
    displaced: tuple[tuple[Ticket, Outcome], ...] = ()


class Queue:
    """All held requests of one gateway."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._ids = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self._lines: dict[str, dict[str, dict[int, Ticket]]] = {}
        """By target, by the callers' namespace (in the order of their turns), oldest first."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def count(self, target: str) -> int:
        """Held for one target."""
        return sum(map(len, self._lines.get(target, {}).values()))

    def counts(self) -> dict[str, int]:
        """Held for each target that holds any."""
        return {target: self.count(target) for target in self._lines}

    def admit(
        self,
        target: str,
        namespace: str,
        size: int,
        now: float,
        *,
        wait: float,
        bound: int,
        elsewhere: int = 0,
        earliest: float = 0.0,
    ) -> Admission:
        """Take in a request of a caller in `namespace`, for at most `wait` seconds.

        Args:
            bound: most requests held for the target over all gateways.
            elsewhere: how many the other gateways hold for it, as last heard.
            earliest: not to be released before this time.
        """
        leaving: dict[int, tuple[Ticket, Outcome]] = {}
        # An overshoot (other gateways admit at the same moment) shrinks by itself: never two out for one in.
        over = int(self.count(target) + elsewhere >= bound)
        line = [t for of in self._lines.get(target, {}).values() for t in of.values()]
        if not _make_room(line, _one, namespace, 1, over, Outcome.QUEUE_FULL, leaving):
            return Admission(None, Outcome.QUEUE_FULL)
        over = len(self) - len(leaving) + 1 - self._limits.requests
        if not _make_room(self._tickets.values(), _one, namespace, 1, over, Outcome.GATEWAY_FULL, leaving):
            return Admission(None, Outcome.GATEWAY_FULL)
        over = self.bytes - sum(t.size for t, _ in leaving.values()) + size - self._limits.bytes
        if not _make_room(self._tickets.values(), _size, namespace, size, over, Outcome.GATEWAY_FULL, leaving):
            return Admission(None, Outcome.GATEWAY_FULL)
        for left in leaving:
            self._remove(left)
        ticket = Ticket(next(self._ids), target, namespace, size, now, now + wait, earliest)
        self._tickets[ticket.id] = ticket
        self._lines.setdefault(target, {}).setdefault(namespace, {})[ticket.id] = ticket
        self.bytes += size
        return Admission(ticket, None, tuple(leaving.values()))

    def grew(self, number: int, size: int) -> Outcome | None:
        """The body turned out to be this long; a cause when there is no room for it (the request is out then)."""
        ticket = self._tickets.get(number)
        if ticket is None or size <= ticket.size:
            return None
        if self.bytes + size - ticket.size > self._limits.bytes:
            self._remove(number)
            return Outcome.GATEWAY_FULL
        self.bytes += size - ticket.size
        self._tickets[number] = self._lines[ticket.target][ticket.namespace][number] = replace(ticket, size=size)
        return None

    def leave(self, number: int) -> bool:
        """Its client gave up. False when it had ended already."""
        return self._remove(number) is not None

    def take(self, target: str, most: int, now: float) -> list[Ticket]:
        """The next to be released, taken out: namespaces take turns, the oldest of each first."""
        taken: list[Ticket] = []
        resting: set[str] = set()
        lines = self._lines.get(target, {})
        while len(taken) < most and (namespace := next((n for n in lines if n not in resting), None)) is not None:
            due = next((t for t in lines[namespace].values() if t.earliest <= now), None)
            if due is None:
                resting.add(namespace)
                continue
            lines[namespace] = lines.pop(namespace)  # to the end: its turn is over
            self._remove(due.id)
            taken.append(due)
        return taken

    def expired(self, target: str, now: float) -> list[Ticket]:
        """Those that waited too long, taken out."""
        return [t for t in self._of(target) if t.deadline <= now and self._remove(t.id)]

    def clear(self, target: str) -> list[Ticket]:
        """All of a target, taken out."""
        return [t for t in self._of(target) if self._remove(t.id)]

    def _of(self, target: str) -> list[Ticket]:
        return [t for of in self._lines.get(target, {}).values() for t in of.values()]

    def _remove(self, number: int) -> Ticket | None:
        ticket = self._tickets.pop(number, None)
        if ticket is not None:
            lines = self._lines[ticket.target]
            del lines[ticket.namespace][number]
            if not lines[ticket.namespace]:
                del lines[ticket.namespace]
            if not lines:
                del self._lines[ticket.target]
            self.bytes -= ticket.size
        return ticket


def _one(_: Ticket) -> int:
    return 1


def _size(ticket: Ticket) -> int:
    return ticket.size


def _make_room(
    pool: Iterable[Ticket],
    weight: Callable[[Ticket], int],
    namespace: str,
    need: int,
    over: int,
    cause: Outcome,
    leaving: dict[int, tuple[Ticket, Outcome]],
) -> bool:
    """Add to `leaving` until `over` is gone: the newest of the namespace with most, as long as that has more than
    `namespace` would have afterwards, so that two namespaces never displace each other in turn. False: no room."""
    if over <= 0:
        return True
    shares: Counter[str] = Counter()
    newest: dict[str, list[Ticket]] = {}
    for ticket in sorted(pool, key=lambda t: t.id):
        if ticket.id not in leaving:
            shares[ticket.namespace] += weight(ticket)
            newest.setdefault(ticket.namespace, []).append(ticket)
    mine = shares[namespace] + need
    while over > 0:
        most = max(newest, key=lambda n: (shares[n], n), default=namespace)
        if most == namespace or not newest[most]:
            return False
        victim = newest[most].pop()
        shares[most] -= weight(victim)
        if shares[most] < mine:
            return False
        leaving[victim.id] = (victim, cause)
        over -= weight(victim)
    return True
