"""How fast models answered lately."""

import math

import pytest

from smallmodel_operator.core.scaling import Latency
from smallmodel_operator.gateway.accesslog.objectives import judged
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation
from smallmodel_operator.gateway.accesslog.recent import LATEST, LATEST_SECONDS, Recent, Took, p95, took


def seen(ending: Ending = Ending.SERVED, seconds: float | None = None, **more: object) -> Observation:
    fields = {"generates": True, "end_to_end": seconds, **more}
    return Observation("support", "bot", "client-key", 200, ending, **fields)  # type: ignore[arg-type]


def answers(*seconds: float) -> list[Took]:
    return [Took(one) for one in seconds]


def test_nineteen_of_twenty() -> None:
    assert p95(answers(*[0.5] * 19, 9.0)) == 0.5
    assert p95(answers(*[0.5] * 18, 9.0, 9.0)) == 9.0
    assert p95(answers(*(n / 100 for n in range(1, 101)))) == 0.95


def test_few_answers_say_nothing() -> None:
    assert p95(answers(*[0.5] * 19)) is None
    assert p95(answers(*[0.5] * 20)) == 0.5
    assert p95([]) is None


def test_what_failed_never_came() -> None:
    assert p95(answers(*[0.5] * 18, math.inf, math.inf)) is None
    assert p95(answers(*[0.5] * 19, math.inf)) == 0.5


def test_who_left_would_have_waited_longer() -> None:
    left = [Took(3.0, left=True)] * 4
    assert p95([*answers(*[0.5] * 20, *[4.0] * 20), *left]) == 4.0
    assert p95([*answers(*[0.5] * 40, 3.5), *left]) == 3.5, "until then they count against it"
    assert p95([*answers(*[0.5] * 40), *left[:2]]) == 0.5


@pytest.mark.parametrize(
    "one",
    [
        seen(seconds=1.0),
        seen(Ending.FAILED),
        seen(Ending.LEFT, waited=2.0),
        seen(Ending.REFUSED),
        seen(seconds=1.0, generates=False),
    ],
)
def test_what_counts_is_what_counts_for_objectives(one: Observation) -> None:
    for bound in (0.5, 1.0, 1.5, 3.0):
        known = took(one)
        if known is None:
            found = None
        elif known.left:
            found = False if known.seconds > bound else None
        else:
            found = known.seconds <= bound
        assert found == judged(one, Latency.END_TO_END, bound), bound


def test_of_models_that_are_followed_the_latest_answers_of_an_hour() -> None:
    now = 0.0
    recent = Recent(lambda: now)
    for _ in range(20):
        recent.record(seen(seconds=1.0))
    assert recent.p95("support/bot") is None
    recent.follow({"support/bot"})
    for _ in range(20):
        recent.record(seen(seconds=1.0))
    recent.follow({"support/bot", "support/other"})
    assert (recent.p95("support/bot"), recent.p95("support/other")) == (1.0, None)
    for _ in range(LATEST):
        recent.record(seen(seconds=2.0))
    assert recent.p95("support/bot") == 2.0, "those before are forgotten"
    now = LATEST_SECONDS + 1
    assert recent.p95("support/bot") is None
    recent.follow(())
    recent.record(seen(seconds=1.0))
    assert recent.p95("support/bot") is None
