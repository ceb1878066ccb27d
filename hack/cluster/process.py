"""Start programs so that they can be found, and ended, by their process id and nothing else."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# The program records itself before it becomes what it is to run (its pid and start time stay the same through exec):
# whoever is interrupted while starting it leaves no process that nobody knows of.
_RECORD = """set -e
start=$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)
echo "$$ $start" >"$1.new"
mv "$1.new" "$1"
shift
exec "$@"
"""


def start(name: str, command: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> int:
    """Start a program detached, its output in `<folder>/logs/<name>.log`; records and returns its pid.

    Raises:
        FileNotFoundError: there is no such program.
        RuntimeError: it could not be recorded, as on a full disk; it does not run then.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"{command[0]} is not installed")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "pids").mkdir(exist_ok=True)
    record = folder / "pids" / name
    if ended(name, folder):
        # It is brought back, but that it went is never silent.
        print(f"{name} had ended and is started again; {last_words(name, folder)}", file=sys.stderr)
    record.unlink(missing_ok=True)
    log = os.open(folder / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _RECORD, "start", str(record), *command],
            {**os.environ, **(env or {})},
            file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsid=True,
        )
    finally:
        os.close(log)
        os.close(null)
    while not record.exists():
        if not _started(pid) and not record.exists():
            _reap(pid)
            raise RuntimeError(f"{name} could not be recorded in {record}; {last_words(name, folder)}")
        time.sleep(0.005)
    return pid


def ended(name: str, folder: Path) -> bool:
    """Did a recorded process end by itself? One that was stopped is no longer recorded."""
    return (folder / "pids" / name).exists() and pid_of(name, folder) is None


def last_words(name: str, folder: Path) -> str:
    """The end of a program's log, to be shown when it is found dead."""
    return f"the end of its log:\n{log_tail(name, folder) or '(empty)'}"


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
    records = [p for p in pids.iterdir() if p.suffix != ".new"]  # not those being written
    return [p.name for p in sorted(records, key=lambda p: p.stat().st_mtime, reverse=True)]


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
    """Start time of a process in clock ticks since boot; "" when there is none (or only a zombie).

    One whose first thread is a zombie while others still end has its files and ports.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" and int(fields[17]) <= 1 else fields[19]
