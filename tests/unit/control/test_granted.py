"""What a grant makes of a model's replicas, and twenty models that take turns on a pool for six."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.control.test_objective import live, resolved, snapshot
from tests.unit.control.test_pool import BUSY, HELD, IDLE, SILENT, node, pod, tenant

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.room import Priority, Room
from smallmodel_operator.autoscaling.sleep import Count, SleepRequest
from smallmodel_operator.control import concerns, granted, scale, verdict
from smallmodel_operator.control import pool as pools
from smallmodel_operator.control.pool import Applicant, PoolStanding, Site
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.scaling import Granted, Scaled
from smallmodel_operator.core.traffic import GatewayReport, Traffic
from smallmodel_operator.gateway.state import Model
from smallmodel_operator.resolve import Site as Installation

SLEEPS = SleepRequest(1, may_sleep=True)
AWAKE, WAKES = Count(1, "awake"), Count(1, "a replica starts", waking=True)
YIELD = Granted(0, "0 of 1: idle, it yields", idle=True, running=1)
FULL = Granted(0, "0 of 1: the pool is full; it is held by crm/bot (Critical) 100 %")
SAID = {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "PoolFull"}]}
OLD = Traffic((GatewayReport("g", 2.0, True, idle=60),))


@pytest.mark.parametrize(
    ("found", "told", "available", "traffic", "status", "expected"),
    [
        (AWAKE, None, 1, BUSY, {}, (1, False)),
        (AWAKE, YIELD, 1, IDLE, {}, (0, True)),
        (AWAKE, YIELD, 1, BUSY, {}, (1, False)),
        (AWAKE, YIELD, 1, SILENT, {}, (1, False)),
        (AWAKE, YIELD, 1, OLD, {}, (1, False)),
        (AWAKE, replace(FULL, running=1), 1, BUSY, {}, (1, False)),
        (AWAKE, replace(FULL, running=1), 1, BUSY, SAID, (0, True)),
        (AWAKE, FULL, 1, BUSY, SAID, (1, False)),
        (WAKES, FULL, 0, HELD, {}, (1, False)),
        (WAKES, FULL, 0, HELD, SAID, (0, True)),
        (WAKES, replace(YIELD, running=0), 0, IDLE, {}, (0, True)),
        (WAKES, replace(FULL, replicas=1, full=False), 0, HELD, SAID, (1, False)),
        (Count(0, "asleep", asleep=True), FULL, 0, IDLE, {}, (0, True)),
        (replace(AWAKE, replicas=3), replace(FULL, replicas=2), 1, BUSY, {}, (2, False)),
    ],
    ids=[
        "nothing said", "idle yields", "a request came since", "a silent gateway", "a word that is old",
        "busy, and gateways do not know yet", "busy, for a higher priority", "it found room since",
        "somebody waits, and gateways do not know yet", "somebody waits", "nobody waits for its start",
        "has only to wait", "is asleep", "a part of what it wants",
    ],
)  # fmt: skip
def test_replicas(
    found: Count, told: Granted | None, available: int, traffic: Traffic, status: dict[str, Any], expected: Any
) -> None:
    seen = snapshot(granted=told, traffic=traffic, previous_status=status)
    count = granted.limited(found, SLEEPS, 3 if found.replicas == 3 else 1, available, seen)
    assert (count.replicas, count.asleep) == expected
    if told and count.replicas < found.replicas:
        assert told.why in count.why
    if traffic is OLD:
        assert count.look_again_seconds == 0.5, "asked again at once"


def test_that_there_is_no_room_is_said_a_moment_before_it_is_done() -> None:
    seen = snapshot(granted=FULL, traffic=HELD)
    assert granted.limited(WAKES, SLEEPS, 1, 0, seen).look_again_seconds == 0.5


def test_fixed_replicas_and_floors_stay() -> None:
    told = snapshot(granted=replace(FULL, running=3), traffic=IDLE)
    assert granted.limited(Count(2, "fixed"), SleepRequest(2), 2, 2, told).replicas == 2
    follows = SleepRequest(1, limits=(2, 4))
    assert granted.limited(Count(4, "wanted"), follows, 3, 3, told).replicas == 2


def test_why_it_sleeps_is_remembered() -> None:
    body = objects.model(scaling={"minReplicas": 0})
    request, _ = verdict.wanted(body)
    before = {"scaling": {"desired": 0, "why": f"{granted.YIELDED}0 of 1: idle, it yields"}}
    asleep = snapshot(children=live(0, 0), previous_status=before)
    assert scale.count("bot", request, asleep).why == before["scaling"]["why"]
    woken = snapshot(children=live(1, 0), previous_status=before)
    assert scale.count("bot", request, woken).why == "a replica starts"
    usual = snapshot(children=live(0, 0), previous_status={"scaling": {"why": "asleep: no request came for 300 s"}})
    assert scale.count("bot", request, usual).why == "asleep: no request came for 300 s"


def test_the_condition_names_who_holds_the_room() -> None:
    asked = Part(reports=(Report(Condition.SCALING_ACTIVE, True, Reason.FOLLOWING, "."),))
    (report,) = granted.part(asked, snapshot(granted=FULL)).reports
    assert (report.status, report.reason) == (False, Reason.POOL_FULL)
    assert "crm/bot (Critical)" in report.message
    (some,) = granted.part(asked, snapshot(granted=replace(FULL, replicas=1))).reports
    assert some.status is True, "it scales, within what there is"
    for nothing in (None, YIELD, replace(FULL, full=False)):
        assert granted.part(asked, snapshot(granted=nothing)) is asked
    assert granted.part(asked, snapshot(granted=FULL)).look_again_seconds == 10, "gateways want to be asked"


def test_a_model_that_follows_an_objective_gets_what_there_is() -> None:
    seen = snapshot(
        children=live(2, 2), scaled=Scaled(4, "4 instead of 2: load"), traffic=BUSY,
        granted=Granted(3, "3 of 4: the pool is full; it is held by crm/bot (Critical) 60 %"),
    )  # fmt: skip
    decision = concerns.decide(resolved(), seen)
    (deployment,) = (o for o in decision.plan.objects if o["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert decision.plan.status["scaling"]["why"].startswith("3 of 4: the pool is full")
    reports = {r.condition: r for r in decision.plan.reports}
    assert reports[Condition.SCALING_ACTIVE].reason is Reason.POOL_FULL


@pytest.mark.parametrize(
    ("told", "ready", "stalled"),
    [
        (None, ("False", "Unschedulable"), "True"),
        (FULL, ("False", "PoolFull"), "False"),
        (replace(FULL, replicas=1, full=False), ("True", "Waking"), "False"),
    ],
    ids=["no pool is shared", "no room", "room is being made"],
)
def test_a_pod_that_waits_its_turn_is_no_reason_to_refuse_who_is_held(
    told: Granted | None, ready: Any, stalled: str
) -> None:
    """Stalled would be: nothing passes by itself. A gateway answers 503 at once then."""
    body = objects.model(scaling={"minReplicas": 0})
    before = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": objects.ago(90)}]}
    pods = (objects.unschedulable(90),)
    seen = snapshot(children=live(1, 0), pods=pods, granted=told, traffic=HELD, previous_status=before)
    wish = verdict.understand(body, lambda _: objects.profile(), Installation())
    plan = verdict.decide(body, wish, seen, Installation()).plan
    status = verdict.judge(body, seen, plan, None).status
    found = {c["type"]: c for c in status["conditions"]}
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ready
    assert found["Stalled"]["status"] == stalled


# -- twenty models on a pool for six ---------------------------------------------------------------------------

START, ANSWER, DRAIN, TICK = 15, 10, 5, 5


@dataclass
class Department:
    """A model with its Deployment, its one pod, and those who wait for it."""

    name: str
    priority: Priority
    replicas: int = 0
    placed: int | None = None
    ends: int | None = None
    waits: list[int] = field(default_factory=list)
    done: int | None = None
    asked_at: int = -1000
    longest: int = 0
    size: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    standing: PoolStanding = field(default_factory=PoolStanding)

    @property
    def key(self) -> tuple[str, str]:
        return ("city", self.name)


class City:
    """A node with `room` cores, a scheduler that takes the last that fits, and gateways that hold and wake whoever is
    not said to have no room."""

    def __init__(self, room: int, priorities: list[Priority]) -> None:
        self.room, self.now = room, 0
        self.all = [Department(f"department-{n:02}", p) for n, p in enumerate(priorities)]
        self.pending: list[Department] = []
        self.most = self.writes = 0

    def ask(self, of: Department) -> None:
        of.waits.append(self.now)
        of.asked_at = self.now

    def second(self) -> None:
        self.now += 1
        for one in self.all:
            if one.waits and not one.replicas and not _full(one.status):
                one.replicas = 1  # its gateway wakes it
                self.pending.append(one)
            if one.ends is not None and self.now >= one.ends:
                one.ends = None
        used = sum(d.size * ((d.placed is not None) + (d.ends is not None)) for d in self.all)
        while fits := [d for d in self.pending if used + d.size <= self.room]:
            self.pending.remove(fits[-1])
            fits[-1].placed = self.now
            used += fits[-1].size
        self.most = max(self.most, used)
        for one in self.all:
            self._answer(one)
        if not self.now % TICK:
            self._tick()

    def _answer(self, one: Department) -> None:
        if one.done is not None and self.now >= one.done:
            one.done = None
        if one.waits and one.done is None and one.placed is not None and self.now >= one.placed + START:
            one.longest = max(one.longest, self.now - one.waits.pop(0))
            one.done = self.now + ANSWER
            one.asked_at = one.done

    def _traffic(self, one: Department) -> Traffic:
        busy, idle = one.done is not None, max(0, self.now - one.asked_at)
        report = GatewayReport(
            "g", 0.1, True, in_flight=int(busy), held=len(one.waits), idle=0 if busy or one.waits else idle
        )
        return Traffic((report,))

    def _tick(self) -> None:
        rows = {}
        for one in self.all:
            if one.replicas or granted.slept(one.status):
                ready = int(one.placed is not None and self.now >= one.placed + START)
                room = Room(float(one.size), 2.0**30)
                known = tenant(one.replicas, ready, priority=one.priority, uid=one.name, replica=room)
                rows[one.key] = Applicant(known, None, self._traffic(one), one.standing)
        pods = [(d.key, pod(cpu=str(d.size))) for d in self.all if d.placed is not None]
        pods += [(d.key, pod(cpu=str(d.size), deletionTimestamp="now")) for d in self.all if d.ends is not None]
        found = (
            pools.decide(rows, Site([node(cpu=str(self.room))], [], pods), float(self.now))
            if pools.tight(rows.values())
            else {}
        )
        for one in self.all:
            one.standing = found.get(one.key, PoolStanding())
            self._write(one)
            self._write(one)  # first said, then done

    def _write(self, one: Department) -> None:
        request = SleepRequest(1, may_sleep=True, idle_seconds=300)
        available = int(one.placed is not None and self.now >= one.placed + START)
        seen = snapshot(
            children=live(one.replicas, available), granted=one.standing.granted, traffic=self._traffic(one),
            previous_status=one.status,
        )  # fmt: skip
        count = scale.count("bot", request, seen)
        told = granted.part(Part(), seen).reports
        conditions = [{"type": r.condition, "status": str(r.status), "reason": r.reason} for r in told]
        one.status = {"scaling": {"desired": count.replicas, "why": count.why}, "conditions": conditions}
        if count.replicas or not one.replicas:
            return
        self.writes += 1
        one.replicas = 0
        if not granted.slept(one.status):
            one.standing = PoolStanding()
        if one in self.pending:
            self.pending.remove(one)
        if one.placed is not None:
            one.placed, one.ends = None, (one.done or self.now) + DRAIN


def _full(status: dict[str, Any]) -> bool:
    return Model.of({**objects.model(), "status": status}).full


def test_twenty_departments_share_a_pool_for_six_and_nobody_waits_for_ever() -> None:
    city = City(6, [Priority.STANDARD] * 20)
    for second in range(3600):
        if not second % 12:
            city.ask(city.all[second // 12 * 7 % 20])
        city.second()
    while any(d.waits for d in city.all) and city.now < 7200:
        city.second()
    assert not any(d.waits for d in city.all), "none lost"
    assert city.most == 6
    assert max(d.longest for d in city.all) < 120, "as long as a request is held"


def test_critical_departments_go_first() -> None:
    city = City(3, [Priority.CRITICAL] * 2 + [Priority.BATCH] * 6)
    for second in range(1800):
        for one in city.all[2:]:
            if not len(one.waits):
                city.ask(one)  # always asked
        if not second % 120:
            for one in city.all[:2]:
                city.ask(one)
        city.second()
    assert max(d.longest for d in city.all[:2]) <= 2 * START + ANSWER + DRAIN + 2 * TICK


def test_a_large_critical_model_gets_the_room_of_many_small_ones_that_are_always_asked() -> None:
    """Whoever of them were woken as soon as it has yielded would take back its part of the room, each in turn."""
    city = City(4, [Priority.CRITICAL] + [Priority.BATCH] * 6)
    city.all[0].size = 4
    for second in range(1200):
        for one in city.all[1:]:
            if not len(one.waits):
                city.ask(one)
        if second == 300:
            city.ask(city.all[0])
        city.second()
    assert 0 < city.all[0].longest <= START + ANSWER + DRAIN + 2 * TICK


def test_with_room_for_all_nobody_sleeps_before_its_time() -> None:
    city = City(20, [Priority.STANDARD] * 20)
    for second in range(280):
        if second < 20:
            city.ask(city.all[second])
        city.second()
    assert city.writes == 0


# -- after a restart -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "since", "found"),
    [
        ("False", "PoolFull", 400, 400.0),
        ("False", "PoolFull", None, 0.0),
        ("False", "PoolFull", -5, 0.0),
        ("True", "PoolFull", 400, 0.0),
        ("False", "SignalsMissing", 400, 0.0),
    ],
)
def test_since_when_a_model_waits_for_room_stands_in_its_status(
    status: str, reason: str, since: float | None, found: float
) -> None:
    condition = {"type": "ScalingActive", "status": status, "reason": reason}
    condition |= {} if since is None else {"lastTransitionTime": objects.ago(since)}
    assert granted.waited(snapshot(previous_status={"conditions": [condition]})) == found
