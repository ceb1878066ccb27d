"""Whatever happens on the nodes: money adds up to the last grain, wherever time is cut and whoever dies."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.core.energy import JOULE, Drawn, Meter
from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import (
    Account,
    Book,
    Ledger,
    Pool,
    PoolAccount,
    PricedNode,
    Tenant,
    charge,
    microseconds,
    time_of,
    together,
)
from smallmodel_operator.cost.share import WHOLE
from smallmodel_operator.cost.state import GAP_MICROSECONDS, State, advance, begin

START = microseconds(time_of(0).replace(year=2026, month=11, day=30, hour=20))
"""Four hours before a month ends."""
SECOND = 1_000_000
SPAN = 8 * 3600 * SECOND
TIMES = st.integers(START, START + SPAN)
POOLS = st.sampled_from(
    [Pool("cpu", "EUR", 454_466_667, 400), Pool("gpu", "EUR", 1_370_000_001, 1700), Pool("rented", "USD", 7)]
)
TENANTS = st.builds(
    Tenant,
    model=st.sampled_from(["", "support/bot", "support/large", "crm/bot"]),
    parts=st.integers(0, WHOLE),
    since=st.integers(START - SPAN, START + SPAN),
    pod=st.sampled_from(["u-1", "u-2", ""]),
)
NODES = st.lists(
    st.builds(
        PricedNode,
        pool=POOLS,
        since=st.integers(START - SPAN, START + SPAN),
        tenants=st.lists(TENANTS, max_size=5).map(tuple),
    ),
    max_size=4,
).map(tuple)


def empty_of_nothing(ledger: Ledger) -> Ledger:
    """Without accounts of 0: a moment in which nothing happened may leave one or not."""
    found = {}
    for month, book in ledger.items():
        models = {n: a for n, a in book.models.items() if any(a.spent.values()) or a.microseconds or a.usage != Usage()}
        pools = {k: p for k, p in book.pools.items() if p != PoolAccount()}
        if models or pools:
            found[month] = Book(models, pools)
    return found


def total(ledger: Ledger) -> int:
    return sum(pool.total for book in ledger.values() for pool in book.pools.values())


@given(nodes=NODES, times=st.tuples(TIMES, TIMES))
def test_models_others_and_idle_are_what_the_nodes_cost(nodes: tuple[PricedNode, ...], times: tuple[int, int]) -> None:
    for book in charge(nodes, min(times), max(times)).values():
        for currency in ("EUR", "USD"):
            pools = [pool for (_, code), pool in book.pools.items() if code == currency]
            models = sum(account.spent.get(currency, 0) for account in book.models.values())
            assert models + sum(p.idle + p.others for p in pools) == sum(p.total for p in pools)
        assert all(p.idle >= 0 for p in book.pools.values())
    there = sum(max(0, max(times) - max(min(times), n.since)) * n.pool.nano for n in nodes)
    assert total(charge(nodes, min(times), max(times))) == there * WHOLE


@given(nodes=NODES, times=st.tuples(TIMES, TIMES))
def test_shares_never_draw_more_than_their_nodes(nodes: tuple[PricedNode, ...], times: tuple[int, int]) -> None:
    begin, end = min(times), max(times)
    most = sum(max(0, end - max(begin, n.since)) * n.pool.watts for n in nodes) * WHOLE
    assert 0 <= sum(sum_of(charge(nodes, begin, end)).energy.values()) <= most


@given(nodes=NODES, times=st.tuples(TIMES, TIMES))
def test_a_pod_that_is_measured_is_not_estimated(nodes: tuple[PricedNode, ...], times: tuple[int, int]) -> None:
    begin, end = min(times), max(times)
    both = sum_of(charge(nodes, begin, end, measured={"u-1", "u-2", ""}))
    assert both.energy == {}
    assert both.spent == sum_of(charge(nodes, begin, end)).spent
    parts = [sum_of(charge(nodes, begin, end, measured={"u-1", "u-2", ""} - {pod})) for pod in ("u-1", "u-2", "")]
    whole = sum(sum_of(charge(nodes, begin, end)).energy.values())
    assert sum(sum(part.energy.values()) for part in parts) == whole


@given(nodes=NODES, times=st.lists(TIMES, min_size=2, max_size=6))
def test_cutting_an_interval_changes_nothing(nodes: tuple[PricedNode, ...], times: list[int]) -> None:
    ordered, pieces = sorted(times), dict[str, Book]()
    for first, last in pairwise(ordered):
        pieces = together(pieces, charge(nodes, first, last))
    assert empty_of_nothing(pieces) == empty_of_nothing(charge(nodes, ordered[0], ordered[-1]))


@given(nodes=NODES, times=st.tuples(TIMES, TIMES))
def test_what_is_kept_comes_back(nodes: tuple[PricedNode, ...], times: tuple[int, int]) -> None:
    state = State(
        min(times),
        max(times),
        charge(nodes, min(times), max(times)),
        {"g-0": Tally(5, {"support/bot": Usage(1, 2, 3)})},
        {"u-1": Meter({"package": 10**12}, {"engine": 3}), "u-2": Meter()},
    )
    assert checkpoint.load(checkpoint.dump(state)) == state


# -- a life of pods, requests and crashes ---------------------------------------------------------------------------

POOL = Pool("cpu", "EUR", 454_466_667)
TICK = 30 * SECOND
EVERY = 10
"""Ticks from one checkpoint to the next: 300 s."""
POD = st.tuples(
    st.integers(0, 120), st.integers(1, 120), st.integers(1, WHOLE // 8), st.sampled_from(["support/bot", "crm/bot"])
)
"""From which tick, for how many, its parts of the node, and whose it is; a few of them fit on the node."""


def seen(pods: list[tuple[int, int, int, str]], tick: int) -> tuple[PricedNode, ...]:
    """What is there at a tick."""
    there = [
        Tenant(who, part, START + first * TICK) for first, length, part, who in pods if first <= tick < first + length
    ]
    return (PricedNode(POOL, START - SPAN, tuple(there)),)


def counted(requests: list[tuple[int, int]], epochs: list[int], tick: int) -> dict[str, Tally]:
    """A gateway that begins anew, with another epoch, at some ticks."""
    begun = max((e for e in epochs if e <= tick), default=0)
    of_now = [tokens for at, tokens in requests if begun <= at <= tick]
    usage = Usage(len(of_now), sum(of_now), 2 * sum(of_now))
    return {"g-0": Tally(START + begun * TICK, {"support/bot": usage})}


@given(
    pods=st.lists(POD, max_size=7),
    requests=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 500)), max_size=20),
    crashes=st.lists(st.tuples(st.integers(1, 119), st.integers(0, 40)), max_size=4),
)
def test_a_crash_loses_and_doubles_no_more_than_a_checkpoint_interval(
    pods: list[tuple[int, int, int, str]], requests: list[tuple[int, int]], crashes: list[tuple[int, int]]
) -> None:
    """A crash forgets all since the last checkpoint and is followed by some ticks without an operator."""
    without = kept = state = begin(START, counted(requests, [], 0))
    down, missing = 0, 0
    for tick in range(1, 121):
        nodes, tallies, now = seen(pods, tick), counted(requests, [], tick), START + tick * TICK
        without = advance(without, nodes, tallies, now)
        for at, length in crashes:
            if at == tick:
                down, state = max(down, length + 1), kept
        if down:
            down -= 1
            missing += 1
            continue
        state = advance(state, nodes, tallies, now)
        if tick % EVERY == 0:
            kept = checkpoint.load(checkpoint.dump(state))
    nodes, tallies, now = seen(pods, 120), counted(requests, [], 120), START + 121 * TICK
    state, without = advance(state, nodes, tallies, now), advance(without, nodes, tallies, now)
    assert total(state.ledger) == total(without.ledger), "nodes are paid for once, whoever looked"
    one, other = (sum_of(s.ledger) for s in (state, without))
    assert (
        one.usage == other.usage == Usage(len(requests), sum(t for _, t in requests), 2 * sum(t for _, t in requests))
    )
    lost = other.spent.get("EUR", 0) - one.spent.get("EUR", 0)
    share = sum(part for _, _, part, _ in pods)
    unseen = (missing + EVERY * len(crashes)) * TICK
    assert 0 <= lost <= unseen * share * POOL.nano, "only pods that ended unseen may be missing, never one twice"


def sum_of(ledger: Ledger) -> Account:
    found = Account()
    for book in ledger.values():
        for account in book.models.values():
            found = found.plus(account)
    return found


@given(
    requests=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 500)), max_size=20),
    epochs=st.lists(st.integers(1, 60), max_size=3),
    looks=st.sets(st.integers(1, 60), max_size=20),
)
def test_a_gateway_that_lost_its_counts_is_counted_from_then_on(
    requests: list[tuple[int, int]], epochs: list[int], looks: set[int]
) -> None:
    """Nothing twice; what was counted between the last look and the loss is gone with it."""
    state = begin(START, counted(requests, epochs, 0))
    told = 0
    for tick in sorted({*looks, 61}):
        state = advance(state, (), counted(requests, epochs, tick), START + tick * TICK)
        told = sum_of(state.ledger).usage.requests
        assert told <= sum(1 for at, _ in requests if at <= tick)
    since = max(epochs, default=0)
    assert told >= sum(1 for at, _ in requests if at >= since)


def test_a_long_time_without_a_look_is_a_gap_and_is_charged() -> None:
    nodes = (PricedNode(POOL, START, (Tenant("support/bot", WHOLE // 2, START),)),)
    state = begin(START, {})
    short = advance(state, nodes, {}, START + GAP_MICROSECONDS)
    long = advance(state, nodes, {}, START + GAP_MICROSECONDS + 1)
    assert short.ledger["2026-11"].gap == 0
    assert long.ledger["2026-11"].gap == GAP_MICROSECONDS + 1
    assert total(long.ledger) == (GAP_MICROSECONDS + 1) * POOL.nano * WHOLE


def test_a_clock_that_went_back_charges_nothing_twice() -> None:
    nodes = (PricedNode(POOL, START, ()),)
    state = advance(begin(START, {}), nodes, {}, START + 100 * SECOND)
    back = advance(state, nodes, {}, START + 50 * SECOND)
    assert back == state
    assert total(advance(back, nodes, {}, START + 200 * SECOND).ledger) == 200 * SECOND * POOL.nano * WHOLE


def test_months_are_those_of_utc() -> None:
    nodes = (PricedNode(POOL, START, ()),)
    state = advance(begin(START, {}), nodes, {}, START + SPAN)
    four_hours = 4 * 3600 * SECOND * POOL.nano * WHOLE
    assert {month: total({month: book}) for month, book in state.ledger.items()} == {
        "2026-11": four_hours,
        "2026-12": four_hours,
    }


def test_gateways_that_are_away_keep_their_place() -> None:
    """One that is scaled away and comes back with its claim goes on where it was."""
    before = Tally(START + 1, {"support/bot": Usage(5, 50, 10)})
    state = advance(begin(START, {}), (), {"g-1": before}, START + TICK)
    state = advance(state, (), {}, START + 2 * TICK)
    after = replace(before, models={"support/bot": Usage(7, 70, 14)})
    state = advance(state, (), {"g-1": after}, START + 3 * TICK)
    assert sum_of(state.ledger).usage == Usage(7, 70, 14)


def test_what_gateways_counted_before_the_ledger_is_not_its_own() -> None:
    """Also of one that is heard of later."""
    old = Tally(START - 1, {"support/bot": Usage(5, 50, 10)})
    state = advance(begin(START, {"g-0": old}), (), {"g-0": old, "g-1": old}, START + TICK)
    assert sum_of(state.ledger).usage == Usage()
    more = replace(old, models={"support/bot": Usage(6, 60, 12)})
    state = advance(state, (), {"g-0": more, "g-1": more}, START + 2 * TICK)
    assert sum_of(state.ledger).usage == Usage(2, 20, 4)


# -- energy ---------------------------------------------------------------------------------------------------------

DRAWING = Pool("cpu", "EUR", 1, 400)


def on(pool: Pool, pod: str = "u-1") -> tuple[PricedNode, ...]:
    """A model with a fourth of a node."""
    return (PricedNode(pool, START - SPAN, (Tenant("support/bot", WHOLE // 4, START - SPAN, pod),)),)


def tokens(count: int) -> dict[str, Tally]:
    return {"g-0": Tally(START, {"support/bot": Usage(1, count, 0)})}


def test_energy_is_the_shares_unless_it_was_measured() -> None:
    """100 W for 30 s; then measured."""
    state = advance(begin(START, {}), on(DRAWING), {}, START + TICK)
    assert sum_of(state.ledger).energy == {"RequestedShare": 3000 * JOULE}
    measured = Drawn({"support/bot": {"Kepler": 500 * JOULE}}, frozenset({"u-1"}), {"u-1": Meter({"package": 1})})
    state = advance(state, on(DRAWING), {}, START + 2 * TICK, measured)
    assert sum_of(state.ledger).energy == {"RequestedShare": 3000 * JOULE, "Kepler": 500 * JOULE}
    assert state.meters == measured.meters
    assert advance(state, (), {}, START + 3 * TICK).meters == {}, "a pod that is gone is forgotten"


def test_tokens_of_a_time_without_energy_are_not_set_beside_it() -> None:
    """A month in which the profile says its watts only later, and one model more that sleeps."""
    silent = replace(DRAWING, watts=0)
    state = advance(begin(START, {}), on(silent), tokens(1000), START + TICK)
    assert sum_of(state.ledger).metered == 0
    state = advance(state, on(DRAWING), tokens(1500), START + 2 * TICK)
    assert sum_of(state.ledger).metered == 500
    state = advance(state, (), tokens(1700), START + 3 * TICK)
    assert sum_of(state.ledger).metered == 700, "asleep: its last tokens are heard of later"
    state = advance(state, on(silent), tokens(5000), START + 4 * TICK)
    assert sum_of(state.ledger).metered == 700, "it runs, and nobody says what it draws"
    assert sum_of(state.ledger).usage.prompt == 5000
