"""What pods drew between two looks at their counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.core.energy import JOULE, Drawn, Meter
from smallmodel_operator.energy.meter import LATE_MICROSECONDS, MOST_WATTS, Place, by_cpu, by_kepler, drawn

TICK = 30_000_000
BOT = Place("u-1", "support/bot", 400, 32_000)


def joules(**zones: float) -> dict[str, int]:
    return {zone: round(amount * 1e6) for zone, amount in zones.items()}


@pytest.mark.parametrize(
    ("before", "now", "drew"),
    [
        (joules(package=10, core=8), joules(package=15, core=12), 5),  # the package has the core in it
        (joules(package=10, dram=1), joules(package=15, dram=3), 7),
        (joules(package=10), joules(package=15, dram=3), 5),  # a zone that is new has no first look
        (joules(psys=10, core=5), joules(psys=18, core=9), 8),
        (joules(psys=10, package=5), joules(psys=18, package=9), 4),
        (joules(core=5, dram=1), joules(core=9, dram=2), 5),
        (joules(package=5, gpu=100), joules(package=6, gpu=150), 51),
        (joules(package=5), joules(package=5), 0),  # known to be nothing
    ],
)
def test_kepler_counts_zones_that_do_not_overlap(before: dict[str, int], now: dict[str, int], drew: int) -> None:
    assert by_kepler(before, now) == drew * JOULE


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {}),
        ({}, joules(package=5)),  # the first look
        (joules(package=5), {}),
        (joules(psys=5), joules(package=9)),
        (joules(dram=5), joules(dram=9)),
        (joules(package=5), joules(package=4)),  # Kepler began anew: its first value has older energy in it
        (joules(package=5, dram=2), joules(package=6, dram=1)),
    ],
)
def test_what_kepler_does_not_say_is_not_zero(before: dict[str, int], now: dict[str, int]) -> None:
    assert by_kepler(before, now) is None


def test_of_a_pod_with_a_gpu_the_processor_alone_says_nothing() -> None:
    before, now = joules(package=5), joules(package=9)
    assert by_kepler(before, now, devices=True) is None
    assert by_kepler({**before, "gpu": 0}, {**now, "gpu": 10**6}, devices=True) == 5 * JOULE
    place = Place("u-1", "support/bot", 400, 32_000, devices=True)
    meters = Meter({}, {"engine": 0}), Meter({}, {"engine": 10**6})
    assert drawn([place], {"u-1": meters[0]}, {"u-1": meters[1]}, TICK).pods == frozenset()


def test_processor_time_draws_the_nodes_watts_a_core() -> None:
    """400 W and 32 cores: 12.5 W a core."""
    assert by_cpu({"engine": 10 * 10**6}, {"engine": 18 * 10**6}, 400, 32_000) == 100 * JOULE
    assert by_cpu({"engine": 10 * 10**6}, {"engine": 8 * 10**6}, 400, 32_000) == 100 * JOULE, "a container began anew"
    two = {"engine": 10**6, "side": 10**6}, {"engine": 9 * 10**6, "side": 0}
    assert by_cpu(*two, 400, 32_000) == 100 * JOULE, "one that began anew takes nothing from the other"


@pytest.mark.parametrize(
    ("before", "now", "watts", "millicores"),
    [({}, {"engine": 5}, 400, 1000), ({"engine": 5}, {}, 400, 1000), ({"a": 1}, {"b": 2}, 400, 1000),
     ({"a": 1}, {"a": 2}, 0, 1000), ({"a": 1}, {"a": 2}, 400, 0)],
)  # fmt: skip
def test_what_processor_time_does_not_say_is_not_zero(
    before: dict[str, int], now: dict[str, int], watts: int, millicores: int
) -> None:
    assert by_cpu(before, now, watts, millicores) is None


def test_the_best_source_is_taken_pod_by_pod() -> None:
    places = [BOT, Place("u-2", "support/bot", 400, 32_000), Place("u-3", "crm/bot", 400, 32_000)]
    before = {
        "u-1": Meter(joules(package=1), {"engine": 0}),
        "u-2": Meter({}, {"engine": 0}),
    }
    now = {
        "u-1": Meter(joules(package=4), {"engine": 80 * 10**6}),
        "u-2": Meter(joules(package=9), {"engine": 8 * 10**6}),
        "u-3": Meter(joules(package=9), {"engine": 8 * 10**6}),
    }
    found = drawn(places, before, now, TICK)
    assert found.models == {"support/bot": {"Kepler": 3 * JOULE, "CpuSeconds": 100 * JOULE}}
    assert found.pods == {"u-1", "u-2"}
    assert found.meters == now
    assert drawn(places, now, {}, TICK) == Drawn(), "who said nothing begins with a first look"


def test_more_than_any_node_draws_is_not_believed() -> None:
    """Kepler has told of petajoules; processor time stands in."""
    most = MOST_WATTS * (TICK + LATE_MICROSECONDS)
    before = {"u-1": Meter({"package": 0}, {"engine": 0})}
    for joule, source in ((most, "Kepler"), (most + 1, "CpuSeconds")):
        now = {"u-1": Meter({"package": joule}, {"engine": 5})}
        assert list(drawn([BOT], before, now, TICK).models["support/bot"]) == [source]


COUNTERS = st.dictionaries(st.sampled_from(["package", "core", "dram", "psys", "gpu"]), st.integers(0, 10**12))


@given(first=COUNTERS, second=COUNTERS, third=COUNTERS)
def test_a_look_more_or_less_changes_nothing_while_counters_grow(
    first: dict[str, int], second: dict[str, int], third: dict[str, int]
) -> None:
    zones = first.keys() & second.keys() & third.keys()
    looks = [{z: sum(look[z] for look in (first, second, third)[: n + 1]) for z in zones} for n in range(3)]
    one, other = by_kepler(looks[0], looks[1]), by_kepler(looks[1], looks[2])
    whole = by_kepler(looks[0], looks[2])
    assert whole == (None if one is None or other is None else one + other)
