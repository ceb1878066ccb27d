"""The preStop hook, really run by real shells beside a real listening socket."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smallmodel_operator.serving import drain

SHELLS = [s for s in ("/bin/sh", "/bin/dash") if shutil.which(s)]
SECOND = 0.2
"""What the hook's `sleep 1` takes here."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PATH whose `sleep` is a fifth as long, so that minutes are not waited for."""
    monkeypatch.setattr(drain, "SETTLE_SECONDS", 1)
    monkeypatch.setattr(drain, "QUIET_LOOKS", 2)
    quick = tmp_path / "sleep"
    quick.write_text(f'#!/bin/sh\n[ "$1" = 1 ] || exit 9\nexec {shutil.which("sleep")} {SECOND}\n')
    quick.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
    try:
        server = socket.create_server((host, 0), family=request.param)
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with server:
        yield server


class Hook:
    """The hook as the kubelet runs it."""

    def __init__(self, server: socket.socket, path: str, shell: str = "/bin/sh") -> None:
        _, *arguments = drain.command(server.getsockname()[1])
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the hook
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [shell, *arguments], stdout=self.output, stderr=subprocess.STDOUT, env={"PATH": path}
        )

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()

    def ended(self) -> tuple[int, bytes]:
        code = self.process.wait(timeout=30)
        self.output.seek(0)
        return code, self.output.read()

    def runs(self, seconds: float) -> bool:
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        return False


@contextmanager
def connection(server: socket.socket) -> Iterator[None]:
    with socket.create_connection(server.getsockname()[:2]):
        served, _ = server.accept()
        with served:
            yield


@pytest.mark.parametrize("shell", SHELLS)
def test_an_idle_server_stops_after_settling(listener: socket.socket, path: str, shell: str) -> None:
    with Hook(listener, path, shell) as hook:
        assert hook.ended() == (0, b"")
        assert time.monotonic() - hook.started >= 2 * SECOND, "it settles, and looks twice with a pause between"


def test_an_open_connection_delays_the_end(listener: socket.socket, path: str) -> None:
    with connection(listener):
        hook = Hook(listener, path)
        assert hook.runs(12 * SECOND)
    with hook:
        assert hook.ended() == (0, b"")


def test_a_connection_of_another_port_does_not(listener: socket.socket, path: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        connection(other),
        Hook(listener, path) as hook,
    ):
        assert hook.ended() == (0, b"")


def test_it_gives_up_shortly_before_the_grace_ends(
    listener: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "GRACE_SECONDS", 9)  # 9 - settle 1 - 5: three looks
    with connection(listener), Hook(listener, path) as hook:
        assert hook.ended() == (0, b"")
        assert time.monotonic() - hook.started >= 4 * SECOND


def test_it_uses_a_shell_and_two_core_utilities() -> None:
    """Engine images carry a shell and core utilities, nothing more."""
    shell, flag, script = drain.command(8080)
    assert (shell, flag) == ("/bin/sh", "-c")
    assert not {"ss", "netstat", "curl", "grep", "awk", "python", "bash"} & set(re.findall(r"[a-z]+", script))


def test_sleep_and_seq_are_all_it_finds(listener: socket.socket, tmp_path: Path, path: str) -> None:
    (tmp_path / "seq").symlink_to(shutil.which("seq") or "")
    with connection(listener):
        hook = Hook(listener, str(tmp_path))
        assert hook.runs(12 * SECOND)
    with hook:
        assert hook.ended() == (0, b"")


def test_the_hook_fits_into_the_grace() -> None:
    looks = int(re.findall(r"seq (\d+)", drain.command(8080)[2])[0])
    assert drain.SETTLE_SECONDS + looks < drain.GRACE_SECONDS
