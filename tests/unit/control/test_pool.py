"""One pool, many models: what each claims of real nodes and pods, and what it is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.control.test_objective import live, resolved, snapshot

from smallmodel_operator.autoscaling.room import Priority, Room
from smallmodel_operator.control import pool
from smallmodel_operator.control.granted import YIELDED
from smallmodel_operator.control.pool import Applicant, PoolStanding, Site, Tenant
from smallmodel_operator.core.scaling import Granted, Scaled, Stranger
from smallmodel_operator.core.traffic import GatewayReport, Traffic
from smallmodel_operator.resolve import Resolved, parse, resolve
from smallmodel_operator.resolve import Site as Installation

IDLE, BUSY, HELD = (
    Traffic((GatewayReport("g", 0.1, True, in_flight=n, held=h, idle=i),))
    for n, h, i in ((0, 0, 60), (1, 0, 0), (0, 2, 0))
)
SILENT = Traffic((GatewayReport("g", 60.0, True, idle=600.0),))
BOT, LAW, CRM = ("support", "bot"), ("law", "bot"), ("crm", "bot")


def node(name: str = "a", cpu: str = "2", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": more.pop("labels", {})}
    return {"metadata": meta, "spec": more, "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}}


def pod(on: str = "a", cpu: str = "1", *, role: str = "server", phase: str = "Running", **meta: Any) -> dict[str, Any]:
    requests = {"requests": {"cpu": cpu, "memory": "1Gi"}}
    return {
        "metadata": {"labels": {"smallmodel.dev/role": role}, **meta},
        "spec": {"nodeName": on, "containers": [{"resources": requests}]},
        "status": {"phase": phase},
    }


def tenant(replicas: int = 1, ready: int = 1, **more: Any) -> Tenant:
    plain: dict[str, Any] = {
        "uid": "uid", "priority": Priority.STANDARD, "replica": Room(1.0, 2.0**30), "selector": {}, "tolerations": (),
        "awake": 1, "floor": 0,
    }  # fmt: skip
    return Tenant(replicas=replicas, ready=ready, **{**plain, **more})


def applicant(
    traffic: Traffic = IDLE, said: Scaled | None = None, standing: PoolStanding | None = None, **more: Any
) -> Applicant:
    return Applicant(tenant(**more), said, traffic, standing or PoolStanding())


def granted(found: Mapping[tuple[str, str], PoolStanding]) -> dict[tuple[str, str], int | None]:
    return {model: s.granted.replicas if s.granted else None for model, s in found.items()}


def manual(**scaling: Any) -> Resolved:
    body = objects.model(scaling=scaling)
    return resolve(body, parse(body), objects.profile(), Installation())


# -- who takes part --------------------------------------------------------------------------------------------


def _live(replicas: int, available: int) -> dict[tuple[str, str], Any]:
    made = live(replicas, available)[("Deployment", "bot")]
    requests = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    template = {"spec": {"nodeSelector": {"zone": "b"}, "containers": [{"resources": {"requests": requests}}]}}
    return {("Deployment", "bot"): {**made, "spec": {"replicas": replicas, "template": template}}}


def test_what_may_sleep_or_follows_an_objective_shares_the_pool() -> None:
    found = pool.tenant(manual(minReplicas=0, priority="Critical"), snapshot(children=_live(2, 1)))
    assert found is not None
    assert found.replica == Room(0.5, 2.0**30, {"nvidia.com/gpu": 1.0})
    assert (found.priority, found.selector, found.replicas, found.ready) == (Priority.CRITICAL, {"zone": "b"}, 2, 1)
    assert (found.floor, found.awake) == (0, 1)
    follows = pool.tenant(resolved(minReplicas=2), snapshot(children=_live(3, 3)))
    assert follows is not None
    assert (follows.floor, follows.priority, follows.wants(None)) == (2, Priority.STANDARD, 3)
    assert pool.tenant(resolved(minReplicas=0), snapshot(children=_live(3, 3))) == replace(follows, floor=0)


def test_for_how_long_it_has_answered_or_waited_stands_in_its_conditions() -> None:
    def said(kind: str, status: str, reason: str, since: float) -> dict[str, Any]:
        return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": objects.ago(since)}

    up = {"conditions": [said("Ready", "True", "Serving", 900), said("Available", "True", "Available", 700)]}
    runs = pool.tenant(manual(minReplicas=0), snapshot(children=_live(1, 1), previous_status=up))
    slept = {"scaling": {"desired": 0, "why": f"{YIELDED}0 of 1: the pool is full"}}
    short = {**slept, "conditions": [said("ScalingActive", "False", "PoolFull", 400)]}
    waits = pool.tenant(manual(minReplicas=0), snapshot(children=_live(0, 0), previous_status=short))
    assert [t.lasted if t else None for t in (runs, waits)] == [700.0, 400.0]


@pytest.mark.parametrize(
    ("of", "more"),
    [
        (manual(), {"children": _live(1, 1)}),
        (manual(minReplicas=0), {"children": _live(0, 0)}),
        (manual(minReplicas=0), {}),
        (manual(minReplicas=0), {"children": _live(1, 1), "stranger": Stranger("hpa", 3)}),
    ],
    ids=["fixed", "asleep", "nothing yet", "left to somebody else"],
)
def test_what_is_fixed_asleep_or_left_alone_does_not(of: Resolved, more: dict[str, Any]) -> None:
    assert pool.tenant(of, snapshot(**more)) is None


def test_what_sleeps_for_want_of_room_does() -> None:
    of = manual(minReplicas=0)
    yielded = {"scaling": {"desired": 0, "why": "asleep in a full pool: 0 of 1: idle, it yields"}}
    found = pool.tenant(of, snapshot(children=_live(0, 0), previous_status=yielded))
    assert found is not None
    assert (found.replicas, found.ready) == (0, 0)
    assert [Applicant(found, None, traffic).wants for traffic in (IDLE, HELD, SILENT)] == [0, 1, 1]


# -- when there is something to decide -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (applicant(), False),
        (applicant(ready=0), True),
        (applicant(said=Scaled(1, "")), False),
        (applicant(said=Scaled(2, "")), True),
        (applicant(awake=3), True),
        (applicant(replicas=0, ready=0), False),
        (applicant(HELD, replicas=0, ready=0), True),
    ],
    ids=[
        "has all",
        "starts",
        "objective is content",
        "objective wants more",
        "woken with one of three",
        "sleeps for want of room",
        "sleeps so, and is asked",
    ],
)
def test_nodes_are_looked_at_only_where_more_is_wanted_than_there_is(of: Applicant, expected: bool) -> None:
    assert pool.tight([of]) is expected


# -- the decision ----------------------------------------------------------------------------------------------


def test_with_room_enough_nobody_is_told_anything() -> None:
    rows = {BOT: applicant(), LAW: applicant(HELD, ready=0)}
    found = pool.decide(rows, Site([node()], [], [(BOT, pod())]), 100.0)
    assert granted(found) == {BOT: None, LAW: None}


def test_an_idle_model_yields_to_one_that_wakes() -> None:
    rows = {BOT: applicant(), CRM: applicant(BUSY), LAW: applicant(HELD, ready=0)}
    found = pool.decide(rows, Site([node()], [], [(BOT, pod()), (CRM, pod())]), 100.0)
    assert found[BOT].granted == Granted(0, "0 of 1: idle, it yields", full=True, idle=True, running=1)
    assert found[CRM].granted is None
    assert found[LAW].granted == Granted(1, "1, once there is the room that support/bot yields", full=False)


def test_who_sleeps_for_want_of_room_waits_for_it_as_long_as_somebody_asks() -> None:
    waits = {"replicas": 0, "ready": 0}
    rows = {BOT: applicant(BUSY, priority=Priority.CRITICAL), LAW: applicant(HELD, priority=Priority.BATCH, **waits)}
    pods = [(BOT, pod())]
    first = pool.decide(rows, Site([node(cpu="1")], [], pods), 100.0)
    assert first[LAW].granted == Granted(0, "0 of 1: the pool is full; it is held by support/bot (Critical) 100 %")
    later = {**rows, LAW: replace(rows[LAW], standing=first[LAW])}
    assert pool.decide(later, Site([node(cpu="2")], [], pods), 400.0)[LAW].granted is None, "a node came"
    rows = {**later, LAW: replace(later[LAW], traffic=IDLE)}
    gone = pool.decide(rows, Site([node(cpu="1")], [], pods), 200.0)
    assert gone[LAW].granted is None, "nobody waits any more: the next request wakes it"


def test_what_anybody_else_requests_is_taken() -> None:
    rows = {LAW: applicant(HELD, ready=0)}
    mine = [(BOT, pod()), (LAW, pod(role="inspect", cpu="500m"))]
    assert granted(pool.decide(rows, Site([node()], [pod(cpu="400m")], mine), 1.0)) == {LAW: 0}, "1 + 0.5 + 0.4 of 2"
    ended = [(BOT, pod(phase="Succeeded")), mine[1]]
    assert granted(pool.decide(rows, Site([node()], [pod(cpu="400m")], ended), 1.0)) == {LAW: None}
    assert granted(pool.decide(rows, Site([node()], [pod(cpu="400m", phase="Failed")], mine[:1]), 1.0)) == {LAW: None}


def test_a_replica_that_ends_has_its_room_until_it_is_gone() -> None:
    """Else two would be told at once that there is room for them."""
    rows = {BOT: applicant(HELD, ready=0), LAW: applicant(HELD, ready=0)}
    leaves = pod(deletionTimestamp="2026-01-01T00:00:00Z")
    found = pool.decide(rows, Site([node()], [], [(CRM, leaves)]), 1.0)
    assert sorted(str(n) for n in granted(found).values()) == ["0", "None"]


def test_nodes_a_model_may_not_use_have_no_room_for_it() -> None:
    rows = {LAW: applicant(HELD, ready=0, selector={"zone": "b"})}
    taint = {"key": "gpu", "effect": "NoSchedule"}
    closed = [
        node("a"),
        node("b", labels={"zone": "b"}, unschedulable=True),
        node("c", labels={"zone": "b"}, taints=[taint]),
    ]
    told = pool.decide(rows, Site(closed, [], []), 1.0)[LAW].granted
    assert told is not None
    assert told.why == "0 of 1: no node is open to it"
    tolerates = {LAW: applicant(HELD, ready=0, selector={"zone": "b"}, tolerations=({"operator": "Exists"},))}
    assert granted(pool.decide(tolerates, Site(closed, [], []), 1.0)) == {LAW: None}


def test_silent_gateways_keep_what_runs() -> None:
    rows = {BOT: applicant(SILENT, priority=Priority.BATCH), LAW: applicant(HELD, ready=0, priority=Priority.CRITICAL)}
    assert granted(pool.decide(rows, Site([node(cpu="1")], [], [(BOT, pod())]), 1.0)) == {BOT: None, LAW: 0}


def test_who_was_asked_a_moment_ago_does_not_yield_to_its_equals() -> None:
    just = Traffic((GatewayReport("g", 0.1, True, idle=1.0),))
    rows = {BOT: applicant(just, standing=PoolStanding(True, 0.0)), LAW: applicant(HELD, ready=0)}
    site = Site([node(cpu="1")], [], [(BOT, pod())])
    assert granted(pool.decide(rows, site, 30.0)) == {BOT: None, LAW: 0}
    assert granted(pool.decide({**rows, BOT: applicant(IDLE)}, site, 30.0)) == {BOT: 0, LAW: 1}


def test_a_busy_model_leaves_even_its_last_room_to_a_higher_priority() -> None:
    rows = {
        BOT: applicant(BUSY, priority=Priority.BATCH, standing=PoolStanding(True, 0.0)),
        LAW: applicant(HELD, ready=0, priority=Priority.CRITICAL),
    }
    found = pool.decide(rows, Site([node(cpu="1")], [], [(BOT, pod())]), 100.0)
    assert found[BOT].granted == Granted(
        0, "0 of 1: the pool is full; it is held by law/bot (Critical) 100 %", full=True, idle=False, running=1
    )


def test_its_controller_says_what_a_replica_is_worth() -> None:
    said, site = Scaled(2, ""), Site([node(cpu="3")], [], [(BOT, pod()), (LAW, pod())])
    rows = {m: applicant(BUSY, said) for m in (BOT, LAW)}
    for best in rows:
        worth = {m: (9.0, 5.0) if m == best else (9.0, 1.0) for m in rows}
        found = pool.decide(rows, site, 1.0, worth.__getitem__)
        assert granted(found) == {m: None if m == best else 1 for m in rows}


def test_who_waits_for_long_gets_a_turn_and_keeps_it() -> None:
    site, standing = Site([node(cpu="1")], [], [(BOT, pod())]), {BOT: PoolStanding(True, 0.0), LAW: PoolStanding()}
    seen = []
    for now in range(0, 700, 5):
        rows = {BOT: applicant(BUSY, standing=standing[BOT]), LAW: applicant(HELD, ready=0, standing=standing[LAW])}
        standing = dict(pool.decide(rows, site, float(now)))
        seen.append(granted(standing)[LAW])
    assert seen[:120] == [0] * 120, "who runs has its ten minutes"
    assert set(seen[120:]) == {1}


def test_the_sentence_stays_while_the_same_hold_the_room() -> None:
    rows = {BOT: applicant(BUSY, replica=Room(1.0)), LAW: applicant(HELD, ready=0)}
    site = Site([node(cpu="1")], [], [(BOT, pod())])
    first = pool.decide(rows, site, 0.0)
    more = pool.decide(
        {m: replace(a, standing=first[m]) for m, a in rows.items()}, Site([node(cpu="1.9")], [], site.pods), 5.0
    )
    assert more[LAW].granted == first[LAW].granted, "its share moved, and that is no news"
    other = {CRM: applicant(BUSY), LAW: replace(rows[LAW], standing=first[LAW])}
    again = pool.decide(other, Site([node(cpu="1")], [], [(CRM, pod())]), 10.0)
    assert again[LAW].granted == first[LAW].granted, "said seldom"
    again = pool.decide(other, Site([node(cpu="1")], [], [(CRM, pod())]), 70.0)
    assert "crm/bot" in (again[LAW].granted.why if again[LAW].granted else "")


def test_what_runs_has_room_where_it_runs() -> None:
    """On a node that was not read yet, and with other requests than it is to have."""
    rows = {BOT: applicant(BUSY), LAW: applicant(HELD, ready=0)}
    assert granted(pool.decide(rows, Site([node()], [], [(BOT, pod("new"))]), 1.0)) == {BOT: None, LAW: None}
    assert granted(pool.decide(rows, Site([], [], [(BOT, pod("new"))]), 1.0)) == {BOT: None, LAW: 0}
    larger = {BOT: applicant(BUSY, replica=Room(3.0, 2.0**30)), LAW: rows[LAW]}
    assert granted(pool.decide(larger, Site([node()], [], [(BOT, pod())]), 1.0)) == {BOT: None, LAW: None}
    assert granted(pool.decide(larger, Site([node(cpu="1")], [], [(BOT, pod())]), 1.0)) == {BOT: None, LAW: 0}


def test_nobody_leaves_a_node_that_holds_more_than_it_should() -> None:
    rows = {BOT: applicant(BUSY), CRM: applicant(IDLE), LAW: applicant(HELD, ready=0, replica=Room(9.0))}
    found = pool.decide(rows, Site([node(cpu="1")], [], [(BOT, pod()), (CRM, pod())]), 1.0)
    assert granted(found) == {BOT: None, CRM: None, LAW: 0}


def test_who_holds_the_room_is_said_as_soon_as_somebody_does() -> None:
    """While it is being left nobody does."""
    leaves = pod(deletionTimestamp="2026-01-01T00:00:00Z")
    first = pool.decide({LAW: applicant(HELD, ready=0)}, Site([node(cpu="1")], [], [(BOT, leaves)]), 0.0)
    assert first[LAW].granted == Granted(0, "0 of 1: no node has room for one more")
    rows = {CRM: applicant(BUSY), LAW: applicant(HELD, ready=0, standing=first[LAW])}
    told = pool.decide(rows, Site([node(cpu="1")], [], [(CRM, pod())]), 5.0)[LAW].granted
    assert told is not None
    assert "crm/bot" in told.why


@pytest.mark.parametrize("broken", [{"metadata": {"name": "a"}, "status": {"allocatable": {"cpu": "many"}}}])
def test_a_node_that_is_not_as_kubernetes_writes_it_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="many"):
        pool.decide({LAW: applicant(HELD, ready=0)}, Site([broken], [], []), 1.0)


# -- what a replica is worth -----------------------------------------------------------------------------------


def test_room_follows_what_lasts_and_not_the_moment() -> None:
    """Two equals want two replicas each of a node that holds three."""
    wants = Scaled(2, "")
    rows = {BOT: applicant(BUSY, wants, replicas=2, ready=2), LAW: applicant(BUSY, wants)}
    site = Site([node(cpu="3")], [], [(BOT, pod()), (BOT, pod()), (LAW, pod())])
    calm = {BOT: (2.0, 1.0), LAW: (2.0, 0.5)}
    burst = {**calm, LAW: (3.0, 3.0)}
    now, told = 0.0, []
    for gains in (*[calm] * 24, burst, *[calm] * 24, *[burst] * 60):
        now += 5.0
        found = pool.decide(rows, site, now, gains.__getitem__)
        rows = {model: replace(a, standing=found[model]) for model, a in rows.items()}
        told.append(granted(found))
    assert all(word == {BOT: None, LAW: 1} for word in told[:49]), "also while one look says otherwise"
    assert told[-1] == {BOT: 1, LAW: 2}, "which waits for the other to leave"


def test_who_has_nothing_is_judged_by_what_comes_now() -> None:
    """It slept for long, and was worth nothing all the while."""
    rows = {BOT: applicant(BUSY, replicas=1), LAW: applicant(IDLE, replicas=0, ready=0)}
    rows[BOT] = replace(rows[BOT], standing=PoolStanding(True, -1000.0))
    site = Site([node(cpu="1")], [], [(BOT, pod())])
    for now in range(0, 600, 5):
        found = pool.decide(rows, site, float(now), {BOT: (1.0,), LAW: (0.0,)}.__getitem__)
        rows = {model: replace(a, standing=found[model]) for model, a in rows.items()}
    rows[LAW] = replace(rows[LAW], traffic=HELD)
    found = pool.decide(rows, site, 600.0, {BOT: (1.0,), LAW: (4.0,)}.__getitem__)
    assert granted(found) == {BOT: 0, LAW: 1}
