"""Ports for programs: nobody else's, and none the kernel gives by itself."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hack import ports
from hack.cluster.paths import REPOSITORY
from hack.ports import free_port

CODE = "from hack import ports; print(ports._keep({}))"


def test_none_is_given_twice_nor_by_the_kernel() -> None:
    given = [free_port() for _ in range(100)]
    assert len(set(given)) == 100
    assert max(given) < int(ports.EPHEMERAL.read_text().split()[0])


def test_one_that_is_listened_on_anywhere_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.3", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST", port)
        monkeypatch.setattr(ports, "_last", lambda: port + 199)
        given = {free_port("127.0.0.2", "127.0.0.3") for _ in range(20)}
    assert port not in given


def test_another_process_does_not_get_it() -> None:
    port = free_port()
    words = [sys.executable, "-c", CODE.format(port)]
    assert subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout == "False\n"


def test_where_the_kernel_gives_nearly_all_the_range_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "EPHEMERAL", tmp_path / "range")
    assert ports._last() == ports.LAST, "unknown"
    (tmp_path / "range").write_text("1024\t65535\n")
    assert ports._last() == ports.LAST
    (tmp_path / "range").write_text("25000\t65535\n")
    assert ports._last() == 24_999
