"""Starts the load tool (hack/tools/load) and says what a subject's processes used meanwhile."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.binaries import program

TICK = os.sysconf("SC_CLK_TCK")
BODY_BYTES, TOKENS = 1024, 100


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a URL, header lines and a file with the body."""

    url: str
    body: Path
    headers: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        lines = [word for line in self.headers for word in ("-header", line)]
        return ["-url", self.url, "-body", str(self.body), *lines]


def bodies(folder: Path) -> tuple[Path, Path]:
    """Files with a request of BODY_BYTES, and with one that streams TOKENS tokens."""
    files = []
    for name, more in (("plain", {}), ("stream", {"stream": True, "max_tokens": TOKENS})):
        body = {"model": "bot", "messages": [{"role": "user", "content": ""}], **more}
        body["messages"][0]["content"] = "x" * (BODY_BYTES - len(json.dumps(body)))  # type: ignore[index]
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(body))
    return files[0], files[1]


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds so far and resident memory in MiB of some processes and their children."""

    cpu: float = 0.0
    rss: float = 0.0


def used(pids: Sequence[int]) -> Used:
    """What these processes and all below them have used."""
    parents, stats = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        stats[number] = Used((int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    family = set(pids)
    while more := {n for n, parent in parents.items() if parent in family} - family:
        family |= more
    mine = [stats[n] for n in family if n in stats]
    return Used(sum(u.cpu for u in mine), sum(u.rss for u in mine) / 2**20)


def rate(request: Request, connections: int, per_second: float, seconds: float, warm: int = 3) -> dict[str, Any]:
    """Open loop at a rate, or closed with 0. Raises RuntimeError when requests fail: such figures mean nothing."""
    options = {"connections": connections, "rate": per_second, "seconds": seconds, "warm": warm}
    return _run("rate", request, options, seconds + 60)


def streams(request: Request, count: int) -> dict[str, Any]:
    """So many streams at once, each to its end."""
    return _run("streams", request, {"streams": count}, 90)


def _run(mode: str, request: Request, options: dict[str, float], limit: float) -> dict[str, Any]:
    words = [word for name, value in options.items() for word in (f"-{name}", str(value))]
    command = [program("load"), mode, *request.words, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise RuntimeError(f"load on {request.url} failed: {done.stderr.strip()[-1000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["failed"]:
        raise RuntimeError(f"{result['failed']} requests to {request.url} failed, the last with: {result['failure']}")
    return result


@contextmanager
def engine() -> Iterator[int]:
    """The mock engine; its port on 127.0.0.1."""
    with subprocess.Popen([program("load"), "engine"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
