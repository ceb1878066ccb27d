"""The log stays within its bounds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from smallmodel_operator.gateway.accesslog.read import LogReader
from smallmodel_operator.gateway.accesslog.rotate import Rotator
from smallmodel_operator.gateway.admin import Unreachable


class Envoy:
    """Writes to the file it has open until it is told to reopen it; `away`: cannot be told."""

    def __init__(self, log: Path) -> None:
        self.log, self.away, self.told = log, False, 0
        self._file = log.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        self._file.write(line + b"\n")

    async def reopen(self) -> None:
        if self.away:
            raise Unreachable("Envoy does not answer")
        self.told += 1
        self._file.close()
        self._file = self.log.open("ab", buffering=0)

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    found = Envoy(tmp_path / "access.log")
    yield found
    found.close()


def names(envoy: Envoy) -> list[str]:
    return sorted(p.name for p in envoy.log.parent.iterdir())


async def test_keeps_so_many_files_and_no_line_is_lost(envoy: Envoy) -> None:
    rotator = Rotator(envoy.log, envoy.reopen, max_bytes=100, keep=3)
    lines: list[bytes] = []
    reader = LogReader(envoy.log, envoy.log.with_name("position"), lines.append)
    for number in range(500):
        envoy.write(b"%d" % number)
        if number % 7 == 0:
            await rotator.check()
        if number % 31 == 0:
            while reader.step():
                pass
    while reader.step():
        pass
    reader.close()
    assert lines == [b"%d" % number for number in range(500)]
    files = [n for n in names(envoy) if n.startswith("access.log")]
    assert len(files) == 4
    assert sum((envoy.log.parent / n).stat().st_size for n in files) < 4 * 150


async def test_a_small_file_stays(envoy: Envoy) -> None:
    envoy.write(b"x" * 98)
    await Rotator(envoy.log, envoy.reopen, max_bytes=100).check()
    assert (names(envoy), envoy.told) == (["access.log"], 0)


async def test_envoy_is_told_later_when_it_is_away(envoy: Envoy) -> None:
    rotator = Rotator(envoy.log, envoy.reopen, max_bytes=10, keep=2)
    envoy.away = True
    envoy.write(b"x" * 20)
    for _ in range(3):
        with pytest.raises(Unreachable):
            await rotator.check()
    envoy.write(b"still here")
    assert names(envoy) == ["access.log.1"]
    envoy.away = False
    await rotator.check()
    await rotator.check()
    assert (names(envoy), envoy.told) == (["access.log", "access.log.1"], 1)


async def test_no_log_yet(tmp_path: Path) -> None:
    async def never() -> None:
        raise AssertionError("there is nothing to reopen")

    await Rotator(tmp_path / "access.log", never).check()


async def test_numbers_go_on_and_other_files_stay(envoy: Envoy) -> None:
    for name in ("access.log.9", "access.log.10", "access.log.position", "access.log.010", "other.11"):
        (envoy.log.parent / name).write_text("x")
    envoy.write(b"x" * 20)
    await Rotator(envoy.log, envoy.reopen, max_bytes=10, keep=2).check()
    assert set(names(envoy)) == {
        "access.log", "access.log.10", "access.log.11", "access.log.position", "access.log.010", "other.11"
    }  # fmt: skip


@pytest.mark.parametrize(("size", "keep"), [(0, 1), (1, 0)])
def test_bounds_make_sense(tmp_path: Path, size: int, keep: int) -> None:
    async def reopen() -> None: ...

    with pytest.raises(ValueError, match="at least 1"):
        Rotator(tmp_path / "access.log", reopen, max_bytes=size, keep=keep)
