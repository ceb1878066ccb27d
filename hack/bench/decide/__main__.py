"""`make bench-decide`: what a decision adds to a request with a prompt of 2 KB, and how many there are a second.

One Envoy and one agent on loopback, the record on the disk of SLM_BENCH_DISK (else of the temporary folder). In turns:
Envoy alone, kept inside by policy, scored for escalation; of each decision also what the agent alone takes, asked over
its socket as Envoy asks. With --litellm its proxy's requests a second of processor time beside ours, through the same
upstream. Progress goes to standard error, the last line of standard output is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.gateway.decided import CHAT, asking

from hack.bench.decide.socket import asked_alone
from hack.bench.gateway.load import Request, engine, rate, used
from hack.bench.gateway.measure import at
from hack.bench.gateway.subjects import WORKERS, direct, litellm, raw_envoy
from hack.bench.routing.planted import FILLER

PROMPT_BYTES = 2048
LIMITS = {"inside": 0.6, "scored": 1.5}
"""Milliseconds at p50 a decision may add, see docs/reference/benchmarks.md."""
CALLERS = {"inside": "somebody", "scored": "labelled"}
BUSY = 16
"""Connections of the closed loop."""


def body(folder: Path) -> Path:
    """A file with a request in which nothing is found: it is looked through to its end."""
    text = " ".join(FILLER * 10)[:PROMPT_BYTES]
    file = folder / "prompt.json"
    file.write_text(json.dumps({"model": "assistant", "messages": [{"role": "user", "content": text}]}))
    return file


def measure(rounds: int, seconds: float, *, peer: bool = False) -> dict[str, Any]:
    """The JSON object. `peer`: LiteLLM beside it."""
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
                url, pids = f"http://127.0.0.1:{ours.port}{CHAT}", (ours.agent.pid, ours.envoy_pid)
                asked = {
                    "direct": Request(direct(port).url, prompt),
                    "raw": Request(raw.url, prompt),
                    "inside": Request(url, prompt),
                    "scored": Request(url, prompt, ("x-caller: labelled",)),
                }
                for name, request in asked.items():
                    seen = rate(request, 1, 0, seconds)
                    found[name].append(at(seen["latencies_us"], 50))
                for name, caller in CALLERS.items():
                    found[f"{name} agent"].append(asked_alone(own, prompt.read_bytes(), caller))
                for name in LIMITS:
                    rates[name].append(_busy(asked[name], pids, seconds))
        if peer:
            with litellm(folder, port) as proxy:
                beside = Request(proxy.url, _for(folder, "bot"), proxy.headers)
                rates["litellm"] = [_busy(beside, proxy.pids, seconds) for _ in range(rounds)]
    return _result(found, rates)


def _for(folder: Path, model: str) -> Path:
    """The same request to another model."""
    file = folder / f"{model}.json"
    file.write_text(json.dumps({**json.loads((folder / "prompt.json").read_text()), "model": model}))
    return file


def _busy(request: Request, pids: Sequence[int], seconds: float) -> dict[str, float]:
    """`pids`: whose processor time counts, our agent's first."""
    before = [used([pid]).cpu for pid in pids]
    seen = rate(request, BUSY, 0, seconds)
    cpu = [used([pid]).cpu - earlier for pid, earlier in zip(pids, before, strict=True)]
    # What warms it up costs processor time, too, and is not in `sent`: the figure is a little too low, for all alike.
    return {
        "per_second": seen["sent"] / seen["seconds"],
        "per_cpu_second": seen["sent"] / sum(cpu) if sum(cpu) else 0.0,
        "per_agent_cpu_second": seen["sent"] / cpu[0] if cpu[0] else 0.0,
        "p99_ms": at(seen["latencies_us"], 99),
    }


def _result(found: dict[str, list[float]], rates: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "prompt_bytes": PROMPT_BYTES,
        "p50_ms": {n: round(statistics.median(values), 3) for n, values in found.items() if not n.endswith("agent")},
    }
    for name, limit in LIMITS.items():
        added = [ours - raw for ours, raw in zip(found[name], found["raw"], strict=True)]
        result[name] = {
            "added_p50_ms": round(statistics.median(added), 3),
            "least_ms": round(min(added), 3),
            "agent_p50_ms": round(statistics.median(found[f"{name} agent"]), 3),
            "limit_ms": limit,
            "within": statistics.median(added) <= limit,
            f"{BUSY}_connections": _medians(rates[name]),
        }
    if peer := _medians(rates["litellm"]):
        ours = result["inside"][f"{BUSY}_connections"]["per_cpu_second"]
        result["litellm"] = {**peer, "times": round(ours / peer["per_cpu_second"], 1)}
    return result


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(r[key] for r in rounds), 2) for key in (rounds[0] if rounds else ())}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m hack.bench.decide", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0, help="of each load in a round")
    options.add_argument("--litellm", action="store_true", help="beside LiteLLM's proxy, installed once")
    wanted = options.parse_args()
    print(json.dumps(measure(wanted.rounds, wanted.seconds, peer=wanted.litellm)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
