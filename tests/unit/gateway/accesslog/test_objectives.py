"""What counts for an objective, and what is told of it."""

from dataclasses import replace
from typing import Any

import pytest

from smallmodel_operator.core.scaling import Bounds, Latency
from smallmodel_operator.gateway.accesslog.objectives import Count, Objectives, judged
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

STREAM = Observation(
    namespace="support", model="bot", caller_class="none", status=200, ending=Ending.SERVED,
    first_token=0.2, inter_token=0.01, end_to_end=0.5, input_tokens=100, computed_tokens=40, output_tokens=31,
    generates=True,
)  # fmt: skip
WHOLE = replace(STREAM, first_token=None, inter_token=None)
"""An answer that was not streamed."""
LEFT = replace(STREAM, status=0, ending=Ending.LEFT, first_token=None, inter_token=None, end_to_end=None)


@pytest.mark.parametrize(
    ("seen", "good"),
    [
        (STREAM, True),
        (replace(STREAM, first_token=0.5), True),
        (replace(STREAM, first_token=0.51), False),
        (WHOLE, None),
        (replace(STREAM, status=503, ending=Ending.FAILED, first_token=None, cause="held-too-long"), False),
        (replace(STREAM, status=502, ending=Ending.FAILED, first_token=None, reset=True), False),
        (replace(STREAM, status=429, ending=Ending.REFUSED, first_token=None, cause="rate-limit"), None),
        (replace(STREAM, status=400, ending=Ending.REFUSED, first_token=None), None),
        (replace(LEFT, waited=0.4), None),
        (replace(LEFT, waited=0.6), False),
        (replace(LEFT, waited=9.0, first_token=0.3), True),
        (replace(STREAM, generates=False), None),
    ],
)
def test_what_is_good_bad_and_not_counted(seen: Observation, good: bool | None) -> None:
    assert judged(seen, Latency.FIRST_TOKEN, 0.5) is good


@pytest.mark.parametrize(
    ("seen", "pace", "end"),
    [
        (STREAM, True, True),
        (replace(STREAM, inter_token=0.06, end_to_end=4.0), True, True),
        (replace(STREAM, inter_token=0.061, end_to_end=4.1), False, False),
        (WHOLE, None, True),
        (replace(WHOLE, end_to_end=4.1), None, False),
        (replace(STREAM, inter_token=None, output_tokens=1), None, True),
        (replace(STREAM, status=503, ending=Ending.FAILED, inter_token=None, end_to_end=None), False, False),
        (replace(STREAM, status=429, ending=Ending.REFUSED, inter_token=None, end_to_end=None), None, None),
        (replace(LEFT, waited=3.9), None, None),
        (replace(LEFT, waited=4.1), None, False),
        (replace(LEFT, waited=4.1, first_token=0.3), None, False),
        (replace(STREAM, generates=False), None, None),
    ],
)
def test_streams_are_judged_by_their_pace_and_every_answer_by_its_end(
    seen: Observation, pace: bool | None, end: bool | None
) -> None:
    assert (judged(seen, Latency.INTER_TOKEN, 0.06), judged(seen, Latency.END_TO_END, 4.0)) == (pace, end)


def said(*seen: Observation, bounds: Bounds = Bounds(0.5)) -> dict[str, Any]:  # noqa: B008 - a value
    count = Count(bounds)
    for one in seen:
        count.add(one)
    return count.said()


def test_counts_of_one_stream() -> None:
    told = said(STREAM)
    del told["epoch"]
    assert told == {
        "firstTokenSeconds": 0.5, "ended": 1, "counted": 1, "good": 1,
        "interToken": {"seconds": 0.0, "counted": 0, "good": 0},
        "endToEnd": {"seconds": 0.0, "counted": 0, "good": 0},
        "whole": 1, "promptTokens": 40, "generatedTokens": 31, "decodeSeconds": 0.3, "decodeTokens": 30,
        "prompts": {"9": 1}, "written": {"7": 1},
    }  # fmt: skip


def test_each_bound_is_counted_for_itself() -> None:
    slow = replace(STREAM, first_token=0.4, inter_token=0.08)
    told = said(STREAM, slow, WHOLE, bounds=Bounds(0.3, 0.06, 0.5))
    assert (told["counted"], told["good"]) == (2, 1)
    assert told["interToken"] == {"seconds": 0.06, "counted": 2, "good": 1}
    assert told["endToEnd"] == {"seconds": 0.5, "counted": 3, "good": 3}
    assert said(STREAM, bounds=Bounds(0, 0.06, 0))["counted"] == 0, "what is not asked is not counted"


def test_what_the_gateway_refused_was_no_work_and_what_the_engine_refused_was() -> None:
    refused = replace(STREAM, status=429, ending=Ending.REFUSED, first_token=None, cause="rate-limit")
    assert said(refused)["ended"] == 0
    assert said(replace(refused, status=400, cause=""))["ended"] == 1


def test_tokens_the_engine_still_knew_are_no_reading() -> None:
    assert said(replace(STREAM, input_tokens=1000, computed_tokens=12))["promptTokens"] == 12


def test_tokens_that_are_not_known_are_not_zero() -> None:
    told = said(replace(STREAM, input_tokens=None, computed_tokens=None, output_tokens=None, inter_token=None))
    assert (told["ended"], told["counted"], told["whole"]) == (1, 1, 0)


def test_only_models_with_an_objective_and_anew_with_another_bound() -> None:
    objectives, targets = Objectives(), ("support/bot", "crm/bot")
    objectives.record(STREAM)
    objectives.follow({"support/bot": Bounds(0.5)})
    objectives.record(STREAM)
    objectives.record(replace(STREAM, namespace="crm"))
    first = objectives.said(targets)
    assert [(t, c["ended"]) for t, c in first.items()] == [("support/bot", 1)]
    objectives.follow({"support/bot": Bounds(0.5)})
    assert objectives.said(targets) == first, "nothing has changed"
    for other in (Bounds(0.1), Bounds(0.5, 0.06)):
        objectives.follow({"support/bot": other})
        second = objectives.said(targets)["support/bot"]
        assert (second["ended"], second["epoch"] == first["support/bot"]["epoch"]) == (0, False)
    objectives.follow({})
    assert objectives.said(targets) == {}
