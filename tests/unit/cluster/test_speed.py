"""Speed is measured in little time, within the context, and is never what the operator's own reading made of it."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.calibration.decide import useful
from smallmodel_operator.cluster import speed
from smallmodel_operator.cluster.engines import NoAnswer, Timing
from smallmodel_operator.cluster.speed import Run
from smallmodel_operator.core.trial import Trial

TRIAL = Trial("calibration/v1", "127.0.0.1", "bot", slots=2, context=512)


class Slow:
    """An engine of a given speed, by its own clock; one that is asked for too much fails the test."""

    def __init__(self, read: float, write: float, context: int) -> None:
        self.read, self.write, self.context, self.now = read, write, context, 0.0

    async def complete(self, prompt: str, tokens: int) -> Timing:
        length = len(prompt.split()) * 3
        assert length + tokens <= self.context
        asked, first = self.now, length / self.read
        self.now += first + (tokens - 1) / self.write
        return Timing(length, tokens, first, self.now - asked, asked)


@pytest.mark.parametrize("context", [128, 512, 4096])
@pytest.mark.parametrize("write", [0.5, 4.0, 300.0])
async def test_a_slow_replica_is_measured_in_little_time_and_within_its_context(write: float, context: int) -> None:
    engine = Slow(write * 10, write, context)
    figures = await speed.measure(engine, Trial("k", "a", "bot", slots=1, context=context))
    assert figures.prefill == pytest.approx(write * 10)
    assert figures.decode == ((1, pytest.approx(write)),)
    assert engine.now < 500 / write


class InOnePiece:
    """A fast engine whose streams mostly arrive whole, some of them late, as a busy operator sees them.

    Two at once write twice as much as one, more than two no more.
    """

    def __init__(self, write: float, seed: int) -> None:
        self.write, self.drawn, self.now, self.together, self.ended = write, random.Random(seed), 0.0, 0, 0.0

    def most(self, at_once: int) -> float:
        return self.write * min(at_once, 2)

    async def complete(self, prompt: str, tokens: int) -> Timing:
        asked, length = self.now, len(prompt.split())
        self.together += 1
        await asyncio.sleep(0)  # all that are asked at once have joined
        at_once = self.together
        await asyncio.sleep(0)
        first = 0.002 + length * at_once / (self.write * 20)
        whole = first + (tokens - 1) * at_once / self.most(at_once) + self.drawn.choice((0, 0, 0, 0, 0.01))
        self.ended = max(self.ended, asked + whole)
        self.together -= 1
        if not self.together:
            self.now = self.ended
        return Timing(length, tokens, self.drawn.choice((first, whole - 1e-6, whole - 1e-6)), whole, asked)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("write", [300.0, 3000.0])
@pytest.mark.parametrize("context", [128, 512])
async def test_streams_that_arrive_in_one_piece_are_not_taken_for_speed(write: float, context: int, seed: int) -> None:
    engine = InOnePiece(write, seed)
    figures = await speed.measure(engine, Trial("k", "a", "bot", slots=4, context=context))
    assert [at_once for at_once, _ in figures.decode] == [1, 2, 3, 4]
    for at_once, found in figures.decode:
        assert 0.6 * engine.most(at_once) < found < 1.1 * engine.most(at_once)
    assert useful(figures.decode) >= 2
    assert engine.now < 10


async def test_what_is_too_short_to_measure_has_no_figure() -> None:
    figures = await speed.measure(InOnePiece(1e6, 0), Trial("k", "a", "bot", slots=2, context=16))
    assert figures.decode == ()
    assert figures.prefill > 0


def run(at_once: int, tokens: int, first: float, whole: float) -> Run:
    return Run.of([Timing(8, tokens, first, whole, 100.0)] * at_once)


@given(
    st.integers(1, 8),
    st.floats(1e-4, 1.0),
    st.lists(st.tuples(st.integers(2, 512), st.floats(0.0, 1.0), st.floats(0.0, 30.0)), min_size=1, max_size=20),
)
def test_a_figure_never_exceeds_the_tokens_over_the_time_without_reading(
    at_once: int, reading: float, drawn: list[tuple[int, float, float]]
) -> None:
    """Wherever the first token seems to come, at the very end too."""
    long = [run(at_once, tokens, reading + at * more, reading + more) for tokens, at, more in drawn]
    found = speed.written_per_second([run(at_once, 1, reading, reading)], long)
    wrote = [max(r.whole - reading, r.whole / 2) for r in long]
    if found is None:
        assert min(wrote) * len(wrote) < speed.ENOUGH_SECONDS * 1.001
        return
    assert any(found <= r.tokens / took * 1.001 for r, took in zip(long, wrote, strict=True))
    assert found <= 2 * max(r.tokens / r.whole for r in long) * 1.001


def test_a_stall_is_not_taken_for_speed_nor_for_enough() -> None:
    short, long = [run(1, 1, 0.01, 0.01)], [run(1, 101, 0.01, 0.21), run(1, 101, 0.01, 9.0), run(1, 101, 0.01, 0.21)]
    assert speed.written_per_second(short, long) == pytest.approx(500)
    quick = [run(1, 11, 0.01, 0.03), run(1, 11, 0.01, 9.0), run(1, 11, 0.01, 0.03)]
    assert speed.written_per_second(short, quick) is None


def test_an_engine_that_ends_after_a_token_has_no_speed() -> None:
    assert speed.written_per_second([run(1, 1, 1.0, 1.0)], [run(1, 1, 1.0, 3.0)]) is None


async def test_an_engine_that_stops_ends_the_measurement() -> None:
    class Gone:
        async def complete(self, prompt: str, tokens: int) -> Timing:
            raise NoAnswer("gone")

    with pytest.raises(NoAnswer):
        await speed.measure(Gone(), TRIAL)


@pytest.mark.parametrize(
    ("slots", "tried"),
    [
        (1, [1]),
        (4, [1, 2, 3, 4]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (9, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (32, [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]),
        (256, [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256]),
    ],
)
def test_every_number_is_tried_up_to_eight_then_doublings(slots: int, tried: list[int]) -> None:
    assert speed.levels(slots) == tried
