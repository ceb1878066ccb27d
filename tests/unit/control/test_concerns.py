"""The order of the concerns, and what is planned while one of them holds the rest back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.control import concerns, scale
from smallmodel_operator.core.facts import Snapshot, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import key_of
from smallmodel_operator.core.remember import facts_of
from smallmodel_operator.core.trial import Answers
from smallmodel_operator.resolve import Resolved, Site, parse, resolve

ARTIFACT = "sha256:" + "a" * 64 + "/model.gguf"
DECLARED = {"resources": {"requests": {"memory": "1Gi"}}}


def resolved(**spec: Any) -> Resolved:
    body = objects.model(**spec)
    return resolve(body, parse(body), objects.profile(), Site())


def snapshot(facts: WeightsFacts | None = None, **more: Any) -> Snapshot:
    return Snapshot(now=objects.NOW, inspected={ARTIFACT: facts} if facts else {}, **more)


def kinds(decision: concerns.Decision) -> list[str]:
    return [kind for kind, _ in map(key_of, decision.plan.objects)]


def test_unknown_weights_without_declared_memory_are_waited_for() -> None:
    decision = concerns.decide(resolved(), snapshot())
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.INSPECTING
    assert kinds(decision) == ["Job", "NetworkPolicy"]
    assert not decision.plan.prune


def test_with_declared_memory_nothing_waits() -> None:
    decision = concerns.decide(resolved(compute=DECLARED), snapshot())
    assert decision.hold is None
    assert kinds(decision) == ["Deployment", "Job", "NetworkPolicy", "Service", "Service"]


def test_a_template_nobody_looked_at_keeps_pods_from_starting_though_memory_is_declared() -> None:
    decision = concerns.decide(resolved(compute=DECLARED, checks={"chatTemplate": "Enforce"}), snapshot())
    assert isinstance(decision.hold, NotYet)
    assert "Deployment" not in kinds(decision)


def test_a_refused_template_leaves_what_runs_and_what_is_said_of_it() -> None:
    found = replace(FACTS, template_finding="Endless in line 1 of `tokenizer.chat_template`", chat_template="c" * 64)
    live = {key_of(o): o for o in concerns.decide(resolved(), snapshot(FACTS)).plan.objects}
    decision = concerns.decide(resolved(), snapshot(found, children=live))
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.UNSAFE_TEMPLATE
    assert not decision.plan.prune, "the pods of the old version stay"
    assert "Deployment" not in kinds(decision)
    assert "weights" not in decision.plan.status, "it goes on to describe what serves"


def test_the_secret_of_the_key_is_mounted_by_the_job() -> None:
    signed = {"uri": "pvc://models/m.gguf", "verification": {"publicKeySecretRef": {"name": "keys", "key": "k.pub"}}}
    decision = concerns.decide(resolved(source=signed), snapshot(claims={"models": {"metadata": {"uid": "u"}}}))
    (job,) = [o for o in decision.plan.objects if o["kind"] == "Job"]
    (volume,) = [v for v in job["spec"]["template"]["spec"]["volumes"] if v["name"] == "key"]
    assert volume["secret"]["secretName"] == "keys"


def test_known_weights_are_served_and_remembered() -> None:
    decision = concerns.decide(resolved(), snapshot(FACTS))
    assert decision.hold is None
    assert kinds(decision) == ["Deployment", "NetworkPolicy", "Service", "Service"]
    assert facts_of(decision.plan.status) == FACTS
    memory = decision.plan.status["memory"]
    assert 0 < memory["estimatedBytes"] <= memory["requestedBytes"]
    assert decision.plan.status["endpoint"] == {"url": "http://bot.support.svc.cluster.local/v1", "model": "bot"}


def test_what_does_not_fit_is_refused_but_remembered() -> None:
    limits = {"resources": {"limits": {"memory": "1Mi"}}}
    decision = concerns.decide(resolved(compute=limits), snapshot(FACTS))
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.DOES_NOT_FIT
    assert facts_of(decision.plan.status) == FACTS
    assert "Deployment" not in kinds(decision)


def test_memory_derived_once_is_kept_when_the_estimate_changes() -> None:
    first = concerns.decide(resolved(), snapshot(FACTS))
    live = {key_of(o): o for o in first.plan.objects}
    made = live["Deployment", "bot"]
    made["metadata"]["annotations"]["smallmodel.dev/derived-memory"] = "777Mi"
    made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "777Mi"
    again = concerns.decide(resolved(), snapshot(FACTS, children=live))
    assert again.plan.status["memory"]["requestedBytes"] == 777 * 2**20


@pytest.mark.parametrize("spec", [{"suspend": True}, {"replicas": 0}])
def test_off_with_known_weights_keeps_a_deployment_of_none(spec: dict[str, Any]) -> None:
    decision = concerns.decide(resolved(**spec), snapshot(FACTS))
    (deployment,) = [o for o in decision.plan.objects if o["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    "source", [{"uri": "pvc://gone/m.gguf"}, {"uri": "https://weights.test/m.gguf", "sha256": "d" * 64}]
)
def test_off_while_the_weights_are_not_there_takes_the_pods_and_leaves_the_guard(source: dict[str, Any]) -> None:
    decision = concerns.decide(resolved(source=source, suspend=True), snapshot())
    assert {"NetworkPolicy", "Service"} <= set(kinds(decision))
    assert "Deployment" not in kinds(decision)
    assert decision.plan.prune


def test_what_was_frozen_is_forgotten_when_nothing_moves_any_more() -> None:
    frozen = {"decidedOn": "x", "uri": "https://h.test/m.gguf", "sha256": "d" * 64}
    pinned = replace(resolved(compute=DECLARED), frozen=frozen)
    assert concerns.decide(pinned, snapshot()).plan.status["source"] is None
    moving = resolved(source={"uri": "hf://org/bot@main", "allowMutable": True}, compute=DECLARED)
    assert "source" not in concerns.decide(replace(moving, frozen=frozen), snapshot()).plan.status


def test_only_a_download_gets_a_way_out() -> None:
    https = resolved(source={"uri": "https://weights.test/m.gguf", "sha256": "d" * 64})
    claims = {"smallmodel-weights": {"metadata": {"uid": "c"}}}
    download = concerns.decide(https, snapshot(claims=claims))
    inspection = concerns.decide(resolved(), snapshot())
    names = [
        [o["metadata"]["name"] for o in d.plan.objects if o["kind"] == "NetworkPolicy"] for d in (download, inspection)
    ]
    assert names == [["bot", "bot-download"], ["bot"]]


def test_a_download_that_may_go_nowhere_is_not_begun() -> None:
    """A Job without its policy would reach everything."""
    claims = {"smallmodel-weights": {"metadata": {"uid": "c"}}}
    source = {"uri": "https://169.254.169.254:80/m.gguf", "sha256": "d" * 64}
    decision = concerns.decide(resolved(source=source), snapshot(claims=claims))
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.INVALID_SPEC
    assert "Job" not in kinds(decision)


@pytest.mark.parametrize(
    ("ready", "available", "seconds"),
    [(("True", 90), ("True", 20), 20.0), (("True", 90), ("False", 20), 0.0), (("False", 5), ("True", 20), 0.0)],
    ids=["woken: Ready stayed True", "asleep or starting", "not reachable yet"],
)
def test_up_seconds_are_those_it_has_answered_for(
    ready: tuple[str, int], available: tuple[str, int], seconds: float
) -> None:
    conditions = [
        {
            "type": kind,
            "status": status,
            "lastTransitionTime": (objects.NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for kind, (status, ago) in (("Ready", ready), ("Available", available))
    ]
    assert scale.up_seconds(snapshot(previous_status={"conditions": conditions})) == pytest.approx(seconds, abs=1)
    assert scale.up_seconds(snapshot()) == 0


def test_a_stop_keeps_no_model_from_falling_asleep() -> None:
    """Its Ready is False for no fault of its own: it has answered for as long as it is Available."""
    since = (objects.NOW - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stopped = {"type": "Ready", "status": "False", "reason": "InferenceStopped", "lastTransitionTime": since}
    answers = {"type": "Available", "status": "True", "reason": "Serving", "lastTransitionTime": since}
    assert scale.up_seconds(snapshot(previous_status={"conditions": [stopped, answers]})) == pytest.approx(90, abs=1)
    assert scale.up_seconds(snapshot(previous_status={"conditions": [stopped]})) == 0


def ctx_size(decision: concerns.Decision) -> int:
    (deployment,) = (o for o in decision.plan.objects if o["kind"] == "Deployment")
    args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    return int(args[args.index("--ctx-size") + 1])


ONE_SLOT = {"parallelSlots": 1}


@pytest.mark.parametrize(("trained", "used"), [(1024, 1024), (4096, 4096), (32768, 4096), (0, 4096)])
def test_a_context_nobody_asked_for_is_never_more_than_the_model_was_trained_for(trained: int, used: int) -> None:
    known = snapshot(replace(FACTS, context_length=trained))
    assert ctx_size(concerns.decide(resolved(engine=ONE_SLOT), known)) == used


@pytest.mark.parametrize("compute", [{}, DECLARED])
def test_a_context_beyond_the_training_is_refused_before_any_pod(compute: dict[str, Any]) -> None:
    decision = concerns.decide(resolved(engine={"contextSize": 4096}, compute=compute), snapshot(FACTS))
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.INVALID_SPEC
    for said in ("`spec.engine.contextSize` is 4096", "trained for a context of 2048 tokens", "Set it to 2048 or less"):
        assert said in decision.hold.message
    assert "Deployment" not in kinds(decision)
    assert facts_of(decision.plan.status) == FACTS
    assert not decision.plan.prune


def test_a_context_up_to_the_training_is_served_as_asked() -> None:
    engine = {**ONE_SLOT, "contextSize": 2048}
    assert ctx_size(concerns.decide(resolved(engine=engine), snapshot(FACTS))) == 2048


def test_pods_that_started_before_the_header_was_known_are_not_replaced_for_their_context() -> None:
    wish = resolved(engine=ONE_SLOT, compute=DECLARED)
    first = concerns.decide(wish, snapshot())
    assert ctx_size(first) == 4096
    children = {key_of(o): o for o in first.plan.objects if o["kind"] == "Deployment"}
    assert ctx_size(concerns.decide(wish, snapshot(FACTS, children=children))) == 4096
    edited = resolved(engine={"parallelSlots": 2}, compute=DECLARED)
    assert ctx_size(concerns.decide(edited, snapshot(FACTS, children=children))) == 2 * 2048


@pytest.mark.parametrize(("asked", "said"), [(4096, ()), (8192, (Reason.INVALID_SPEC,))])
def test_pods_that_run_with_too_much_context_go_on(asked: int, said: tuple[Reason, ...]) -> None:
    """4096 was the default in stored objects: nobody asked for it."""
    wish = resolved(engine={**ONE_SLOT, "contextSize": asked}, compute=DECLARED)
    children = {key_of(o): o for o in concerns.decide(wish, snapshot()).plan.objects if o["kind"] == "Deployment"}
    decision = concerns.decide(wish, snapshot(FACTS, children=children))
    assert decision.hold is None
    assert ctx_size(decision) == asked
    assert tuple(p.reason for p in decision.plan.problems) == said


GOLDEN = {"golden": {"configMapRef": {"name": "questions"}}}
QUESTIONS = {"questions": {"data": {"golden.jsonl": '{"id": "a", "prompt": "p", "expect": {"exact": "x"}}'}}}


def _tried(decision: concerns.Decision) -> list[Any]:
    return [o for o in decision.plan.objects if o["kind"] == "Job"]


def test_a_version_with_golden_prompts_is_tried_in_a_pod_no_service_selects() -> None:
    decision = concerns.decide(resolved(checks=GOLDEN), snapshot(FACTS, config_maps=QUESTIONS))
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.ASKING_GOLDEN
    assert kinds(decision) == ["Job", "NetworkPolicy"]
    (job,) = _tried(decision)
    template = job["spec"]["template"]
    (plain,) = [o for o in concerns.decide(resolved(), snapshot(FACTS)).plan.objects if o["kind"] == "Deployment"]
    assert template["spec"]["containers"] == plain["spec"]["template"]["spec"]["containers"]
    assert template["metadata"]["labels"]["smallmodel.dev/role"] == "candidate"
    assert not plain["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert job["metadata"]["name"].startswith("bot-golden-")
    again = concerns.decide(resolved(checks=GOLDEN), snapshot(FACTS, config_maps=QUESTIONS))
    assert _tried(again) == [job], "the same version is the same Job"


def test_it_serves_once_it_has_answered_and_is_not_tried_again() -> None:
    world = snapshot(FACTS, config_maps=QUESTIONS)
    (job,) = _tried(concerns.decide(resolved(checks=GOLDEN), world))
    ready = objects.ready("bot-golden-1")
    ready["metadata"]["labels"] = job["spec"]["template"]["metadata"]["labels"]
    ready["status"]["podIP"] = "10.0.0.9"
    asking = concerns.decide(resolved(checks=GOLDEN), replace(world, pods=(ready,)))
    (trial,) = asking.plan.trials
    assert (trial.address, trial.consistency) == ("10.0.0.9", True)
    passed = concerns.decide(
        resolved(checks=GOLDEN), replace(world, pods=(ready,), trials={trial.key: Answers((), 100)})
    )
    assert passed.hold is None
    assert "Deployment" in kinds(passed)
    assert _tried(passed) == []
    status = {"quality": passed.plan.status["quality"]}
    after = concerns.decide(resolved(checks=GOLDEN), replace(world, previous_status=status))
    assert after.hold is None, "an operator that restarted in between goes on where it was"


def test_a_version_that_failed_leaves_the_one_before_as_it_is() -> None:
    before = concerns.decide(resolved(), snapshot(FACTS)).plan
    live = {key_of(o): o for o in before.objects}
    world = snapshot(FACTS, config_maps=QUESTIONS, children=live)
    other = resolved(checks=GOLDEN, engine={"args": ["--temp", "1"]})
    held = concerns.decide(other, world)
    assert isinstance(held.hold, NotYet)
    assert "Deployment" not in kinds(held)
    assert not held.plan.prune
    same = concerns.decide(resolved(checks=GOLDEN), world)
    assert same.hold is None, "what served before golden prompts were named is not new"


def test_off_nothing_is_tried_and_nothing_waits() -> None:
    decision = concerns.decide(resolved(checks=GOLDEN, suspend=True), snapshot(FACTS, config_maps=QUESTIONS))
    assert decision.hold is None
    assert kinds(decision) == ["NetworkPolicy", "Service", "Service"]
    assert decision.plan.prune


def test_a_pod_that_cannot_be_tried_says_why() -> None:
    world = snapshot(FACTS, config_maps=QUESTIONS)
    (job,) = _tried(concerns.decide(resolved(checks=GOLDEN), world))
    stuck = objects.crashed("error: invalid argument: --nope")
    stuck["metadata"]["labels"] = job["spec"]["template"]["metadata"]["labels"]
    decision = concerns.decide(resolved(checks=GOLDEN), replace(world, pods=(stuck,)))
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.CRASH_LOOP
    assert "--nope" in decision.hold.message
    assert _tried(decision) == [job], "it stays to be looked at"
