"""What a node leaves behind on the host, and how it is taken away: mounts, cgroups, shims."""

import contextlib
import os
import subprocess
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
NODE_SHARES = 16 * 1024


def inherit_cpuset(name: str) -> None:
    """Under cgroup v1 a new cpuset is empty and accepts no process until it is filled."""
    for part in ("cpuset.cpus", "cpuset.mems"):
        own = CGROUPS / "cpuset" / f"slm-{name}" / part
        if own.exists() and not own.read_text().strip():
            own.write_text((CGROUPS / "cpuset" / part).read_text())


def take_share(name: str) -> None:
    """Under cgroup v1 all pods of a node together weigh as much as one program started by hand (1024), of which a test
    run has dozens: a model, its gateway and the operator would starve. A real node gives nearly all it has to pods.
    """
    shares = CGROUPS / "cpu" / f"slm-{name}" / "cpu.shares"
    if shares.exists():
        shares.write_text(str(NODE_SHARES))


def unmount(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)


def remove_cgroup(folder: Path) -> None:
    if not folder.is_dir():
        return
    for inner in sorted((p for p in folder.rglob("*") if p.is_dir()), key=lambda p: len(p.parts), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def shims(run: Path) -> list[int]:
    """Shims of this cluster, known by their socket folder on the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words and b"containerd-shim" in words[0] and any(w.startswith(f"{run}/".encode()) for w in words):
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
