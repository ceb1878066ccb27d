"""What the simulator is put beside: the same requests, and by how much it differs."""

import asyncio
import time
from dataclasses import replace

import pytest
from hack.bench.calibration.__main__ import between, shown, table
from hack.bench.calibration.replay import Times, differences, measured, percentile, poisson, simulated
from hack.bench.calibration.undisturbed import Clock, Undisturbed

from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.cluster.engines import Engine, Timing
from smallmodel_operator.simulation.trace import Trace

ENGINE = EngineProfile(0.04, 0.01, 100.0, 0.5, 2, 1.0)


class Instant(Engine):
    """Answers at once: each prompt has three tokens for a word, and what is asked is written."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def complete(self, prompt: str, tokens: int) -> Timing:
        self.asked.append((prompt, tokens))
        return Timing(3 * len(prompt.split()), tokens, 0.25, 0.5, time.monotonic())


def test_one_request_alone_takes_what_the_profile_says() -> None:
    times = simulated(Trace([0.0], [50], [11]), ENGINE)
    assert list(times.first) == pytest.approx([0.5 + 0.05])
    assert list(times.end) == pytest.approx([0.5 + 11 * 0.05])
    assert times.tokens == 11
    assert times.seconds == pytest.approx(1.05)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(n) for n in range(20, 0, -1)]
    assert (percentile(values, 50), percentile(values, 95), percentile(values, 100)) == (10, 19, 20)
    assert percentile([7.0], 50) == 7


def test_a_difference_is_above_what_was_measured() -> None:
    assert differences({"a": 2.0, "b": 4.0}, {"a": 3.0, "b": 3.0}) == {"a": 50.0, "b": -25.0}


def test_a_load_is_the_same_each_time_and_within_its_seconds() -> None:
    load = poisson(1, 2.0, 60.0, 32, 16)
    assert load == poisson(1, 2.0, 60.0, 32, 16) != poisson(2, 2.0, 60.0, 32, 16)
    assert list(load.at) == sorted(load.at)
    assert load.at[0] == 0
    assert load.seconds < 60
    assert 80 < len(load.at) < 160
    assert 24 < sum(load.prompt) / len(load.at) < 40


def test_every_request_is_sent_and_counted_as_the_engine_counts_it() -> None:
    engine = Instant()
    times, counted = asyncio.run(
        measured(Undisturbed(engine, Clock(lambda: 0.0)), Trace([0.0, 0.001], [30, 9], [5, 7]), a_word=3.0)
    )
    assert sorted(len(text.split()) for text, _ in engine.asked) == [3, 10]
    assert (list(counted.prompt), list(counted.generated)) == ([30, 9], [5, 7])
    assert len({text.split()[0] for text, _ in engine.asked}) == 2, "none may come from a cache"
    assert times.tokens == 12
    assert all(0.25 <= first < end for first, end in zip(times.first, times.end, strict=True))


def test_engine_time_is_the_wall_clock_without_what_others_took() -> None:
    kept = [0.0]
    clock = Clock(lambda: kept[0])
    start = time.monotonic() + 1
    for wall, waited in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.8), (3.0, 0.8)):
        kept[0] = waited
        clock.look(start + wall)
    times = [clock.at(start + wall) - start for wall in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)]
    assert times == pytest.approx([0.0, 0.5, 1.0, 1.1, 1.2, 2.2, 3.2])


def test_what_is_measured_before_and_after_counts_alike() -> None:
    slower = replace(ENGINE, iteration_base_seconds=0.06, prefill_tokens_per_second=50.0)
    assert shown(between(ENGINE, slower)) == {
        "iterationBaseMilliseconds": 50.0, "iterationPerSequenceMilliseconds": 10.0, "prefillTokensPerSecond": 75.0,
        "prefillSlowdown": 0.5, "slots": 2,
    }  # fmt: skip


def test_the_table_has_each_load_measured_and_simulated() -> None:
    real, made = Times([1.0], [2.0], 10, 5.0).value(), Times([1.5], [3.0], 10, 4.0).value()
    off = differences(real, made)
    row = {"load": "0.5", "measured": real, "simulated": made, "simulated_differs_percent": off}
    text = table([row | {"with_slowdown": real, "with_slowdown_differs_percent": differences(real, real)}])
    assert "| 0.5 | measured | 1000.0 | 1000.0 | 2000.0 | 2000.0 | 2.0 |" in text
    assert "| | simulated | 1500.0 (+50 %) | 1500.0 (+50 %) | 3000.0 (+50 %) | 3000.0 (+50 %) | 2.5 (+25 %) |" in text
    assert "| | with the slowdown measured | 1000.0 (+0 %)" in text
