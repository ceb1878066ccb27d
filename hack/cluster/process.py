"""Start programs so that they can be found, and ended, by their process id and nothing else."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path


def start(name: str, command: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> int:
    """Start a program detached, its output in `<folder>/logs/<name>.log`; records and returns its pid."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "pids").mkdir(exist_ok=True)
    log = os.open(folder / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            {**os.environ, **(env or {})},
            file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsid=True,
        )
    finally:
        os.close(log)
        os.close(null)
    (folder / "pids" / name).write_text(f"{pid} {_started(pid)}")
    return pid


def pid_of(name: str, folder: Path) -> int | None:
    """The recorded pid if that very process still runs (its start time is compared), else None."""
    try:
        pid, started = (folder / "pids" / name).read_text().split()
    except (OSError, ValueError):
        return None
    _reap(int(pid))
    return int(pid) if _started(int(pid)) == started else None


def stop(name: str, folder: Path, grace: float = 10.0, sign: int = signal.SIGTERM) -> None:
    """End a recorded process: ask, wait, then kill."""
    pid = pid_of(name, folder)
    if pid is not None:
        _signal(pid, sign)
        end = time.monotonic() + grace
        while pid_of(name, folder) is not None and time.monotonic() < end:
            time.sleep(0.05)
        if pid_of(name, folder) is not None:
            _signal(pid, signal.SIGKILL)
            while pid_of(name, folder) is not None:
                time.sleep(0.02)
    (folder / "pids" / name).unlink(missing_ok=True)


def names(folder: Path) -> list[str]:
    """Names of all recorded processes, the youngest first."""
    pids = folder / "pids"
    if not pids.is_dir():
        return []
    return [p.name for p in sorted(pids.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)]


def log_tail(name: str, folder: Path, lines: int = 15) -> str:
    path = folder / "logs" / f"{name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _signal(pid: int, sign: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def _reap(pid: int) -> None:
    """Our own children become zombies when they end; other processes' children are none of our business."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; "" when there is none (or only a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
