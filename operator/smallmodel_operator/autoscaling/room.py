"""One pool, many models: who gets the room when not everything fits. Pure; one decision for all models a tick.

Floors come first, then replicas in order of priority, within one priority where they avoid most misses for the share
of the pool they take. Who is idle, and Batch, yields first. A model that has had nothing for long, and is asked for,
gets one replica before others of lower than Critical priority get more than one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

KEEP: Final = 1.3
"""What runs is worth this much more than what would have to start: else two models would take turns."""
STARVED_SECONDS: Final = 300.0


class Priority(IntEnum):
    """Lower goes first."""

    CRITICAL = 0
    STANDARD = 1
    BATCH = 2


@dataclass(frozen=True, slots=True)
class Room:
    """Of a pool, or of one replica: cores, bytes, accelerators."""

    cpu: float
    memory: float = 0.0
    gpu: float = 0.0

    def share_of(self, whole: "Room") -> float:
        """The largest of its shares: what it takes away from others."""
        pairs = ((self.cpu, whole.cpu), (self.memory, whole.memory), (self.gpu, whole.gpu))
        return max((a / b if b else float("inf") for a, b in pairs if a), default=0.0)

    def minus(self, other: "Room") -> "Room":
        return Room(self.cpu - other.cpu, self.memory - other.memory, self.gpu - other.gpu)

    def holds(self, other: "Room") -> bool:
        return all(
            a >= b - 1e-9 for a, b in ((self.cpu, other.cpu), (self.memory, other.memory), (self.gpu, other.gpu)) if b
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model wants.

    Args:
        name: namespace and name.
        priority: who goes first.
        replica: what one replica takes.
        current: replicas it has.
        floor: replicas it keeps in any case, if they fit at all.
        wanted: replicas its own objective asks for.
        gains: misses a second that each replica avoids, the first one first; not growing. The last one counts for
            more than there are.
        idle: nobody asks it.
        starved_seconds: for how long it has had no replica although somebody asks.
    """

    name: str
    priority: Priority
    replica: Room
    current: int
    floor: int
    wanted: int
    gains: Sequence[float]
    idle: bool = False
    starved_seconds: float = 0.0

    def gain(self, number: int) -> float:
        """Of the replica with this number, from 1."""
        return self.gains[min(number, len(self.gains)) - 1] if self.gains else 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """The replicas a model gets, and why."""

    replicas: int
    why: str


def share(room: Room, claims: Sequence[Claim]) -> Mapping[str, Grant]:
    """The replicas of each model, by its name; together they fit into `room`."""
    ordered = sorted(claims, key=lambda c: (c.priority, c.idle, c.name))
    got = {c.name: 0 for c in ordered}
    left = room
    for claim in ordered:
        for _ in range(min(claim.floor, max(claim.wanted, claim.floor))):
            left = _take(left, claim, got)
    hungry = [c for c in ordered if not c.idle and c.wanted > got[c.name]]
    for level in Priority:
        if level is not Priority.CRITICAL:
            for claim in hungry:
                if claim.starved_seconds >= STARVED_SECONDS and not got[claim.name]:
                    left = _take(left, claim, got)
        left = _fill(room, left, [c for c in hungry if c.priority is level], got)
    for claim in ordered:
        # What an idle model has it keeps only where nobody else wants the room.
        while claim.idle and got[claim.name] < min(claim.wanted, claim.current):
            before = got[claim.name]
            left = _take(left, claim, got)
            if got[claim.name] == before:
                break
    return {c.name: Grant(got[c.name], _why(room, c, got, ordered)) for c in ordered}


def _take(left: Room, claim: Claim, got: dict[str, int]) -> Room:
    if not left.holds(claim.replica):
        return left
    got[claim.name] += 1
    return left.minus(claim.replica)


def _fill(room: Room, left: Room, claims: Sequence[Claim], got: dict[str, int]) -> Room:
    """Give one replica after the other to who gains most by it."""
    open_claims = [c for c in claims if got[c.name] < c.wanted]
    while open_claims:
        best = max(open_claims, key=lambda c: (_worth(room, c, got[c.name] + 1), c.name))
        before = got[best.name]
        left = _take(left, best, got)
        if got[best.name] == before or got[best.name] >= best.wanted:
            open_claims.remove(best)
    return left


def _worth(room: Room, claim: Claim, number: int) -> float:
    kept = KEEP if number <= claim.current else 1.0
    return claim.gain(number) * kept / max(claim.replica.share_of(room), 1e-9)


def _why(room: Room, claim: Claim, got: Mapping[str, int], claims: Sequence[Claim]) -> str:
    count = got[claim.name]
    if count >= claim.wanted:
        return f"{count}, as wanted"
    if claim.idle:
        return f"{count} of {claim.wanted}: idle, it yields"
    held = sorted(
        ((c.replica.share_of(room) * got[c.name], c) for c in claims if got[c.name] and c.name != claim.name),
        key=lambda pair: -pair[0],
    )
    if not held:
        return f"{count} of {claim.wanted}: one more is larger than what the pool has left"
    named = ", ".join(f"{c.name} ({c.priority.name.capitalize()}) {100 * s:.0f} %" for s, c in held[:3])
    more = f" and {len(held) - 3} others" if len(held) > 3 else ""
    return f"{count} of {claim.wanted}: the pool is full; it is held by {named}{more}"
