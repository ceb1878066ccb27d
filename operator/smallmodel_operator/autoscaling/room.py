"""One pool, many models: who gets the room when not everything fits. Pure; one decision for all models a tick.

Floors come first, then replicas in order of priority, within one priority where they avoid most misses for the share
of the pool they take. Who is idle yields to its own priority and higher ones, the longest idle first. A model that
has had nothing for long, and is asked for, gets one replica before others get more, except from Critical ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import Final

KEEP: Final = 1.3
"""What runs is worth this much more than what would have to start: else two models would take turns."""
STARVED_SECONDS: Final = 300.0
STAY_SECONDS: Final = 600.0
"""Who got a first replica keeps it for so long, unless higher priorities need the room: a turn is worth its start."""
NAMED: Final = 3
"""So many of those that hold the room are named."""


class Priority(IntEnum):
    """Lower goes first."""

    CRITICAL = 0
    STANDARD = 1
    BATCH = 2


@dataclass(frozen=True, slots=True)
class Room:
    """Of a node, or of one replica: cores, bytes, and accelerators by the name of their resource."""

    cpu: float
    memory: float = 0.0
    devices: Mapping[str, float] = field(default_factory=dict)

    def share_of(self, whole: "Room") -> float:
        """The largest of its shares: what it takes away from others."""
        pairs = [(self.cpu, whole.cpu), (self.memory, whole.memory)]
        pairs += [(amount, whole.devices.get(name, 0.0)) for name, amount in self.devices.items()]
        return max((a / b if b > 0 else float("inf") for a, b in pairs if a), default=0.0)

    def plus(self, other: "Room", sign: int = 1) -> "Room":
        devices = self.devices
        if other.devices:
            devices = dict(devices)
            for name, amount in other.devices.items():
                devices[name] = devices.get(name, 0.0) + sign * amount
        return Room(self.cpu + sign * other.cpu, self.memory + sign * other.memory, devices)

    def minus(self, other: "Room") -> "Room":
        return self.plus(other, -1)

    def holds(self, other: "Room") -> bool:
        """Is there room for the other? What it does not ask for may be overdrawn."""
        if (other.cpu and self.cpu < other.cpu - 1e-9) or (other.memory and self.memory < other.memory - 1e-9):
            return False
        return not other.devices or all(
            self.devices.get(name, 0.0) >= amount - 1e-9 for name, amount in other.devices.items() if amount
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model wants.

    Args:
        name: namespace and name.
        priority: who goes first.
        replica: what one replica takes.
        current: replicas that run.
        floor: replicas it keeps in any case, if they fit at all.
        wanted: replicas its own objective asks for.
        gains: misses a second that each replica avoids, the first one first; not growing. The last one counts for
            more than there are.
        idle: nobody asks it.
        idle_seconds: for how long nobody has.
        starved_seconds: for how long it has had no replica although somebody asks.
        had_seconds: for how long it has had one.
        on: nodes of those that run.
        may_use: nodes its replicas may come to; None: all.
    """

    name: str
    priority: Priority
    replica: Room
    current: int
    floor: int
    wanted: int
    gains: Sequence[float]
    idle: bool = False
    idle_seconds: float = 0.0
    starved_seconds: float = 0.0
    had_seconds: float = float("inf")
    on: Sequence[str] = ()
    may_use: frozenset[str] | None = None

    def gain(self, number: int) -> float:
        """Of the replica with this number, from 1."""
        return self.gains[min(number, len(self.gains)) - 1] if self.gains else 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """The replicas a model gets, and why.

    Args:
        replicas: so many.
        why: in one sentence, with the names of those that have the room where it gets fewer than it wants.
        full: it gets fewer than it wants.
        holders: those that are named.
        yielding: those that leave the room it gets; empty: it is free, or it gets none.
        parts: of the whole pool, what each of `holders` has, from 0 to 1.
    """

    replicas: int
    why: str
    full: bool = False
    holders: tuple[str, ...] = ()
    yielding: tuple[str, ...] = ()
    parts: tuple[float, ...] = ()


