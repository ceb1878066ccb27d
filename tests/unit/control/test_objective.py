"""A model with an objective: what its controller is told, what it says, and what stands in the status."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling import measured
from smallmodel_operator.autoscaling.prompts import BINS, bin_of
from smallmodel_operator.control import concerns, objective, scale, verdict
from smallmodel_operator.control.objective import Held, Subject, tick
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.scaling import Bounds, Latency, Objective, Scaled, Standing
from smallmodel_operator.core.traffic import Counts, GatewayReport, Judged, Traffic
from smallmodel_operator.resolve import Resolved, Site, parse, resolve

ASKED = {
    "mode": "Objective", "maxReplicas": 4,
    "objectives": {"latency": {"percentile": 90, "timeToFirstTokenMilliseconds": 800}},
}  # fmt: skip
CAPACITY = {
    "prefillTokensPerSecond": "300", "timeToFirstTokenMilliseconds": 260, "coldStartSeconds": 2,
    "decodeTokensPerSecond": [{"concurrency": 1, "tokensPerSecond": "20"}],
}  # fmt: skip
ONE_SLOT = measured.profile(CAPACITY, 1)
GOAL = Objective(0.8, 90, 1, 4)
ARTIFACT = "sha256:" + "a" * 64 + "/model.gguf"


def resolved(**scaling: Any) -> Resolved:
    spec: dict[str, Any] = {"scaling": {**ASKED, **scaling}, "engine": {"parallelSlots": 1}}
    body = objects.model(**spec)
    return resolve(body, parse(body), objects.profile(), Site())


def live(replicas: int, available: int) -> dict[tuple[str, str], Any]:
    deployment = objects.deployment(replicas=available, availableReplicas=available, updatedReplicas=available)
    return {("Deployment", "bot"): {**deployment, "spec": {"replicas": replicas}}}


def snapshot(**more: Any) -> Snapshot:
    return Snapshot(now=objects.NOW, inspected={ARTIFACT: FACTS}, **more)


def started(created: float, ready: float) -> dict[str, Any]:
    """A server pod, by seconds ago."""
    made = objects.ready()
    made["metadata"]["creationTimestamp"] = objects.ago(created)
    made["status"]["podIP"] = "10.0.0.7"
    made["status"]["conditions"][0]["lastTransitionTime"] = objects.ago(ready)
    return made


class Gateways:
    """What one gateway says of a model that answers 30 tokens to 100, on as many replicas as are asked for."""

    def __init__(self, asked: Objective = GOAL) -> None:
        self.held, self.now, self.ended, self.good = Held(), 1000.0, 0, 0
        self.of = Subject("uid", asked, ONE_SLOT, 0.26, 1, 1, 1, 2.0)
        self.moves: list[int] = []

    def tick(self, ended: int = 0, good: int | None = None, in_flight: int = 0, silent: bool = False) -> Scaled:
        self.now += 5
        self.ended += ended
        self.good += ended if good is None else good
        prompts = [0] * BINS
        prompts[bin_of(100)] = n = self.ended
        written = [0] * BINS
        written[bin_of(30)] = n
        first, inter, end = (Judged(bound, n, self.good) for bound in self.of.objective.bounds)
        counts = Counts("a", first.seconds, n, first.counted, first.good, n, 100 * n, 30 * n, 1.45 * n, 29 * n,
                        tuple(prompts), inter, end, tuple(written))  # fmt: skip
        report = GatewayReport("g", 60.0 if silent else 0.1, True, in_flight, counts=counts)
        self.held = tick(self.held, self.of, Traffic((report,)), self.now)
        said = self.held.said
        assert said is not None
        if said.replicas != self.of.replicas:
            self.moves.append(said.replicas)
            self.of = replace(self.of, replicas=said.replicas, ready=said.replicas)
        return said

    def run(self, ticks: int, ended: int = 0, **more: Any) -> Scaled:
        for _ in range(ticks):
            said = self.tick(ended, **more)
        return said


def test_load_that_one_slot_cannot_carry_adds_replicas_and_its_end_takes_them_away() -> None:
    gateways = Gateways()
    gateways.run(10)
    said = gateways.run(12, 4, good=1, in_flight=3)
    assert said.replicas > 1
    assert "requests/s planned for" in said.why
    high = said.replicas
    said = gateways.run(400)
    assert said.replicas == 1
    assert max(gateways.moves) >= high
    downs = [b < a for a, b in zip([1, *gateways.moves], gateways.moves, strict=False)]
    assert downs == sorted(downs), "up, then down, and no to and fro"


def test_the_word_stays_the_same_while_only_numbers_move() -> None:
    gateways = Gateways()
    gateways.run(30, 1)
    before = gateways.held.said
    gateways.run(30, 1)
    assert gateways.held.said is before


def test_silence_keeps_what_runs_and_is_said_within_a_minute_of_the_last_word() -> None:
    gateways = Gateways()
    gateways.run(20, 4, good=1, in_flight=3)
    high = gateways.of.replicas
    said = gateways.run(500, silent=True)
    assert (said.replicas, said.known) == (high, False)
    assert gateways.run(20, 1).known, "and it is said when they speak again"


def test_only_a_change_of_direction_is_an_event() -> None:
    gateways = Gateways()
    turns = []
    for ended, ticks in ((0, 10), (4, 40), (0, 400)):
        for _ in range(ticks):
            said = gateways.tick(ended, good=ended // 4, in_flight=3 if ended else 0)
            if said.turn and said.turn not in turns:
                turns.append(said.turn)
    assert len(gateways.moves) >= 2
    assert len(turns) == 2, turns


def test_a_replica_that_does_not_come_is_not_waited_for() -> None:
    """No node has room for the second: the wish for it ends with the load."""
    gateways = Gateways()
    gateways.run(20, 4, good=1, in_flight=3)
    wanted = gateways.of.replicas
    assert wanted > 1
    gateways.of = replace(gateways.of, ready=1)
    for _ in range(500):
        gateways.tick()
        gateways.of = replace(gateways.of, ready=1)
    assert gateways.of.replicas == 1


def test_a_wish_that_nobody_grants_is_said_once_though_the_need_comes_and_goes() -> None:
    """A full pool leaves it at one replica; what it needs at the moment is another matter."""
    gateways = Gateways()
    gateways.run(60, 4, good=1)
    one = replace(gateways.of, replicas=1, ready=1)
    words, needs = [], []
    for number in range(160):
        gateways.of = one
        words.append(gateways.tick(4 if number // 6 % 2 else 0, good=1 if number // 6 % 2 else 0))
        needs.append(gateways.held.needs)
    assert sum(a != b for a, b in itertools.pairwise(needs[40:])) >= 10
    assert len({id(word) for word in words[40:]}) <= 3, "what is learnt meanwhile is news"
    for _ in range(100):
        gateways.of = one
        said = gateways.tick()
    assert said.replicas == 1, "it ends with the load"


def test_held_and_waiting_requests_are_in_the_look() -> None:
    of = Subject("uid", GOAL, ONE_SLOT, 0.26, 2, 3, 2)
    traffic = Traffic((GatewayReport("g", 0.1, True, in_flight=7, held=2), GatewayReport("h", 60, True, in_flight=9)))
    seen = objective.look(of, traffic, None, 5.0, False)
    assert (seen.ready, seen.starting, seen.in_flight, seen.waiting) == (2, 1, 9, 2 + 3)


# -- what a pass makes of it -----------------------------------------------------------------------------------


def test_the_subject_is_what_the_deployment_and_calibration_say() -> None:
    made = objective.subject(resolved(), snapshot(children=live(3, 2), previous_status={"capacity": CAPACITY}))
    assert made is not None
    assert (made.objective, made.replicas, made.ready, made.slots) == (GOAL, 3, 2, 1)
    assert (made.profile, made.first_token) == (ONE_SLOT, 0.26)


def test_before_it_is_measured_a_start_takes_as_long_as_the_pod_took() -> None:
    """How long what is idle is kept goes by it: a guess of half a minute would keep it longer than it has to be."""
    made = objective.subject(resolved(), snapshot(children=live(1, 1), pods=(started(30, 18),)))
    assert made is not None
    assert (made.start_seconds, made.profile.start_seconds) == (12, 12)


@pytest.mark.parametrize(
    ("of", "children"),
    [(resolved(), {}), (resolved(), live(0, 0)), (replace(resolved(), replicas=0), live(1, 1)),
     (replace(resolved(), objective=None), live(1, 1))],
    ids=["no Deployment", "asleep", "off", "no objective"],
)  # fmt: skip
def test_there_is_nothing_to_follow(of: Resolved, children: Mapping[Any, Any]) -> None:
    assert objective.subject(of, snapshot(children=children)) is None


def planned(said: Scaled | None, children: Mapping[Any, Any], **more: Any) -> concerns.Decision:
    return concerns.decide(resolved(), snapshot(children=children, scaled=said, **more))


def replicas(decision: concerns.Decision) -> int:
    (deployment,) = [o for o in decision.plan.objects if o["kind"] == "Deployment"]
    return int(deployment["spec"]["replicas"])


def test_replicas_and_the_sentence_are_the_controllers() -> None:
    decision = planned(Scaled(3, "3 instead of 1: because", turn="3 instead of 1: because"), live(1, 1))
    assert replicas(decision) == 3
    scaling = decision.plan.status["scaling"]
    assert (scaling["desired"], scaling["why"]) == (3, "3 instead of 1: because")
    assert [n.message for n in decision.plan.notes] == ["Replicas: 3 instead of 1: because."]


def test_after_a_restart_what_runs_is_kept() -> None:
    assert replicas(planned(None, live(3, 3))) == 3
    assert replicas(planned(None, {})) == 1


def test_limits_hold_whatever_was_said() -> None:
    assert replicas(planned(Scaled(9, "of an older wish"), live(2, 2))) == 4


def test_the_last_changes_are_kept_and_bounded() -> None:
    status: dict[str, Any] = {}
    for number in (1, 2, 2, 3, 1, 2, 1, 2):
        found = objective.decisions(number, f"now {number}", snapshot(previous_status={"scaling": status}))
        status = {"desired": number, "decisions": found}
    assert [d["replicas"] for d in status["decisions"]] == [3, 1, 2, 1, 2]


def told(said: Scaled | None, of: Resolved | None = None, **more: Any) -> dict[Condition, Report]:
    return {r.condition: r for r in objective.part(of or resolved(), False, snapshot(scaled=said, **more)).reports}


def first(attained: float | None = None, nearest: float = 0.0) -> tuple[Standing, ...]:
    return (Standing(Latency.FIRST_TOKEN, attained, None if attained is None else attained >= 90, nearest),)


@pytest.mark.parametrize(
    ("said", "active", "met"),
    [
        (None, (None, Reason.SIGNALS_PENDING), (None, Reason.FEW_ANSWERS)),
        (Scaled(2, ""), (True, Reason.FOLLOWING), (None, Reason.FEW_ANSWERS)),
        (Scaled(2, "", known=False), (False, Reason.SIGNALS_MISSING), (None, Reason.FEW_ANSWERS)),
        (Scaled(2, "", standings=first(93)), (True, Reason.FOLLOWING), (True, Reason.OBJECTIVE_MET)),
        (Scaled(4, "", exhausted=True, standings=first(71.24)), (True, Reason.REPLICAS_EXHAUSTED),
         (False, Reason.OBJECTIVE_MISSED)),
        (Scaled(1, "", standings=first(nearest=1.5)), (True, Reason.FOLLOWING), (False, Reason.OBJECTIVE_INFEASIBLE)),
    ],
)  # fmt: skip
def test_how_it_stands(
    said: Scaled | None, active: tuple[bool | None, Reason], met: tuple[bool | None, Reason]
) -> None:
    found = told(said)
    assert [(r.status, r.reason) for r in found.values()] == [active, met]


def test_an_impossible_objective_is_said_at_once_with_the_nearest_number() -> None:
    report = told(None, previous_status={"capacity": {**CAPACITY, "timeToFirstTokenMilliseconds": 950}})
    message = report[Condition.LATENCY_OBJECTIVE_MET].message
    assert "90 % of first tokens within 800 ms cannot be had" in message
    assert "950 ms" in message


ALL = {"percentile": 95, "timeToFirstTokenMilliseconds": 800, "interTokenMilliseconds": 60,
       "endToEndMilliseconds": 4000}  # fmt: skip


def all_bounds(*percents: float | None, nearest: Bounds = Bounds()) -> Report:  # noqa: B008 - a value
    """The condition of a model with three bounds of 95 %, by what each attained."""
    stand = tuple(
        Standing(kind, percent, None if percent is None else percent >= 95, least)
        for kind, percent, least in zip(Latency, percents, nearest, strict=True)
    )
    found = told(Scaled(2, "", standings=stand), resolved(objectives={"latency": ALL}))
    return found[Condition.LATENCY_OBJECTIVE_MET]


def test_every_bound_is_resolved() -> None:
    assert resolved(objectives={"latency": ALL}).objective == Objective(0.8, 95, 1, 4, 0.06, 4.0)
    only = {"percentile": 95, "endToEndMilliseconds": 4000}
    assert resolved(objectives={"latency": only}).objective == Objective(0.0, 95, 1, 4, 0.0, 4.0)


def test_the_condition_names_the_bounds_that_are_missed() -> None:
    assert all_bounds(96, 97, 98).status is True
    missed = all_bounds(96, 71.24, 80)
    assert missed.reason is Reason.OBJECTIVE_MISSED
    assert missed.message == (
        "71.2 % were; asked for are 95 % of streams within 60 ms from token to token; "
        "80.0 % were; asked for are 95 % of answers complete within 4000 ms."
    )
    assert "first tokens" not in missed.message


def test_a_bound_without_answers_is_no_success() -> None:
    few = all_bounds(96, None, 98)
    assert (few.status, few.reason) == (None, Reason.FEW_ANSWERS)
    assert few.message.startswith("Fewer than 20 streams were counted for 95 % of streams within 60 ms")


def test_an_impossible_bound_is_said_with_its_nearest_number_and_its_field() -> None:
    report = all_bounds(96, 20, 98, nearest=Bounds(0.2, 0.0751, 1.5))
    assert (report.status, report.reason) == (False, Reason.OBJECTIVE_INFEASIBLE)
    assert "within 60 ms from token to token cannot be had" in report.message
    assert "alone takes at least 75 ms. Set `interTokenMilliseconds`" in report.message
    assert "endToEnd" not in report.message


def test_what_one_token_took_is_said_before_anybody_asks() -> None:
    slow = {**CAPACITY, "decodeTokensPerSecond": [{"concurrency": 1, "tokensPerSecond": "12.5"}]}
    found = told(None, resolved(objectives={"latency": ALL}), previous_status={"capacity": slow})
    message = found[Condition.LATENCY_OBJECTIVE_MET].message
    assert "95 % of streams within 60 ms from token to token cannot be had" in message
    assert "80 ms" in message


def test_before_it_is_measured_the_memory_says_what_a_token_takes() -> None:
    weights = {"tensorBytes": 3_000_000_000, "tokenEmbeddingBytes": 200_000_000}
    fast = objects.profile(memoryBandwidthBytesPerSecond=100_000_000_000)
    slow = objects.profile(memoryBandwidthBytesPerSecond=35_000_000_000)

    def met(profile: Any, said: Scaled | None = None, **status: Any) -> Report:
        body = objects.model(scaling={**ASKED, "objectives": {"latency": ALL}})
        wish = resolve(body, parse(body), profile, Site())
        return told(said, wish, previous_status=status)[Condition.LATENCY_OBJECTIVE_MET]

    assert met(fast, weights=weights).reason is Reason.FEW_ANSWERS
    assert met(objects.profile(), weights=weights).reason is Reason.FEW_ANSWERS, "nobody said how fast it is"
    assert met(slow, weights={**weights, "experts": 8}).reason is Reason.FEW_ANSWERS, "a token reads some of them only"
    assert met(slow, weights=weights, capacity=CAPACITY).reason is Reason.FEW_ANSWERS, "what was measured counts"
    unheard = Scaled(1, "", standings=tuple(Standing(kind) for kind in Latency))
    for said in (None, unheard):
        report = met(slow, said, weights=weights)
        assert report.reason is Reason.OBJECTIVE_INFEASIBLE
        assert "takes at least 80 ms" in report.message


def test_live_the_tightest_bound_says_how_many() -> None:
    """30 tokens at 50 ms each: first tokens are in time, whole answers are not, until replicas are enough."""
    lax = Gateways(Objective(60.0, 90, 1, 4))
    both = Gateways(Objective(60.0, 90, 1, 4, end_to_end=3.0))
    for gateways in (lax, both):
        gateways.run(30, 2, in_flight=2)
    assert lax.of.replicas < both.of.replicas
    assert both.held.said is not None
    for words in ("for 90 % within 60 s; ", "for 90 % within 3 s to the end"):
        assert words in both.held.said.why


def test_a_refused_wish_keeps_its_limits() -> None:
    request, off = verdict.wanted(objects.model(scaling={**ASKED, "minReplicas": 0}))
    assert (request.limits, request.may_sleep, off) == ((1, 4), True, None)
    found = scale.count("bot", request, snapshot(children=live(2, 2), scaled=Scaled(3, "so")))
    assert (found.replicas, found.why) == (3, "so")
