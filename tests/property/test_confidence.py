"""Whatever the answers: steps never fall, lose none, and a share is never exceeded."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.routing.choice import confidence

ANSWERS = st.lists(st.tuples(st.sampled_from([0, 0.1, 0.5, 0.9, 1]) | st.floats(0, 1), st.booleans()), min_size=1)


@given(ANSWERS)
def test_steps_never_fall_and_lose_no_answer(answers: list[tuple[float, bool]]) -> None:
    steps = confidence.learn(*zip(*answers, strict=True))
    assert sum(step.answers for step in steps) == len(answers)
    assert round(sum(step.right * step.answers for step in steps)) == sum(right for _, right in answers)
    for before, after in pairwise(steps):
        assert before.least < after.least
        assert before.right < after.right
        assert min(before.answers, after.answers) >= confidence.GROUP


@given(ANSWERS, st.permutations(range(8)))
def test_the_order_of_rows_does_not_matter(answers: list[tuple[float, bool]], order: list[int]) -> None:
    moved = sorted(answers, key=lambda answer: order[hash(answer) % 8])
    assert confidence.learn(*zip(*answers, strict=True)) == confidence.learn(*zip(*moved, strict=True))


@given(ANSWERS, st.floats(0, 1))
def test_the_share_below_a_limit_is_never_more(answers: list[tuple[float, bool]], share: float) -> None:
    values = [value for value, _ in answers]
    limit = confidence.limit(values, share)
    assert sum(value < limit for value in values) <= share * len(values) + 1e-6


@given(ANSWERS)
def test_ranking_turns_round_with_the_answers(answers: list[tuple[float, bool]]) -> None:
    values, right = zip(*answers, strict=True)
    if 0 < sum(right) < len(right):
        found = confidence.ranking(values, right)
        turned = confidence.ranking(values, [not ok for ok in right])
        assert 0 <= found <= 1
        assert abs(found + turned - 1) < 1e-9