def share(nodes: Mapping[str, Room], claims: Sequence[Claim]) -> Mapping[str, Grant]:
    """The replicas of each model, by its name; together they fit onto the nodes.

    Args:
        nodes: what models may have of each node: what is not taken by anybody who makes no claim.
        claims: all models that move.
    """
    ordered = sorted(claims, key=lambda c: (c.priority, c.idle, c.idle_seconds, c.name))
    pool = _Pool(nodes, ordered)
    for claim in ordered:
        for _ in range(claim.floor):
            pool.take(claim)
    hungry = [c for c in ordered if not c.idle and c.wanted > pool.got[c.name]]
    for level in Priority:
        _turns(pool, [c for c in hungry if c.priority is level or level is not Priority.CRITICAL])
        _fill(pool, [c for c in hungry if c.priority is level])
        for claim in ordered:
            if claim.idle and claim.priority is level:
                pool.take_up_to(claim, min(claim.wanted, claim.current))
    for claim in ordered:
        pool.take_up_to(claim, claim.wanted)  # nobody else wants it
    if not pool.waits:
        pool.keep()
    return {c.name: _grant(pool, c) for c in ordered}


class _Pool:
    """What is left of each node while it is shared out."""

    def __init__(self, nodes: Mapping[str, Room], claims: Sequence[Claim]) -> None:
        self.claims = claims
        self.got = {c.name: 0 for c in claims}
        self.whole = Room(0.0)
        for room in nodes.values():
            self.whole = self.whole.plus(room)
        self._left = dict(nodes)
        self._spare = dict(nodes)
        """What nobody runs on either: a new replica goes there first, as the scheduler would put it."""
        self.waits: set[str] = set()
        """Who got room that somebody has still to leave."""
        self._parts = {c.name: c.replica.share_of(self.whole) for c in claims}
        self._open: dict[object, list[str]] = {}
        """Nodes with room for one more replica of a kind. Room only gets less: one that is out stays out."""
        self._holders: dict[frozenset[str] | None, list[tuple[float, Claim]]] = {}
        self._yielding: dict[frozenset[str] | None, tuple[str, ...]] = {}
        self._runs: dict[str, list[Claim]] = {node: [] for node in nodes}
        """Whose replicas are on a node; who yields first comes first."""
        for claim in reversed(claims):
            for node in claim.on[: claim.current]:
                if node in self._spare:
                    self._spare[node] = self._spare[node].minus(claim.replica)
                    self._runs[node].append(claim)
        self._order = {c.name: number for number, c in enumerate(claims)}

    def take(self, claim: Claim) -> bool:
        """One more replica of a model, where it runs or else where there is room; False: there is none."""
        number = self.got[claim.name]
        own = claim.on[number] if number < min(len(claim.on), claim.current) else None
        if own is not None and own in self._left and self._left[own].holds(claim.replica):
            self._left[own] = self._left[own].minus(claim.replica)
        else:
            found = self._find(claim)
            if found is None:
                return False
            if not self._spare[found].holds(claim.replica):
                self.waits.add(claim.name)
            self._left[found] = self._left[found].minus(claim.replica)
            self._spare[found] = self._spare[found].minus(claim.replica)
        self.got[claim.name] += 1
        return True

    def _find(self, claim: Claim) -> str | None:
        replica = claim.replica
        kind = (replica.cpu, replica.memory, tuple(replica.devices.items()), claim.may_use)
        if (may := self._open.get(kind)) is None:
            may = list(self._left) if claim.may_use is None else [n for n in claim.may_use if n in self._left]
        fits = self._open[kind] = [n for n in may if self._left[n].holds(claim.replica)]
        spare = [n for n in fits if self._spare[n].holds(claim.replica)]
        if spare:  # the fullest that does: what is large finds room on the others
            return min(spare, key=lambda n: (self._left[n].cpu, self._left[n].memory, n))
        return max(fits, key=lambda n: (self._leaves(n, claim), n), default=None)

    def _leaves(self, node: str, claim: Claim) -> int:
        """The place in the order of whoever would have to leave a node for this; the later, the sooner it yields."""
        room, last = self._spare[node], len(self.claims)
        for other in self._runs[node]:
            if room.holds(claim.replica):
                break
            if other.name != claim.name:
                room, last = room.plus(other.replica), self._order[other.name]
        return last

    def take_up_to(self, claim: Claim, count: int) -> None:
        while self.got[claim.name] < count and self.take(claim):
            pass

    def keep(self) -> None:
        """Nobody leaves where nobody comes: nodes that hold more than they should are not ours to mend."""
        for claim in self.claims:
            runs = min(len(claim.on), claim.current, claim.wanted)
            self.got[claim.name] = max(self.got[claim.name], runs)

    def holders(self, nodes: frozenset[str] | None) -> list[tuple[float, Claim]]:
        """Who got room on such nodes, and which part of the pool, the largest first."""
        if nodes not in self._holders:
            parts = [(self._parts[c.name] * self.got[c.name], c) for c in self.claims if self.got[c.name]]
            found = [(part, c) for part, c in parts if _reaches(c, nodes)]
            self._holders[nodes] = sorted(found, key=lambda pair: (-pair[0], pair[1].name))
        return self._holders[nodes]

    def yielding(self, nodes: frozenset[str] | None) -> tuple[str, ...]:
        """Who runs on such nodes and is to have fewer replicas."""
        if nodes not in self._yielding:
            fewer = (c for c in self.claims if self.got[c.name] < c.current)
            self._yielding[nodes] = tuple(c.name for c in fewer if _reaches(c, nodes))
        return self._yielding[nodes]

    def worth(self, claim: Claim, number: int) -> float:
        kept = KEEP if number <= claim.current else 1.0
        return claim.gain(number) * kept / max(self._parts[claim.name], 1e-9)


