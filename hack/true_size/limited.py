"""A model of true size in a memory cgroup with a limit, as a pod has one: it loads, fills its slots, and serves on.

Nothing of the file is cached before, so that its pages count for this cgroup. The last line of the output is JSON; the
exit code is 1 when a request was not answered or the kernel killed the engine. Needs root.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.true_size import write
from hack.true_size.measure import ask, fill, telling
from hack.true_size.server import Server, serving
from smallmodel_operator.core.units import to_bytes

CGROUPS = Path("/sys/fs/cgroup")
PROMPT_TOKENS, GENERATED = 8, 2


@contextmanager
def cgroup(limit: int) -> Iterator[Path]:
    """A memory cgroup of our own, of version 1 or 2, with a limit and no swap."""
    one = CGROUPS / "memory"
    made = (one if one.is_dir() else CGROUPS) / f"true-size-{os.getpid()}"
    made.mkdir()
    try:
        (made / ("memory.limit_in_bytes" if one.is_dir() else "memory.max")).write_text(str(limit))
        yield made
    finally:
        made.rmdir()


def usage(made: Path) -> tuple[int, int]:
    """(highest usage in bytes, kills) of a cgroup."""
    one = made / "memory.max_usage_in_bytes"
    peak = one if one.exists() else made / "memory.peak"
    events = made / ("memory.oom_control" if one.exists() else "memory.events")
    kills = dict(line.split() for line in events.read_text().splitlines())["oom_kill"]
    return int(peak.read_text()), int(kills)


def forget(file: Path) -> None:
    """Drop what is cached of a file."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def serve(server: Server, slots: int, requests: int) -> int:
    """Short requests one after the other; how many were answered before the engine was gone."""
    for number in range(requests):
        try:
            ask(server, number % slots, PROMPT_TOKENS, GENERATED, start=number * 997)
        except OSError:
            return number
    return requests


def run(case: str, limit: int, requests: int) -> dict[str, Any]:
    """Load, fill every slot, then serve short requests one after the other."""
    name, kind, context, slots = case.split(":")
    file = write.ensure(name, kind)
    forget(file)
    with cgroup(limit) as made:
        try:
            with serving(file, int(context), int(slots), cgroup=made) as server:
                ready = server.wait()
                with telling(f"{case}: filling {slots} x {context} tokens"):
                    for slot in range(int(slots)):
                        fill(server, slot, int(context))
                began = time.monotonic()
                with telling(f"{case}: {requests} requests"):
                    answered = serve(server, int(slots), requests)
                served = time.monotonic() - began
                server.look()
        finally:
            peak, kills = usage(made)
    return {
        "case": case,
        "limit_bytes": limit,
        "requests": requests,
        "answered": answered,
        "oom_kills": kills,
        "cgroup_peak_bytes": peak,
        "peak_resident_bytes": server.peak_resident,
        "anonymous_bytes": server.peak_anonymous,
        "ready_seconds": round(ready, 1),
        "requests_seconds": round(served, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", metavar="SIZE:TYPE:CONTEXT:SLOTS")
    parser.add_argument("--limit", type=to_bytes, default=to_bytes("4Gi"), help="as Kubernetes writes it, say 4Gi")
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root for its cgroup (try: sudo -E make bench-memory-limit)")
    found = run(options.case, options.limit, options.requests)
    print(json.dumps(found), flush=True)
    return 0 if found["answered"] == options.requests and not found["oom_kills"] else 1


if __name__ == "__main__":
    sys.exit(main())
