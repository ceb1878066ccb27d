"""Whether llama.cpp uses Intel's matrix unit here."""

from pathlib import Path

import pytest

from smallmodel_operator.cli.cpu import has_amx


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx512_vnni amx_bf16 amx_tile amx_int8\n", True),
        ("flags\t\t: fpu avx512_vnni amx_tile\n", False),
        ("flags\t\t: fpu amx_int8\nvmx flags\t: avx512_vnni\n", False),
        ("Features\t: fp asimd amx_int8 avx512_vnni\n", False),
        ("", False),
    ],
)
def test_flags_of_the_processor(tmp_path: Path, text: str, expected: bool) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert has_amx(file) is expected


def test_where_nobody_says_there_is_none(tmp_path: Path) -> None:
    assert has_amx(tmp_path / "none") is False
