"""The gateway beside a direct connection, a raw Envoy and LiteLLM's proxy: one run, one machine, one mock engine.

Subjects take turns in short rounds, so that what else the machine does meets all of them, and each round has Envoys of
its own. Progress goes to standard
error; the last line of standard output is one JSON object. It takes about five minutes, plus installing LiteLLM once.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.bench.gateway import recording, release
from hack.bench.gateway.load import bodies, engine
from hack.bench.gateway.measure import Load, Measured, added, closed, latency, stream
from hack.bench.gateway.plot import draw
from hack.bench.gateway.subjects import Subject, direct, gateway, litellm, raw_envoy

LOADS = (Load(1, 0), Load(1, 20), Load(32, 50), Load(32, 1000, fast_only=True))
"""One by one; what LiteLLM can do on a busy machine, with one connection and with 32; what it cannot."""
CROWD = LOADS[2]
STREAMS = 64
TARGET_ADDED_MS, TARGET_TIMES = 0.15, 10


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def started(folder: Path, port: int, peer: Subject) -> Iterator[list[Subject]]:
    """All subjects, the two Envoys freshly started: how one lies in memory is worth 0.05 ms, either way."""
    folder.mkdir()
    with raw_envoy(folder, port) as raw, gateway(folder, port) as ours:
        yield [direct(port), raw, ours, peer]


def latencies(found: Measured, subjects: Sequence[Subject], plain: Path, seconds: float) -> None:
    for load in LOADS:
        for subject in subjects:
            if subject.name != "LiteLLM" or not load.fast_only:
                latency(found, subject, load, plain, seconds)


def throughput(found: Measured, subjects: Sequence[Subject], plain: Path, streamed: Path, seconds: float) -> None:
    for connections in (1, 32):
        say(f"closed loop, {connections} connection(s)")
        for subject in subjects:
            closed(found, subject, connections, plain, 2 * seconds)
    for turn in range(2):
        say(f"{STREAMS} streams, round {turn + 1} of 2")
        for subject in subjects:
            stream(found, subject, STREAMS, streamed)


def judge(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What must hold, and whether it did; targets stay what they are however busy the machine was."""

    def row(subject: str, load: Load) -> dict[str, Any]:
        return next(r for r in rows if r["subject"] == subject and r["load"] == load.name)

    def over(key: str) -> dict[str, float]:
        return {x.name: round(row("our gateway", x)[key] - row("raw Envoy", x)[key], 3) for x in LOADS}

    p50 = over("added_p50_ms")
    ours, peer = (row(name, CROWD)["rps_per_cpu_second"] for name in ("our gateway", "LiteLLM"))
    return {
        "over_raw_envoy_p50_ms": p50,
        "over_raw_envoy_quietest_round_ms": over("quietest_p50_ms"),
        "over_raw_envoy_met": {load: added <= TARGET_ADDED_MS for load, added in p50.items()},
        "times_litellm_per_cpu_second": round(ours / peer, 1),
        "times_litellm_met": ours / peer >= TARGET_TIMES,
    }


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    plain, streamed = bodies(folder)
    found = Measured()
    with engine() as port, litellm(folder, port) as peer:
        for turn in range(args.rounds):
            say(f"round {turn + 1} of {args.rounds}: raw Envoy and our gateway started anew")
            with started(folder / f"round-{turn}", port, peer) as subjects:
                latencies(found, subjects, plain, args.seconds)
                if turn == args.rounds - 1:
                    throughput(found, subjects, plain, streamed, args.seconds)
                    recorded = recording.measure(subjects[2], plain, args.rounds, 4 * args.seconds, say)
    rows, sse = added(found, LOADS)
    (folder / "release").mkdir()
    say(f"from zero: {args.cold_starts} cold starts with two gateways")
    zero = asyncio.run(release.measure(folder / "release", args.cold_starts))
    return {"rows": rows, "sse": sse, "release": zero, **judge(rows), **recorded}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each subject at each rate")
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--cold-starts", type=int, default=20, help="times the model is woken")
    parser.add_argument("--plot", type=Path, help="write an SVG picture of the rows there")
    args = parser.parse_args()
    began, before = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="slm-") as scratch:
        result = measure(args, Path(scratch))
    result["load_average"] = {"before": round(before, 1), "after": round(os.getloadavg()[0], 1)}
    result |= {"cores": os.cpu_count(), "seconds": round(time.monotonic() - began)}
    if args.plot:
        args.plot.write_text(draw(result))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
