"""The scaling benchmark judges by the cheapest setting that held, and its loads are the same each time."""

from xml.etree import ElementTree

from hack.bench.scaling.__main__ import BOUNDS, cases, judge, numbers, summary
from hack.bench.scaling.loads import KINDS, generate
from hack.bench.scaling.plot import draw


def row(policy: str, target: float, attained: float, hours: float, reversals: int) -> dict[str, object]:
    value = {"trace": "t", "policy": policy, "target": target, "attainment_percent": attained, "actions": 9}
    return value | {"replica_hours": hours, "reversals": reversals}


ROWS = [
    row("objective", 1.4, 95.5, 10.5, 3),
    row("hpa-inflight", 4, 97, 12.0, 20),
    row("hpa-inflight", 6, 95.1, 10.0, 22),
    row("hpa-inflight", 8, 94.9, 9.0, 24),
    {"trace": "t", "policy": "ceiling", "target": 16, "attainment_percent": 99.0},
    {"trace": "t", "policy": "at-once", "target": 1, "attainment_percent": 96.0},
]


def test_the_cheapest_setting_that_held_is_the_measure() -> None:
    (verdict,) = judge(ROWS)
    assert verdict["cheapest"] == "hpa-inflight:6"
    assert (verdict["dearer_percent"], verdict["cheapest_reversals"], verdict["feasible"]) == (5.0, 22, True)


def test_where_no_setting_held_there_is_no_measure() -> None:
    (verdict,) = judge([r for r in ROWS if r["target"] in (1.4, 8, 16, 1)])
    assert "cheapest" not in verdict


def test_what_none_can_that_begins_with_the_least_is_not_counted_as_feasible() -> None:
    missed = row("objective", 0.7, 94.0, 9.0, 1)
    late = ROWS[-1] | {"attainment_percent": 94.5}
    held, short = judge([missed, *ROWS[:-1], late])[::-1]
    assert (held["held"], held["feasible_from_minimum"]) == (True, True)
    assert (short["held"], short["feasible"], short["feasible_from_minimum"]) == (False, True, False)
    assert summary([held, short]) == {
        "runs": 2,
        "held": 1,
        "infeasible_from_minimum": 1,
        "within_5_percent": 2,
        "held_within_5_percent": 1,
        "fewer_reversals": 2,
        "cheapest_reverses": 2,
    }


def test_other_seeds_can_be_asked_for() -> None:
    assert {c.seed for c in cases(1.0, numbers("7,11")) if c.kind in KINDS} == {7, 11}


def test_a_seed_gives_one_load() -> None:
    for kind in KINDS:
        first, again = (generate(kind, 7, 0.2) for _ in range(2))
        assert first == again
        assert list(first.at) == sorted(first.at)
        assert first != generate(kind, 8, 0.2)


def test_the_picture_shows_what_fits_it() -> None:
    picture = ElementTree.fromstring(draw([r for r in ROWS if r["policy"] not in BOUNDS]))
    dots = [e for e in picture.iter() if e.tag.endswith("circle") and float(e.get("cy", "0")) > 30]
    assert len(dots) == 4
