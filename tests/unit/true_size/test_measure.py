"""What the measurement makes of its figures."""

from pathlib import Path
from typing import Any

import pytest
from hack.true_size.limited import usage
from hack.true_size.measure import CASES, TYPES, line, wrong
from hack.true_size.shapes import FILE_TYPE, SHAPES

MIB = 2**20


def row(**changes: Any) -> dict[str, Any]:
    sizes = {"estimated_bytes": 105 * MIB, "measured_bytes": 100 * MIB, "requested_bytes": 90 * MIB}
    named = {"arch": "llama", "model": "1b", "type": "Q8_0", "context": 1024, "slots": 2}
    return {**named, **sizes, "needed_bytes": 80 * MIB, "error_percent": 5.0, **changes}


def test_a_row_for_people() -> None:
    assert line(row()) == (
        "llama 1b Q8_0 1024 x 2: estimated 105 MiB, measured 100 MiB (+5.0 %); requested 90 MiB, needed 80 MiB"
    )


def test_what_is_far_off_or_asks_for_too_little_does_not_hold() -> None:
    assert wrong([row(), row(error_percent=-10.0)]) == []
    assert len(wrong([row(error_percent=-10.1), row(error_percent=10.1), row()])) == 2
    assert len(wrong([row(needed_bytes=91 * MIB)])) == 1


def test_every_type_is_measured_on_two_architectures_with_several_contexts_and_slots() -> None:
    cases = [case.split(":") for case in CASES]
    assert all(name in SHAPES and kind in FILE_TYPE for name, kind, _, _ in cases)
    for kind in TYPES:
        assert {"qwen2", "llama"} <= {SHAPES[name].architecture for name, of, _, _ in cases if of == kind}
        assert len({tuple(size) for _, of, *size in cases if of == kind}) > 1
    assert len(set(CASES)) == len(CASES)


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max_usage_in_bytes": "7\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"},
        {"memory.peak": "7\n", "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n"},
    ],
    ids=["cgroup 1", "cgroup 2"],
)
def test_peak_and_kills_of_a_cgroup_of_either_version(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert usage(tmp_path) == (7, 2)
