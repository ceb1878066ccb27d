"""The figures a choice is judged by, against ones worked out by hand."""

import pytest

from smallmodel_operator.routing.choice import evaluation
from smallmodel_operator.routing.choice.examples import BadRow, answered, classed, to_learn
from smallmodel_operator.routing.choice.training import Answered


def rows(text: str) -> list[Answered]:
    """One row a letter: h the strong helps, H it harms, b both right, n none."""
    return [Answered(letter, letter in "hb", letter in "Hb") for letter in text]


def test_a_curve_adds_up() -> None:
    assert evaluation.curve([4, 3, 2, 1], rows("hbHh")) == [0, 1, 1, 0, 1]
    assert evaluation.curve([1, 2, 3, 4], rows("hbnh")) == [0, 0.5, 0.5, 0.5, 1]


def test_equal_scores_share_their_gain() -> None:
    assert evaluation.curve([1, 1, 1, 1], rows("hnnn")) == [0, 0.25, 0.5, 0.75, 1]
    assert evaluation.curve([1, 1, 1, 1], rows("nnnh")) == evaluation.curve([1, 1, 1, 1], rows("hnnn"))


def test_the_share_is_never_exceeded() -> None:
    points = evaluation.curve([4, 3, 2, 1], rows("hbnh"))
    assert [evaluation.at(points, share) for share in (0, 0.2, 0.25, 0.49, 1)] == [0, 0, 0.5, 0.5, 1]


def test_apgr_of_a_straight_line_is_one_half() -> None:
    assert evaluation.apgr(evaluation.curve([1] * 8, rows("hbnhhbnn"))) == pytest.approx(0.5)


def test_the_oracle_passes_the_strong_model_where_that_errs() -> None:
    points = evaluation.oracle(rows("hhHb"))
    assert points == [0, 1, 2, 2, 1]


def test_by_lot_a_fifth_closes_a_fifth() -> None:
    assert evaluation.random_at(rows("hbnbnHbnhbhh" * 20), 0.2) == pytest.approx(0.2, abs=0.03)


def test_no_gap_no_figures() -> None:
    with pytest.raises(evaluation.NoGap, match="which is which"):
        evaluation.curve([1, 2], rows("hH"))


def test_calibration() -> None:
    assert evaluation.calibration_error([0.5] * 20, [True, False] * 10) == 0
    assert evaluation.calibration_error([0.9] * 10, [False] * 10) == pytest.approx(0.9)


def test_halves_go_by_content() -> None:
    assert [to_learn(text) for text in ("a", "b", "c", "d")] == [False, False, True, True]  # digests end on b, d, 6, 4


def test_rows_say_what_is_wrong_with_them() -> None:
    row = {"prompt": "p", "big": "True", "small": 0}
    assert answered(row, "big", "small") == Answered("p", True, False)
    with pytest.raises(BadRow, match=r"no column 'bigger'.*big, prompt, small"):
        answered(row, "bigger", "small")
    with pytest.raises(BadRow, match="must be True or False"):
        answered({**row, "big": "perhaps"}, "big", "small")
    with pytest.raises(BadRow, match="`prompt` must be a text"):
        answered({**row, "prompt": None}, "big", "small")
    with pytest.raises(BadRow, match="`class`"):
        classed(row)
    assert classed({"prompt": "p", "class": " legal "}) == ("p", "legal")
