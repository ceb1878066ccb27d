"""`make bench-decide`: what a decision adds to a request with a prompt of 2 KB, and how many there are a second.

One Envoy and one agent on loopback, the record on the disk of SLM_BENCH_DISK (else of the temporary folder). In turns:
Envoy alone, kept inside by policy, scored for escalation. Progress goes to standard error, the last line of standard
output is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.gateway.decided import CHAT, asking

from hack.bench.gateway.load import Request, engine, rate, used
from hack.bench.gateway.measure import at
from hack.bench.gateway.subjects import WORKERS, direct, raw_envoy
from hack.bench.routing.planted import FILLER

PROMPT_BYTES = 2048
LIMITS = {"inside": 0.6, "scored": 1.5}
"""Milliseconds at p50 a decision may add, see docs/reference/benchmarks.md."""
BUSY = 16
"""Connections of the closed loop."""


def body(folder: Path) -> Path:
    """A file with a request in which nothing is found: it is looked through to its end."""
    text = " ".join(FILLER * 10)[:PROMPT_BYTES]
    file = folder / "prompt.json"
    file.write_text(json.dumps({"model": "assistant", "messages": [{"role": "user", "content": text}]}))
    return file


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """The JSON object."""
    found: dict[str, list[float]] = defaultdict(list)
    rates: dict[str, list[dict[str, float]]] = defaultdict(list)
    disk = os.environ.get("SLM_BENCH_DISK")
    with tempfile.TemporaryDirectory(prefix="slm-", dir=disk) as scratch, engine() as port:
        folder = Path(scratch)
        prompt = body(folder)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            own = folder / f"{turn}"
            own.mkdir()
            upstreams = {"small": port, "cloud": port}
            with raw_envoy(own, port) as raw, asking(own, upstreams, "hack.bench.decide.agent", WORKERS) as ours:
                assert ours.agent is not None
                url, agent = f"http://127.0.0.1:{ours.port}{CHAT}", ours.agent.pid
                asked = {
                    "direct": Request(direct(port).url, prompt),
                    "raw": Request(raw.url, prompt),
                    "inside": Request(url, prompt),
                    "scored": Request(url, prompt, ("x-caller: labelled",)),
                }
                for name, request in asked.items():
                    seen = rate(request, 1, 0, seconds)
                    found[name].append(at(seen["latencies_us"], 50))
                for name in LIMITS:
                    rates[name].append(_busy(asked[name], agent, seconds))
    return _result(found, rates)


def _busy(request: Request, agent: int, seconds: float) -> dict[str, float]:
    before = used([agent])
    seen = rate(request, BUSY, 0, seconds, warm=0)
    cpu = used([agent]).cpu - before.cpu
    return {
        "per_second": seen["sent"] / seen["seconds"],
        "per_agent_cpu_second": seen["sent"] / cpu if cpu else 0.0,
        "p99_ms": at(seen["latencies_us"], 99),
    }


def _result(found: dict[str, list[float]], rates: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "prompt_bytes": PROMPT_BYTES,
        "p50_ms": {name: round(statistics.median(values), 3) for name, values in found.items()},
    }
    for name, limit in LIMITS.items():
        added = [ours - raw for ours, raw in zip(found[name], found["raw"], strict=True)]
        busy = {key: round(statistics.median(r[key] for r in rates[name]), 2) for key in rates[name][0]}
        result[name] = {
            "added_p50_ms": round(statistics.median(added), 3),
            "least_ms": round(min(added), 3),
            "limit_ms": limit,
            "within": statistics.median(added) <= limit,
            f"{BUSY}_connections": busy,
        }
    return result


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m hack.bench.decide", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0, help="of each load in a round")
    wanted = options.parse_args()
    print(json.dumps(measure(wanted.rounds, wanted.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
