"""What all gateways share: of each counter, how much each gateway was granted. Pure.

A gateway changes its own shares only, and a change counts when it was written on the state it was made of
(compare-and-swap). So the grants of a counter never come to more than its limit, whoever writes at the same time, and
whatever becomes of a write of which nobody heard.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from smallmodel_operator.budget.counter import Counter

KEPT: Final = timedelta(days=1)
"""Counters stay so long after their window has ended: what began in it is settled by then, and clocks differ."""
WANTED: Final = timedelta(seconds=30)
"""A gateway that went away short is taken to be short for so long."""
PARTS: Final = 4
"""A block is what is left, divided by so many times the gateways: blocks are small where little is left."""


@dataclass(frozen=True, slots=True)
class Share:
    """One gateway's part of a counter.

    Args:
        granted: so much it may use, or has used, in this window.
        used: so much of it was used, as the gateway last said.
        lost: granted to journals that are gone. Nobody knows what was used of it, so all of it counts.
        short: until when it is taken to want more than was left (seconds since 1970); 0: it does not.
    """

    granted: int = 0
    used: int = 0
    lost: int = 0
    short: int = 0

    @property
    def taken(self) -> int:
        """So much of the limit nobody else can have."""
        return self.granted + self.lost


Shares = Mapping[str, Share]
"""By gateway."""


@dataclass(frozen=True, slots=True)
class Register:
    """The shared state.

    Args:
        holders: the journal each gateway keeps its part in, by gateway; who has another one knows nothing of it.
        counters: shares of each counter.
    """

    holders: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[Counter, Shares] = field(default_factory=dict)

    def taken(self, counter: Counter) -> int:
        """By all gateways together."""
        return sum(share.taken for share in self.counters.get(counter, {}).values())

    def used(self, counter: Counter) -> int:
        """By all gateways together, as they last said, with what was lost."""
        return sum(share.used + share.lost for share in self.counters.get(counter, {}).values())


class Superseded(Exception):  # noqa: N818 - says what is the matter
    """Another process has taken over this gateway's shares: this one may use nothing any more."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"another process keeps the budgets of gateway {holder}: this one lets nothing more go")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a gateway says of a counter, and wants of it.

    Args:
        granted: so much it holds by its own journal, what it gives back already taken off.
        used: so much it has used.
        least: less than this on top would be of no use; 0: it wants nothing.
        most: who waits there wants so much together.
        limit: of the counter.
    """

    granted: int
    used: int = 0
    least: int = 0
    most: int = 0
    limit: int = 0


def void(register: Register, holder: str, journal: str) -> bool:
    """Was this gateway's part kept in another journal after this one? Then what this one has counts as lost already."""
    return register.holders.get(holder, journal) != journal


def take_over(register: Register, holder: str, journal: str) -> Register:
    """A gateway begins, with a journal. What was granted to another journal of its is lost."""
    counters = register.counters
    if void(register, holder, journal):
        counters = {
            counter: {name: Share(lost=s.taken) if name == holder else s for name, s in shares.items()}
            for counter, shares in counters.items()
        }
    return Register({**register.holders, holder: journal}, counters)


def exchange(register: Register, holder: str, journal: str, wishes: Mapping[Counter, Wish], now: datetime) -> Register:
    """A gateway says what it holds and what it used, and gets what it wants, as far as there is.

    Its journal is right: what it does not hold any more is free for all, be it given back, or granted by a write of
    which it never heard; what it holds and the register lacks (its ConfigMap was removed) is put back.

    Raises:
        Superseded: these shares are another process's now.
    """
    if void(register, holder, journal):
        raise Superseded(holder)
    holders = {**register.holders, holder: journal}
    counters = {c: shares for c, shares in register.counters.items() if not old(c, now)}
    for counter, wish in wishes.items():
        if old(counter, now):
            continue
        before = counters.get(counter, {})
        said = replace(before.get(holder, Share()), granted=wish.granted, used=wish.used)
        others = {name: share for name, share in before.items() if name != holder}
        mine = _grown(said, others, wish, len(holders), now) if wish.least else said
        counters[counter] = {**before, holder: mine}
    return Register(holders, counters)


def _grown(mine: Share, others: Shares, wish: Wish, gateways: int, now: datetime) -> Share:
    left = wish.limit - mine.taken - sum(share.taken for share in others.values())
    if left < wish.least:
        return replace(mine, short=int((now + WANTED).timestamp()))
    block = wish.most if wanted(others.values(), now) else max(wish.most, left // (PARTS * gateways))
    return replace(mine, granted=mine.granted + min(left, block), short=0)


def wanted(others: Iterable[Share], now: datetime) -> bool:
    """Does another gateway want more than there was? Then nobody keeps what it has no use for."""
    return any(share.short > now.timestamp() for share in others)


def old(counter: Counter, now: datetime) -> bool:
    """Is it over for so long that nobody needs it any more?"""
    return counter.window.end + KEPT <= now