def _turns(pool: _Pool, claims: Sequence[Claim]) -> None:
    for claim in sorted(claims, key=lambda c: (-min(c.current, 1), -c.starved_seconds)):
        due = claim.had_seconds < STAY_SECONDS if claim.current else claim.starved_seconds >= STARVED_SECONDS
        if due and not pool.got[claim.name]:
            pool.take(claim)


def _fill(pool: _Pool, claims: Sequence[Claim]) -> None:
    """Give one replica after the other to who gains most by it."""
    queue = [(-pool.worth(c, pool.got[c.name] + 1), c.name, c) for c in claims if pool.got[c.name] < c.wanted]
    heapify(queue)
    while queue:
        _, name, claim = heappop(queue)
        if pool.take(claim) and pool.got[name] < claim.wanted:
            heappush(queue, (-pool.worth(claim, pool.got[name] + 1), name, claim))


def _grant(pool: _Pool, claim: Claim) -> Grant:
    count = pool.got[claim.name]
    if count >= claim.wanted:
        leave = pool.yielding(claim.may_use) if count > claim.current and claim.name in pool.waits else ()
        return Grant(count, _after(count, leave), yielding=leave)
    short = f"{count} of {claim.wanted}"
    if claim.may_use is not None and not claim.may_use:
        return Grant(count, f"{short}: no node is open to it", full=True)
    hold = pool.holders(claim.may_use)
    held = [(part, c) for part, c in hold[: NAMED + 1] if c.name != claim.name][:NAMED]
    unnamed = len(hold) - bool(count) - len(held)  # whoever has some holds it on nodes it may use
    names, parts = tuple(c.name for _, c in held), tuple(part for part, _ in held)
    if claim.idle and count < claim.current:
        return Grant(count, f"{short}: idle, it yields", full=True, holders=names, parts=parts)
    if not held:
        return Grant(count, f"{short}: no node has room for one more", full=True)
    named = ", ".join(f"{c.name} ({c.priority.name.capitalize()}) {100 * part:.0f} %" for part, c in held)
    more = f" and {unnamed} others" if unnamed else ""
    why = f"{short}: the pool is full; it is held by {named}{more}"
    return Grant(count, why, full=True, holders=names, parts=parts)


def _after(count: int, leave: Sequence[str]) -> str:
    if not leave:
        return f"{count}, as wanted"
    more = f" and {len(leave) - NAMED} others" if len(leave) > NAMED else ""
    return f"{count}, once there is the room that {', '.join(leave[:NAMED])}{more} yields"


def _reaches(claim: Claim, nodes: Collection[str] | None) -> bool:
    """Could it be on one of them?"""
    return nodes is None or claim.may_use is None or any(node in nodes for node in claim.may_use)
