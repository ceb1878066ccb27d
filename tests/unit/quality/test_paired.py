"""Paired statistics: nothing lost passes, worse beyond chance fails, the rest is for a person."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.quality.paired import ALPHA, Verdict, against_version, alone, tail

IDS = st.sets(st.sampled_from([f"i{n}" for n in range(20)]))


def ids(count: int, first: int = 0) -> set[str]:
    return {f"i{n}" for n in range(first, first + count)}


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [
        (0, 0, Verdict.PASS),
        (0, 3, Verdict.PASS),
        (1, 0, Verdict.INCONCLUSIVE),
        (4, 0, Verdict.INCONCLUSIVE),
        (5, 0, Verdict.FAIL),
        (5, 1, Verdict.INCONCLUSIVE),
        (8, 1, Verdict.FAIL),
        (1, 7, Verdict.PASS),
        (1, 5, Verdict.INCONCLUSIVE),
        (10, 10, Verdict.INCONCLUSIVE),
    ],
)
def test_known_cases(lost: int, gained: int, verdict: Verdict) -> None:
    found = against_version(ids(lost), ids(gained, 50))
    assert found.verdict is verdict
    assert (len(found.lost), len(found.gained)) == (lost, gained)


def test_a_first_version_is_measured_by_what_is_expected() -> None:
    assert alone([], 10).verdict is Verdict.PASS
    assert alone(ids(1), 10).verdict is Verdict.INCONCLUSIVE
    assert alone(ids(8), 10).verdict is Verdict.INCONCLUSIVE
    assert alone(ids(9), 10).verdict is Verdict.FAIL
    assert alone(ids(1), 1).verdict is Verdict.INCONCLUSIVE


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_tail_is_the_exact_binomial(wins: int, losses: int) -> None:
    n = wins + losses
    assert tail(wins, losses) == pytest.approx(1 - sum(comb(n, k) for k in range(losses)) / 2**n)


@given(IDS, IDS)
def test_what_both_fail_counts_for_nothing_and_verdicts_are_what_they_say(failed: set[str], before: set[str]) -> None:
    found = against_version(failed, before)
    assert set(found.lost) == failed - before
    assert set(found.gained) == before - failed
    if found.verdict is Verdict.PASS:
        assert not found.lost or len(found.gained) > len(found.lost)
    if found.verdict is Verdict.FAIL:
        assert len(found.lost) >= 5 > ALPHA
        assert len(found.lost) > len(found.gained)
    assert against_version(failed | {"both"}, before | {"both"}) == found


@given(IDS, IDS, st.sampled_from(["i1", "i5", "new"]))
def test_one_more_failure_never_makes_it_better(failed: set[str], before: set[str], one: str) -> None:
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]
    less, more = against_version(failed, before), against_version(failed | {one}, before)
    assert order.index(more.verdict) >= order.index(less.verdict)
