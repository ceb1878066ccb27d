"""What was spent, by month (UTC), model and pool. Pure; whole numbers throughout.

A node's hour is split among its pods by their share, and what nobody's pod had is idle. Everything is counted in
grains, so small that no division is left over: intervals may be cut anywhere, added in any order, and models, others
and idle always are what the nodes cost, to the last grain. Energy stands beside it in picojoules, by its source.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeVar

from smallmodel_operator.core.energy import Source
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost.share import WHOLE

NANO: Final = 10**9
HOUR_MICROSECONDS: Final = 3_600_000_000
GRAINS: Final = NANO * WHOLE * HOUR_MICROSECONDS
"""Of one unit of money: nano-units an hour, times parts of a node, times microseconds."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes of one ComputeProfile; `nano`: what an hour of one costs, in billionths of the currency; `watts` that one
    draws, 0: nobody says."""

    name: str
    currency: str
    nano: int
    watts: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pod on a node, since a time in microseconds. `model` is `<namespace>/<name>`; empty: nobody of ours. `pod`: the
    uid of one of ours; `devices`: it requests any."""

    model: str
    parts: int
    since: int
    pod: str = ""
    devices: bool = False


@dataclass(frozen=True, slots=True)
class PricedNode:
    """A node and who is on it; it is paid for since a time in microseconds. `millicores`: of all its processors."""

    pool: Pool
    since: int
    tenants: tuple[Tenant, ...] = ()
    millicores: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """One model's. `spent`: grains by currency; `microseconds` of pods, each for itself; `energy`: picojoules by
    source; `metered`: the tokens that this energy was drawn for."""

    spent: Mapping[str, int] = field(default_factory=dict)
    microseconds: int = 0
    usage: Usage = field(default=Usage())
    energy: Mapping[str, int] = field(default_factory=dict)
    metered: int = 0

    def plus(self, other: "Account") -> "Account":
        return Account(
            _sum(self.spent, other.spent),
            self.microseconds + other.microseconds,
            self.usage.plus(other.usage),
            _sum(self.energy, other.energy),
            self.metered + other.metered,
        )


@dataclass(frozen=True, slots=True)
class PoolAccount:
    """What a pool's nodes cost in grains: in all, for nobody, and for pods that are no model's."""

    total: int = 0
    idle: int = 0
    others: int = 0
    microseconds: int = 0

    def plus(self, other: "PoolAccount") -> "PoolAccount":
        return PoolAccount(
            self.total + other.total,
            self.idle + other.idle,
            self.others + other.others,
            self.microseconds + other.microseconds,
        )


@dataclass(frozen=True, slots=True)
class Book:
    """One month. Pools by name and currency; `gap`: microseconds in which nobody looked, charged afterwards."""

    models: Mapping[str, Account] = field(default_factory=dict)
    pools: Mapping[tuple[str, str], PoolAccount] = field(default_factory=dict)
    gap: int = 0

    def plus(self, other: "Book") -> "Book":
        models, pools = dict(self.models), dict(self.pools)
        for name, account in other.models.items():
            models[name] = models[name].plus(account) if name in models else account
        for key, pool in other.pools.items():
            pools[key] = pools[key].plus(pool) if key in pools else pool
        return Book(models, pools, self.gap + other.gap)


Ledger = Mapping[str, Book]
"""Books by month, like 2026-11."""


def money(grains: int) -> Decimal:
    """As units of its currency."""
    return Decimal(grains) / GRAINS


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def time_of(at: int) -> datetime:
    """The other way round."""
    return EPOCH + timedelta(microseconds=at)


def month_of(at: int) -> str:
    return time_of(at).strftime("%Y-%m")


