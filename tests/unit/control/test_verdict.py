"""The pure half of a pass; the golden cases hold the rest of it."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.control import verdict
from smallmodel_operator.core.facts import Boundary, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan, key_of
from smallmodel_operator.resolve import Site

SITE = Site()
EMPTY = Snapshot(now=objects.NOW)
NOTHING = Plan.of([], prune=False)


def understand(body: dict[str, Any], profile: Any = None) -> verdict.Wish:
    return verdict.understand(body, lambda _: profile, SITE)


def test_a_wish_names_what_the_snapshot_must_cover() -> None:
    source = {"uri": "pvc://models/bot", "path": "m.gguf"}
    wish = understand(objects.model(source=source), objects.profile())
    assert wish.resolved is not None
    assert (wish.claims, wish.artifact, wish.hold) == (("models",), "pvc:models/bot/m.gguf", None)


def test_the_profile_is_asked_for_by_its_name() -> None:
    asked: list[str] = []
    body = objects.model(compute={"profileRef": {"name": "gpu"}})
    verdict.understand(body, lambda name: asked.append(name), SITE)
    assert asked == ["gpu"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (objects.model(replicas=-1), Reason.INVALID_SPEC),
        (objects.model(), Reason.PROFILE_NOT_FOUND),
        (objects.model(source={"uri": "oci://registry.test/m:latest"}), Reason.INVALID_SPEC),
        ({**objects.model(), "spec": None}, Reason.INVALID_SPEC),
    ],
)
def test_what_is_not_understood_is_held_with_a_reason(body: dict[str, Any], reason: Reason) -> None:
    profile = None if reason is Reason.PROFILE_NOT_FOUND else objects.profile()
    wish = understand(body, profile)
    assert wish.resolved is None
    assert wish.hold is not None
    assert wish.hold.reason is reason


def test_what_is_not_understood_changes_nothing_that_runs() -> None:
    body = objects.model()
    decision = verdict.decide(body, understand(body), EMPTY, SITE)
    assert (decision.plan.objects, decision.plan.prune) == ((), False)


@pytest.mark.parametrize("spec", [{"suspend": True}, {"replicas": 0}])
def test_off_is_off_whatever_else_is_wrong(spec: dict[str, Any]) -> None:
    body = objects.model(**spec)
    decision = verdict.decide(body, understand(body), EMPTY, SITE)
    assert [key_of(o) for o in decision.plan.objects] == [
        ("NetworkPolicy", "bot"),
        ("Service", "bot"),
        ("Service", "bot-pods"),
    ]
    assert decision.plan.prune, "the Deployment is not in the plan, so it goes"
    assert decision.hold is not None


@pytest.mark.parametrize(
    ("hold", "seconds"),
    [
        (None, 600),
        (NotYet(Reason.INSPECTING, "x", after_seconds=7), 7),
        (Refused(Reason.CLAIM_NOT_FOUND, "x", recheck_seconds=15), 15),
        (Refused(Reason.PROFILE_NOT_FOUND, "x"), 600),
    ],
)
def test_when_it_looks_again(hold: Refused | NotYet | None, seconds: float) -> None:
    said = verdict.judge(objects.model(), EMPTY, NOTHING, hold)
    assert said.look_again_seconds == seconds
    assert said.refused == isinstance(hold, Refused)


def test_the_earliest_look_counts() -> None:
    live = objects.deployment()
    snapshot = Snapshot(now=objects.NOW, children={("Deployment", "bot"): live}, pods=(objects.unschedulable(50),))
    hold = NotYet(Reason.INSPECTING, "x", after_seconds=30)
    assert verdict.judge(objects.model(), snapshot, NOTHING, hold).look_again_seconds == 10


def test_a_stop_changes_no_plan_and_nobody_looks_again_for_it() -> None:
    """What runs stays; whoever sees the boundary change pokes."""
    body = objects.model()
    live = {**objects.deployment(), "status": {"availableReplicas": 1}}
    free = replace(EMPTY, children={("Deployment", "bot"): live})
    stopped = replace(free, boundary=Boundary(stopped="inference is stopped in the whole cluster"))
    assert understand(body, objects.profile()).resolved is not None
    plans = [verdict.decide(body, understand(body, objects.profile()), seen, SITE).plan for seen in (free, stopped)]
    assert plans[0].objects == plans[1].objects
    assert plans[0].objects
    looks = [verdict.judge(body, seen, NOTHING, None).look_again_seconds for seen in (free, stopped)]
    assert looks == [verdict.NO_GATEWAY_LOOK_SECONDS, verdict.RESYNC_SECONDS]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, (1, None)),
        ({"replicas": 3}, (3, None)),
        ({"replicas": 0}, (0, Reason.SCALED_TO_ZERO)),
        ({"replicas": 3, "suspend": True}, (0, Reason.SUSPENDED)),
        ({"replicas": 0, "suspend": True}, (0, Reason.SUSPENDED)),
    ],
)
def test_replicas_wished_for(spec: dict[str, Any], wanted: tuple[int, Reason | None]) -> None:
    body = objects.model()
    body["spec"] = spec
    request, why = verdict.wanted(body)
    assert (request.replicas, why) == wanted
