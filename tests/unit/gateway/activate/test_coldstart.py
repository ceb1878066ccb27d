"""Stages of a cold start, and what is said to who cannot wait."""

import json

import pytest

from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway.activate.coldstart import Answer, ColdStarts, Start
from smallmodel_operator.gateway.activate.queue import Outcome
from smallmodel_operator.gateway.activate.refusal import refusal


def test_stages_add_up() -> None:
    start = Start(10.0)
    start.saw_address(10.4)
    start.saw(Answer.NOTHING, 10.5)
    start.saw(Answer.LOADING, 11.0)
    start.saw(Answer.LOADING, 11.5)
    start.saw(Answer.READY, 13.0)
    stages = start.done(13.0)
    assert (stages.schedule, stages.container, stages.load) == pytest.approx((0.4, 0.6, 2.0))
    assert stages.total == pytest.approx(3.0)


def test_a_pod_that_is_ready_before_a_probe_met_it() -> None:
    assert Start(1.0).done(3.0).total == 2.0


def test_retry_after_is_the_median_of_the_last_ten_less_what_has_passed() -> None:
    known = ColdStarts()
    assert known.retry_after("a/b") == 30, "nothing measured yet"
    for seconds in (100, 100, *range(1, 11)):
        known.add("a/b", ColdStart(0, 0, seconds))
    assert len(known.last("a/b")) == 10
    assert known.retry_after("a/b") == 6
    assert known.retry_after("a/b", 3.2) == 3
    assert known.retry_after("a/b", 5.4) == 1
    assert known.retry_after("a/b", 60) == 6, "longer than usual: nothing better is known"
    assert known.retry_after("a/b", 3.2, told=100) == 3, "its own eyes before what it is told"
    known.forget("a/b")
    assert known.retry_after("a/b") == 30
    assert known.retry_after("a/b", 1.0, told=4.5) == 4, "what the other gateways saw, out of the status"


@pytest.mark.parametrize(
    ("outcome", "status", "code", "again"),
    [
        (Outcome.GONE, 404, "model_not_found", None),
        (Outcome.OFF, 503, "model_off", None),
        (Outcome.STALLED, 503, "stalled", None),
        (Outcome.ENDING, 502, "engine_ends", None),
        (Outcome.STOPPED, 503, "inference_stopped", None),
        (Outcome.EXPIRED, 503, "held_too_long", "7"),
        (Outcome.QUEUE_FULL, 503, "queue_full", "7"),
        (Outcome.GATEWAY_FULL, 503, "gateway_full", "7"),
    ],
)
def test_refusals_are_openai_errors_with_their_cause(
    outcome: Outcome, status: int, code: str, again: str | None
) -> None:
    answer = refusal(outcome, "support/bot", 7, 12.0)
    error = json.loads(answer.body)["error"]
    assert (answer.status, answer.headers.get("Retry-After")) == (status, again)
    assert answer.headers["x-slm-cause"] == outcome.value
    assert set(error) == {"message", "type", "param", "code"}
    assert "bot" in error["message"]
    assert error["code"] == code


def test_who_may_not_read_a_model_learns_one_word_of_why_it_stalls() -> None:
    message = json.loads(refusal(Outcome.STALLED, "support/bot", 7, why="ImagePullFailed").body)["error"]["message"]
    assert message == (
        "model 'support/bot' cannot start until somebody acts (ImagePullFailed); what is wrong says "
        "kubectl -n support describe smallmodel bot"
    )


def test_who_was_held_too_long_learns_that_the_nodes_are_full_and_not_of_whom() -> None:
    answer = refusal(Outcome.EXPIRED, "support/bot", 7, 120.0, full=True)
    assert answer.headers["Retry-After"] == "7"
    assert json.loads(answer.body)["error"]["message"] == (
        "model 'support/bot' was not ready after 120 s, the longest a request waits for it "
        "(scaling.coldStart.maxWaitSeconds), for the nodes are full and other models hold the room; try again in 7 s"
    )
