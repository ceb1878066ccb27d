"""What the comparison of two sizes makes of its figures."""

import os
import time

import pytest
from hack.true_size.energy import CASES, Work, figures, processor_seconds, watt_hours
from hack.true_size.shapes import FILE_TYPE, SHAPES

WORK = Work(prompts=2, prompt=400, generated=100)


def test_figures_are_of_a_thousand_tokens_and_rounds_are_compared_one_by_one() -> None:
    found = figures({"0.5b:Q4_K_M": [9.0, 12.0, 10.0], "3b:Q4_K_M": [45.0, 48.0, 60.0]}, WORK, 400, 32)
    small, large = found["rows"]
    assert (small["cpu_seconds_per_1000_tokens"], small["lowest"], small["highest"]) == (10.0, 9.0, 12.0)
    assert large["cpu_seconds_per_1000_tokens"] == 48.0
    assert small["watt_hours_per_1000_tokens"] == pytest.approx(10 * 12.5 / 3600, abs=1e-5)
    assert (found["ratio"], found["ratio_lowest"], found["ratio_highest"]) == (5.0, 4.0, 6.0)
    assert found["source"] == "CpuSeconds"


def test_a_processor_second_draws_its_part_of_the_nodes_watts() -> None:
    assert watt_hours(3600, 400, 32) == pytest.approx(12.5)


def test_processor_time_is_that_of_the_process() -> None:
    before, began = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() - began < 0.2:
        pass
    assert processor_seconds(os.getpid()) - before >= 0.15


def test_the_models_are_of_true_size_and_of_one_type() -> None:
    names, kinds = zip(*(case.split(":") for case in CASES), strict=True)
    assert set(names) <= SHAPES.keys()
    assert set(kinds) <= FILE_TYPE.keys()
    assert len(set(kinds)) == 1
