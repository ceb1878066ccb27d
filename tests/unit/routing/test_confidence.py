"""What token probabilities say of an answer, against figures worked out by hand."""

import math
from typing import Any

import pytest

from smallmodel_operator.routing.choice import confidence
from smallmodel_operator.routing.choice.confidence import Step
from smallmodel_operator.routing.choice.examples import BadRow


def response(*logprobs: object) -> dict[str, Any]:
    return {"choices": [{"logprobs": {"content": [{"token": "a", "logprob": value} for value in logprobs]}}]}


def test_three_measures_of_an_answer() -> None:
    found = confidence.confidences({"response": response(math.log(0.5), math.log(0.125), 0)})
    assert found == pytest.approx({"mean": 0.0625 ** (1 / 3), "least": 0.125, "whole": 0.0625})


def test_what_is_impossible_counts_as_0_and_rounding_above_1_as_1() -> None:
    assert confidence.measures(confidence.logprobs_of(response(-3.4e38, -3.4e38)))["least"] == 0
    assert confidence.logprobs_of(response(1e-9, -1)) == [0, -1]


@pytest.mark.parametrize(
    "row",
    [
        {}, {"response": None}, {"response": {"choices": []}}, {"response": {"choices": [{"logprobs": None}]}},
        {"response": response()}, {"response": {"choices": [{"message": {"content": "logprob"}}]}},
    ],
)  # fmt: skip
def test_an_answer_without_token_probabilities_says_what_to_ask_for(row: dict[str, Any]) -> None:
    with pytest.raises(BadRow, match="logprobs: true"):
        confidence.confidences(row)


@pytest.mark.parametrize("value", [None, "-1", True, 0.5, math.nan, math.inf, 10**400])
def test_a_logprob_is_a_number_of_at_most_0(value: object) -> None:
    with pytest.raises(BadRow, match="no number of at most 0"):
        confidence.logprobs_of(response(-1.0, value))


@pytest.mark.parametrize("value", [None, "0.5", True, -0.1, 1.1, math.nan])
def test_a_confidence_is_0_to_1(value: object) -> None:
    with pytest.raises(BadRow, match="number of 0 to 1"):
        confidence.confidences({"confidence": value})
    assert confidence.confidences({"confidence": 1}) == {"confidence": 1.0}


def test_steps_are_the_share_of_right_ones() -> None:
    values = [n / 40 for n in range(40)]
    right = [n % 10 < (2, 5, 5, 9)[n // 10] for n in range(40)]
    steps = confidence.learn(values, right)
    assert steps == (Step(0, 0.2, 10), Step(0.25, 0.5, 20), Step(0.75, 0.9, 10))
    assert [confidence.probability(steps, value) for value in (-1, 0, 0.249, 0.25, 0.75, 2)] == [
        0.2, 0.2, 0.2, 0.5, 0.9, 0.9,
    ]  # fmt: skip


def test_what_falls_is_pooled() -> None:
    values = [n / 30 for n in range(30)]
    assert confidence.learn(values, [n < 20 for n in range(30)]) == (Step(0, 2 / 3, 30),)


def test_few_answers_are_no_step_of_their_own() -> None:
    assert confidence.learn([n / 13 for n in range(13)], [n == 12 for n in range(13)]) == (Step(0, 1 / 13, 13),)


def test_ranking() -> None:
    assert confidence.ranking([1, 2, 3, 4], [False, False, True, True]) == 1
    assert confidence.ranking([1, 2, 3, 4], [True, True, False, False]) == 0
    assert confidence.ranking([5, 5, 5, 5], [True, False, True, False]) == 0.5
    assert confidence.ranking([1, 2, 2, 3], [False, True, False, True]) == pytest.approx(3.5 / 4)
    with pytest.raises(confidence.TooFew, match="of 2 answers 2 are right"):
        confidence.ranking([1, 2], [True, True])


def test_no_more_than_the_share_is_below_the_limit() -> None:
    values = [0.5, 0.1, 0.4, 0.2, 0.3]
    assert [confidence.limit(values, share) for share in (0, 0.2, 0.39, 0.4, 1)] == [0.1, 0.2, 0.2, 0.3, 0.5]
    assert confidence.limit([0.7] * 9, 0.5) == 0.7