def months(begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The parts of an interval in each month."""
    while begin < end:
        first = time_of(begin).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = microseconds((first + timedelta(days=32)).replace(day=1))
        last = min(end, following)
        yield month_of(begin), begin, last
        begin = last


def together(one: Ledger, other: Ledger) -> dict[str, Book]:
    """Both."""
    found = dict(one)
    for month, book in other.items():
        found[month] = found[month].plus(book) if month in found else book
    return found


def charge(
    nodes: Iterable[PricedNode], begin: int, end: int, *, gap: bool = False, measured: Collection[str] = ()
) -> dict[str, Book]:
    """What nodes cost from `begin` to `end` (microseconds), for whom, and what they drew by their shares.

    Args:
        gap: nobody looked in between.
        measured: pods (uids) whose energy is known otherwise.
    """
    listed = tuple(nodes)
    found: dict[str, Book] = {}
    for month, first, last in months(begin, end):
        book = _Book(measured)
        for node in listed:
            book.node(node, first, last)
        found[month] = Book(
            {
                name: Account(spent, book.times[name], energy=_by_share(book.energy.get(name, 0)))
                for name, spent in book.models.items()
            },
            book.pools,
            last - first if gap else 0,
        )
    return found


def used(usage: Mapping[str, Usage], at: int) -> dict[str, Book]:
    """Tokens of models, in the month in which they were heard of."""
    models = {name: Account(usage=grown) for name, grown in usage.items() if grown != Usage()}
    return {month_of(at): Book(models)} if models else {}


def drew(energy: Mapping[str, Mapping[str, int]], at: int) -> dict[str, Book]:
    """Energy of models by source, in the month in which it was heard of."""
    return {month_of(at): Book({name: Account(energy=amounts) for name, amounts in energy.items()})} if energy else {}


def metered(tokens: Mapping[str, int], at: int) -> dict[str, Book]:
    """Tokens of models whose energy is known, in the month in which they were heard of."""
    return {month_of(at): Book({name: Account(metered=count) for name, count in tokens.items()})} if tokens else {}


def _by_share(amount: int) -> dict[str, int]:
    return {Source.SHARE.value: amount} if amount else {}


class _Book:
    """A month's part of an interval while it is added up."""

    def __init__(self, measured: Collection[str]) -> None:
        self._measured = measured
        self.models: dict[str, dict[str, int]] = {}
        self.times: dict[str, int] = {}
        self.energy: dict[str, int] = {}
        self.pools: dict[tuple[str, str], PoolAccount] = {}

    def node(self, node: PricedNode, first: int, last: int) -> None:
        start = max(first, node.since)
        if start >= last:
            return
        cuts = sorted({start, last, *(t.since for t in node.tenants if start < t.since < last)})
        for begin, end in pairwise(cuts):
            self._piece(node.pool, [t for t in node.tenants if t.since <= begin], end - begin)

    def _piece(self, pool: Pool, there: list[Tenant], length: int) -> None:
        asked = sum(t.parts for t in there)
        # One has most of the cpu, another of the memory: more than the node in all, which is paid for only once.
        shares = [t.parts if asked <= WHOLE else t.parts * WHOLE // asked for t in there]
        cost, others = length * pool.nano, 0
        for tenant, share in zip(there, shares, strict=True):
            if not tenant.model:
                others += share
                continue
            spent = self.models.setdefault(tenant.model, {})
            spent[pool.currency] = spent.get(pool.currency, 0) + cost * share
            self.times[tenant.model] = self.times.get(tenant.model, 0) + length
            if pool.watts and tenant.pod not in self._measured:
                self.energy[tenant.model] = self.energy.get(tenant.model, 0) + pool.watts * length * share
        of_all = PoolAccount(cost * WHOLE, cost * (WHOLE - sum(shares)), cost * others, length)
        key = (pool.name, pool.currency)
        self.pools[key] = self.pools[key].plus(of_all) if key in self.pools else of_all


def _sum(one: Mapping[_K, int], other: Mapping[_K, int]) -> Mapping[_K, int]:
    if not one or not other:
        return one or other
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *(k for k in other if k not in one))}
