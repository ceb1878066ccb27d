"""What the operator is told: busy, idle, and never idle by not knowing."""

import pytest

from smallmodel_operator.gateway.admin import Passing, Updates, refused, traffic_of, updates_of
from smallmodel_operator.gateway.signals import Activity, Held, look, report

BOT = "support/bot"


def idle_after(*looks: tuple[float, Passing, int]) -> float:
    """Idle seconds at the last of some looks (time, traffic, held)."""
    known: dict[str, Activity] = {}
    for now, passing, held in looks:
        known = look(known, [BOT], {BOT: passing}, {BOT: Held(held)}, now)
    at = looks[-1][0]
    return float(report("g", "t", True, known, {}, {}, at)["models"][BOT]["idleSeconds"])


@pytest.mark.parametrize(
    ("looks", "idle"),
    [
        ([(100.0, Passing(), 0)], 0),  # seen for the first time: nothing is known of the past
        ([(100.0, Passing(), 0), (400.0, Passing(), 0)], 300),
        ([(100.0, Passing(), 0), (300.0, Passing(0, 1), 0), (400.0, Passing(0, 1), 0)], 100),
        ([(100.0, Passing(0, 9), 0), (400.0, Passing(1, 9), 0)], 0),  # one long answer
        ([(100.0, Passing(0, 9), 0), (400.0, Passing(0, 9), 1)], 0),  # one that is held
        ([(100.0, Passing(0, 9), 0), (400.0, Passing(0, 0), 0)], 0),  # Envoy started again: counts as used
    ],
)
def test_idle_is_since_the_last_request(looks: list[tuple[float, Passing, int]], idle: float) -> None:
    assert idle_after(*looks) == idle


def test_models_that_left_are_forgotten() -> None:
    known = look({}, [BOT, "a/b"], {}, {}, 1.0)
    assert look(known, [BOT], {"a/b": Passing(1, 1)}, {}, 2.0).keys() == {BOT}


def test_a_held_request_is_counted_once() -> None:
    held = {BOT: Held(3, 2, [1.0, 1.23456])}
    known = look({}, [BOT], {BOT: Passing(4, 10)}, held, 5.0)
    said = report("gateway-0", "now", True, known, held, {BOT: 2}, 5.0)
    assert said == {
        "gateway": "gateway-0",
        "at": "now",
        "synced": True,
        "models": {
            BOT: {
                "inFlight": 1,
                "held": 3,
                "idleSeconds": 0.0,
                "endpoints": 2,
                "requests": 10,
                "wakes": 2,
                "coldStartSeconds": [1.0, 1.235],
            }
        },
    }


def test_envoys_numbers_are_read() -> None:
    stats = {
        "stats": [
            {"name": "cluster.support/bot.upstream_rq_active", "value": 2},
            {"name": "cluster.support/bot.upstream_rq_total", "value": 7},
            {"name": "cluster.smallmodel-agent.upstream_rq_total", "value": 1},
            {"name": "cluster.support/bot.default.upstream_rq_total", "value": 1},
            {"name": "cluster_manager.cds.update_rejected", "value": 1},
            {"name": "cluster_manager.cds.update_success", "value": 4},
            {"name": "http.gateway.rds.models.update_success", "value": 3},
            {"name": "http.tls.rds.models.update_rejected", "value": 2},
        ]
    }
    assert traffic_of(stats) == {BOT: Passing(2, 7)}
    assert updates_of(stats) == {"xds/cds.json": Updates(1, 4), "xds/rds.json": Updates(2, 3)}
    assert traffic_of({}) == {}


CDS = "xds/cds.json"


@pytest.mark.parametrize(
    ("before", "now", "standing", "still"),
    [
        (Updates(0, 1), Updates(0, 2), False, False),
        (Updates(0, 1), Updates(1, 1), False, True),
        (Updates(1, 1), Updates(1, 1), True, True),
        (Updates(1, 1), Updates(1, 2), True, False),
        (Updates(1, 1), Updates(2, 2), True, True),
    ],
)
def test_a_refused_file_is_one_until_the_next_is_taken(
    before: Updates, now: Updates, standing: bool, still: bool
) -> None:
    got = refused({CDS: before}, {CDS: now}, frozenset([CDS] if standing else []))
    assert got == frozenset([CDS] if still else [])


def test_a_first_look_sees_what_was_refused_before() -> None:
    assert refused({}, {CDS: Updates(1, 0)}, frozenset()) == {CDS}
