"""Measurements of one subject, and what it adds to a direct connection."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.bench.gateway.load import Request, rate, streams, used
from hack.bench.gateway.reader import caught_up
from hack.bench.gateway.subjects import Subject

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second over so many connections (open loop); 0: each as soon as the one before is answered."""

    connections: int
    per_second: int
    fast_only: bool = False
    """More than a slow proxy can do."""

    @property
    def name(self) -> str:
        plural = "s" if self.connections > 1 else ""
        speed = f"{self.per_second}/s" if self.per_second else "one after the other"
        return f"{self.connections} connection{plural}, {speed}"


@dataclass(slots=True)
class Measured:
    """Everything by subject, and by load or number of connections. Times in milliseconds."""

    latencies: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """p50 and p99 of each round."""
    closed: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    streams: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    subjects: dict[str, None] = field(default_factory=dict)
    """In the order measured."""


def at(values: Sequence[float], percent: float) -> float:
    """A percentile of microseconds, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1000


def latency(found: Measured, subject: Subject, load: Load, body: Path, seconds: float) -> None:
    found.subjects[subject.name] = None
    seen = rate(Request(subject.url, body, subject.headers), load.connections, load.per_second, seconds)["latencies_us"]
    found.latencies[subject.name, load.name].append((at(seen, 50), at(seen, 99)))


def closed(found: Measured, subject: Subject, connections: int, body: Path, seconds: float) -> None:
    """As fast as it answers; requests a second of wall time and of its processes' time."""
    before, beside = used(subject.pids), used(subject.beside)
    seen = rate(Request(subject.url, body, subject.headers), connections, 0, seconds, warm=0)
    if subject.folder is not None:
        caught_up(subject.folder)
    after, reader = used(subject.pids), used(subject.beside)
    path, log = after.cpu - before.cpu, reader.cpu - beside.cpu
    found.closed[subject.name, connections] = {
        "max_rps": round(seen["sent"] / seen["seconds"]),
        "rps_per_cpu_second": round(seen["sent"] / (path + log)) if path else 0,
        "rps_per_cpu_second_data_path": round(seen["sent"] / path) if path else 0,
        "rss_mib": round(after.rss + reader.rss),
    }
    print(f"         {subject.name}: {found.closed[subject.name, connections]}", file=sys.stderr, flush=True)


def stream(found: Measured, subject: Subject, count: int, body: Path) -> None:
    seen = streams(Request(subject.url, body, subject.headers), count)
    values = {
        f"{name}_p{percent}_ms": at(seen[key], percent)
        for name, key in (("first_token", "first_us"), ("token_delay", "delays_us"), ("gap", "gaps_us"))
        for percent in (50, 99)
    }
    found.streams[subject.name].append(values)


def added(found: Measured, loads: Sequence[Load]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows, and the rows of streams: medians over rounds, and for proxies the difference to direct in each round."""
    rows = [
        {
            "subject": subject,
            "load": load.name,
            **_latency(found, subject, load),
            **_throughput(found.closed[subject, load.connections], subject),
        }
        for load in loads
        for subject in found.subjects
        if (subject, load.name) in found.latencies
    ]
    return rows, [{"subject": subject, **_stream(found, subject)} for subject in found.subjects]


def _latency(found: Measured, subject: str, load: Load) -> dict[str, float]:
    mine, base = found.latencies[subject, load.name], found.latencies[DIRECT, load.name]
    values = {}
    for n, name in enumerate(("p50", "p99")):
        values[f"{name}_ms"] = round(statistics.median(m[n] for m in mine), 3)
        values[f"quietest_{name}_ms"] = round(min(m[n] for m in mine), 3)
        values[f"added_{name}_ms"] = round(statistics.median(m[n] - b[n] for m, b in zip(mine, base, strict=True)), 3)
    return values


def _throughput(values: dict[str, float], subject: str) -> dict[str, float | None]:
    """A direct connection has no process of its own to count."""
    nothing = {} if subject != DIRECT else dict.fromkeys(set(values) - {"max_rps"})
    return {**values, **nothing}


def _stream(found: Measured, subject: str) -> dict[str, float]:
    mine, base = found.streams[subject], found.streams[DIRECT]
    values = {}
    for name in mine[0]:
        values[name] = round(statistics.median(m[name] for m in mine), 2)
        values[f"added_{name}"] = round(
            statistics.median(m[name] - b[name] for m, b in zip(mine, base, strict=True)), 2
        )
    return values
