"""What the operator is told: busy, idle, and never idle by not knowing."""

import pytest

from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway.admin import Passing, refused, traffic_of, versions_of
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
    held = {BOT: Held(3, 2, [ColdStart(0.5, 0.5, 1.23456)])}
    known = look({}, [BOT], {BOT: Passing(4, 10)}, held, 5.0)
    said = report("gateway-0", "now", True, known, held, {BOT: 2}, 5.0, routes={"support/desk"})
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
                "coldStarts": [{"schedule": 0.5, "container": 0.5, "load": 1.235}],
            }
        },
        "routes": ["support/desk"],
    }


def test_envoys_numbers_are_read() -> None:
    stats = {
        "stats": [
            {"name": "cluster.support/bot.upstream_rq_active", "value": 2},
            {"name": "cluster.support/bot.upstream_rq_total", "value": 7},
            {"name": "cluster.smallmodel-agent.upstream_rq_total", "value": 1},
            {"name": "cluster.support/bot.default.upstream_rq_total", "value": 1},
            {"name": "cluster_manager.cds.version_text", "value": "a"},
            {"name": "http.gateway.rds.models.version_text", "value": "b"},
            {"name": "http.tls.rds.models.version_text", "value": "c"},
        ]
    }
    assert traffic_of(stats) == {BOT: Passing(2, 7)}
    assert versions_of(stats) == {"xds/cds.json": {"a"}, "xds/rds.json": {"b", "c"}}
    assert traffic_of({}) == {}


CDS, RDS = "xds/cds.json", "xds/rds.json"


@pytest.mark.parametrize(
    ("served", "names"),
    [
        ({}, set()),  # not loaded yet
        ({CDS: {"1"}, RDS: {"2"}}, set()),
        ({CDS: {"0"}, RDS: {"2"}}, {CDS}),
        ({CDS: {"1"}, RDS: {"2", "1"}}, {RDS}),  # one of two listeners
    ],
)
def test_what_envoy_does_not_serve_was_refused(served: dict[str, set[str]], names: set[str]) -> None:
    assert refused({CDS: "1", RDS: "2"}, {k: frozenset(v) for k, v in served.items()}) == names


def test_a_file_without_a_version_is_not_judged() -> None:
    assert refused({CDS: ""}, {CDS: frozenset({"1"})}) == frozenset()
