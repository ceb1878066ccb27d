"""kstatus: what Ready, Reconciling and Stalled say for every state a model can be in."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.objects import NOW

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.v1alpha1.smallmodel_status import SmallModelStatus
from smallmodel_operator.control import status
from smallmodel_operator.control.status import Hold, Outcome
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.traffic import GatewayReport, Traffic
from smallmodel_operator.serving.decide import Replicas
from smallmodel_operator.serving.trouble import Trouble

DONE = Replicas(2, 2, 2, 2, True)
ROLLING = Replicas(2, 3, 2, 1, True)
STARTING = Replicas(2, 1, 0, 1, True)
NOTHING = Replicas(2, 0, 0, 0, False)
OFF = Replicas(0, 0, 0, 0, True)
OLD = Replicas(1, 1, 0, 0, True, deployed=True)
"""What an earlier wish was made from starts again: after a sleep, a drain, an eviction."""

REFUSED = Refused(Reason.PROFILE_NOT_FOUND, "no such profile")
NOT_YET = NotYet(Reason.INSPECTING, "reading the header")
STOP = "inference is stopped in the whole cluster (ticket 7): `slm boundary unseal --all` allows it again"
STUCK = Trouble(Reason.CRASH_LOOP, "it crashes", stuck=True)
PASSING = Trouble(Reason.UNSCHEDULABLE, "no room yet", stuck=False)


def outcome(count: Replicas, **more: Any) -> Outcome:
    values: dict[str, Any] = {"name": "bot", "generation": 3, "off": None, "reports": ()}
    return Outcome(**{**values, "count": count, **more})


def summary(o: Outcome) -> dict[str, tuple[str, str]]:
    made = status.summarise(o, {}, NOW)
    return {c["type"]: (c["status"], c["reason"]) for c in made["conditions"]}


@pytest.mark.parametrize(
    ("count", "more", "ready", "reconciling", "stalled"),
    [
        # at rest
        (DONE, {}, ("True", "Serving"), ("False", "Settled"), ("False", "Settled")),
        (OFF, {"off": Reason.SUSPENDED}, ("False", "Suspended"), ("False", "Settled"), ("False", "Settled")),
        (OFF, {"off": Reason.SCALED_TO_ZERO}, ("False", "ScaledToZero"), ("False", "Settled"), ("False", "Settled")),
        # stopped by an administrator: told where it would answer otherwise, and nothing is under way for it
        (DONE, {"stopped": STOP}, ("False", "InferenceStopped"), ("False", "Settled"), ("False", "Settled")),
        (OFF, {"stopped": STOP, "asleep": True},
         ("False", "InferenceStopped"), ("False", "Settled"), ("False", "Settled")),
        (OFF, {"stopped": STOP, "off": Reason.SUSPENDED},
         ("False", "Suspended"), ("False", "Settled"), ("False", "Settled")),
        (ROLLING, {"stopped": STOP}, ("False", "InferenceStopped"), ("True", "RollingOut"), ("False", "Settled")),
        (STARTING, {"stopped": STOP}, ("False", "Starting"), ("True", "Progressing"), ("False", "Settled")),
        (DONE, {"stopped": STOP, "hold": REFUSED},
         ("False", "InferenceStopped"), ("False", "Settled"), ("True", "ProfileNotFound")),
        (NOTHING, {"stopped": STOP, "hold": REFUSED},
         ("False", "ProfileNotFound"), ("False", "Settled"), ("True", "ProfileNotFound")),
        # under way
        (NOTHING, {}, ("False", "Starting"), ("True", "Progressing"), ("False", "Settled")),
        (STARTING, {}, ("False", "Starting"), ("True", "Progressing"), ("False", "Settled")),
        (ROLLING, {}, ("True", "Serving"), ("True", "RollingOut"), ("False", "Settled")),
        (NOTHING, {"hold": NOT_YET}, ("False", "Inspecting"), ("True", "Inspecting"), ("False", "Settled")),
        (DONE, {"hold": NOT_YET}, ("True", "Serving"), ("True", "Inspecting"), ("False", "Settled")),
        (STARTING, {"trouble": PASSING}, ("False", "Unschedulable"), ("True", "Unschedulable"), ("False", "Settled")),
        (ROLLING, {"trouble": PASSING}, ("True", "Serving"), ("True", "Unschedulable"), ("False", "Settled")),
        # the user must act
        (NOTHING, {"hold": REFUSED}, ("False", "ProfileNotFound"), ("False", "Settled"), ("True", "ProfileNotFound")),
        (DONE, {"hold": REFUSED}, ("True", "Serving"), ("False", "Settled"), ("True", "ProfileNotFound")),
        (OLD, {"hold": REFUSED}, ("False", "Starting"), ("False", "Settled"), ("True", "ProfileNotFound")),
        (OLD, {"hold": REFUSED, "trouble": STUCK},
         ("False", "ProfileNotFound"), ("False", "Settled"), ("True", "ProfileNotFound")),
        (STARTING, {"trouble": STUCK}, ("False", "CrashLoop"), ("False", "Settled"), ("True", "CrashLoop")),
        (ROLLING, {"trouble": STUCK}, ("True", "Serving"), ("False", "Settled"), ("True", "CrashLoop")),
        # an outage
        (NOTHING, {"outage": "away"}, ("False", "Retrying"), ("True", "Retrying"), ("False", "Settled")),
        (DONE, {"outage": "away"}, ("True", "Serving"), ("True", "Retrying"), ("False", "Settled")),
        # two at once: a refusal is told before a pod's trouble, off before everything about Ready
        (
            STARTING,
            {"hold": REFUSED, "trouble": STUCK},
            ("False", "ProfileNotFound"), ("False", "Settled"), ("True", "ProfileNotFound"),
        ),
        (
            OFF,
            {"off": Reason.SUSPENDED, "hold": REFUSED},
            ("False", "Suspended"), ("False", "Settled"), ("True", "ProfileNotFound"),
        ),
        (
            OFF,
            {"off": Reason.SUSPENDED, "hold": NOT_YET},
            ("False", "Suspended"), ("True", "Inspecting"), ("False", "Settled"),
        ),
    ],
)  # fmt: skip
def test_the_table(count: Replicas, more: dict[str, Any], ready: Any, reconciling: Any, stalled: Any) -> None:
    assert summary(outcome(count, **more)) == {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}


HOLDS: tuple[Hold, ...] = (None, REFUSED, NOT_YET)


@pytest.mark.parametrize("count", [DONE, ROLLING, STARTING, NOTHING])
def test_every_state_is_one_that_kstatus_knows(count: Replicas) -> None:
    """Never both Reconciling and Stalled; at rest without trouble it is Ready; waiting for someone says for whom."""
    for hold, trouble, outage in itertools.product(HOLDS, (None, STUCK, PASSING), ("", "away")):
        o = outcome(count, hold=hold, trouble=trouble, outage=outage)
        said = {k: v[0] == "True" for k, v in summary(o).items()}
        assert not (said["Reconciling"] and said["Stalled"]), o
        assert said["Ready"] == bool(count.available), o
        if not said["Ready"]:
            assert said["Reconciling"] or said["Stalled"], o


@pytest.mark.parametrize("hold", [REFUSED, NOT_YET])
def test_a_model_that_is_held_does_not_claim_to_start(hold: Hold) -> None:
    starting = Report(Condition.AVAILABLE, False, Reason.STARTING, "Pods are starting.")
    assert hold is not None
    made = summary(outcome(NOTHING, hold=hold, reports=(starting,)))
    assert made["Available"] == ("False", hold.reason.value)
    serving = Report(Condition.AVAILABLE, True, Reason.SERVING, "2 of 2")
    assert summary(outcome(DONE, hold=hold, reports=(serving,)))["Available"] == ("True", "Serving")


def test_a_deployment_just_written_is_not_said_to_be_new_already() -> None:
    made = status.summarise(outcome(replace(DONE, observed=False)), {}, NOW)
    said = status.find(made, Condition.RECONCILING)
    assert (said["status"], said["message"]) == ("True", "The Deployment was just written; its pods follow.")


def test_ready_beside_a_broken_change_says_so() -> None:
    made = status.summarise(outcome(ROLLING, trouble=STUCK), {}, NOW)
    message = status.find(made, Condition.READY)["message"]
    assert message == "2 of 2 replica(s) answer. Not all that is declared is in effect yet: it crashes"


@pytest.mark.parametrize(
    ("count", "more", "word"),
    [
        (DONE, {}, None),
        (ROLLING, {}, "RollingOut"),
        (DONE, {"hold": REFUSED}, "ProfileNotFound"),
        (DONE, {"hold": NOT_YET}, "Inspecting"),
        (ROLLING, {"trouble": STUCK}, STUCK.reason.value),
        (OFF, {"off": Reason.SUSPENDED}, None),
    ],
)
def test_one_word_says_what_is_not_in_effect_yet(count: Replicas, more: dict[str, Any], word: str | None) -> None:
    """For `kubectl get`: of a model that serves while its change is refused, `Serving` says nothing of the change."""
    made = status.summarise(outcome(count, **more), {"pending": "Older"}, NOW)
    assert made.get("pending") == word


def test_numbers_and_selector() -> None:
    made = status.summarise(outcome(ROLLING), {}, NOW)
    assert (made["observedGeneration"], made["replicas"], made["readyReplicas"]) == (3, 3, 2)
    assert made["selector"] == "smallmodel.dev/model=bot,smallmodel.dev/role=server"


def test_a_concerns_report_is_its_condition() -> None:
    report = Report(Condition.FITS_MEMORY, None, Reason.INSPECTING, "not known yet")
    made = status.find(status.summarise(outcome(DONE, reports=(report,)), {}, NOW), Condition.FITS_MEMORY)
    assert (made["status"], made["reason"], made["message"]) == ("Unknown", "Inspecting", "not known yet")


def test_a_refusing_concerns_own_condition_says_the_same() -> None:
    refused = Refused(Reason.DOES_NOT_FIT, "too large", condition=Condition.FITS_MEMORY)
    stale = Report(Condition.FITS_MEMORY, True, Reason.FITS, "it fits")
    made = status.summarise(outcome(NOTHING, hold=refused, reports=(stale,)), {}, NOW)
    for condition, value in ((Condition.FITS_MEMORY, "False"), (Condition.STALLED, "True"), (Condition.READY, "False")):
        said = status.find(made, condition)
        assert (said["status"], said["reason"], said["message"]) == (value, "DoesNotFit", "too large")


def test_equal_states_are_equal_values_whenever_they_are_looked_at() -> None:
    first = status.summarise(outcome(DONE), {}, NOW)
    assert status.summarise(outcome(DONE), first, NOW + timedelta(hours=1)) == first


def test_the_time_moves_only_with_the_status() -> None:
    first = status.summarise(outcome(STARTING), {}, NOW)
    later = NOW + timedelta(seconds=7)
    same = status.summarise(outcome(STARTING, trouble=PASSING), first, later)
    moved = status.summarise(outcome(DONE), same, later + timedelta(seconds=1))
    times = [status.find(s, Condition.READY)["lastTransitionTime"] for s in (first, same, moved)]
    assert times == ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-21T12:00:08Z"]
    assert status.find(same, Condition.READY)["reason"] == "Unschedulable"


def test_what_was_learnt_is_kept_while_nothing_new_is_known() -> None:
    previous = {"weights": {"format": "GGUF"}, "memory": {"requestedBytes": 1}, "replicas": 9, "tomorrow": 1}
    made = status.summarise(outcome(DONE, fields={"memory": {"requestedBytes": 2}}), previous, NOW)
    assert made["weights"] == {"format": "GGUF"}
    assert made["memory"] == {"requestedBytes": 2}
    assert made["replicas"] == 2
    assert "tomorrow" not in made


def test_a_long_message_is_cut_to_what_the_schema_takes() -> None:
    made = status.summarise(outcome(STARTING, trouble=replace(STUCK, message="x" * 9000)), {}, NOW)
    SmallModelStatus.model_validate(made)


@pytest.mark.parametrize("previous", [{}, {"conditions": None}, {"conditions": [{"type": "Ready"}]}])
def test_a_status_that_is_not_ours_is_survived(previous: dict[str, Any]) -> None:
    assert SmallModelStatus.model_validate(status.summarise(outcome(DONE), previous, NOW))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ({}, {}, True),
        ({"replicas": 0}, {}, True),
        ({"weights": {"format": "GGUF"}}, {"weights": {"format": "GGUF", "experts": 0, "licence": ""}}, True),
        ({"conditions": [{"type": "Ready"}]}, {"conditions": [{"type": "Ready", "message": ""}]}, True),
        ({"endpoint": {}}, {}, True),
        ({"replicas": 1}, {}, False),
        ({"replicas": 1}, {"replicas": 2}, False),
        ({"conditions": [{"type": "Ready"}]}, {"conditions": []}, False),
        ({}, {"weights": {"format": "GGUF"}}, False),
    ],
)
def test_defaults_of_the_schema_are_no_difference(a: dict[str, Any], b: dict[str, Any], same: bool) -> None:
    """Otherwise a status would be written again on every pass."""
    assert status.equal(a, b) is same
    assert status.equal(b, a) is same


@pytest.mark.parametrize("count", [DONE, ROLLING, STARTING, NOTHING])
def test_a_status_read_back_from_the_api_server_is_the_same(count: Replicas) -> None:
    made = status.summarise(outcome(count, fields={"memory": {"requestedBytes": 1}}), {}, NOW)
    read = SmallModelStatus.model_validate(made).model_dump(by_alias=True, exclude_none=True)
    assert status.equal(made, read)
    again = status.summarise(outcome(count, fields={"memory": {"requestedBytes": 1}}), read, NOW)
    assert status.equal(again, read)


def test_a_refused_edit_keeps_no_sleeping_model_from_waking() -> None:
    """What it ran before the edit starts again; the gateways go on holding."""
    asleep = status.summarise(outcome(OFF, asleep=True, hold=REFUSED), {}, NOW)
    woken = status.summarise(outcome(OLD, waking=True, hold=REFUSED), asleep, NOW)
    ready, stalled = (status.find(woken, c) for c in (Condition.READY, Condition.STALLED))
    assert (ready["status"], ready["reason"]) == ("True", "Waking")
    assert "no such profile" in ready["message"]
    assert (stalled["status"], stalled["reason"]) == ("True", "ProfileNotFound")


def test_a_stop_is_told_with_its_undo_and_beside_what_else_the_user_has_to_mend() -> None:
    made = status.summarise(outcome(DONE, stopped=STOP, hold=REFUSED), {}, NOW)
    message = status.find(made, Condition.READY)["message"]
    assert message.startswith("Inference is stopped in the whole cluster (ticket 7): `slm boundary unseal --all`")
    assert message.endswith("allows it again. Not all that is declared is in effect yet: no such profile")


def test_a_stop_closes_the_door_whatever_the_gateways_say_but_not_what_is_off() -> None:
    gateway = GatewayReport("g-0", 0.5, routes=True)
    for traffic in (Traffic((gateway,)), Traffic()):
        said = status.routable(None, traffic, STOP)
        assert (said.status, said.reason) == (False, Reason.INFERENCE_STOPPED)
        assert "unseal --all" in said.message
    assert status.routable(Reason.SUSPENDED, Traffic(), STOP).reason is Reason.SUSPENDED
    assert status.routable(None, Traffic((gateway,))).status is True


def test_a_model_that_wakes_when_the_stop_comes_is_not_ready() -> None:
    asleep = status.summarise(outcome(OFF, asleep=True), {}, NOW)
    woken = status.summarise(outcome(OLD, waking=True, stopped=STOP), asleep, NOW)
    assert status.find(woken, Condition.READY)["reason"] == "InferenceStopped"
