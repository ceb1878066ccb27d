"""What recording every answer costs: requests of our gateway per second of processor time, without it and with it.

Envoy, the agent that makes metrics and records, and one that makes the metrics only work for the very same requests,
and each one's own time is counted to the end of its work. So nothing has to be compared between a quiet moment and a
busy one.
    python -m hack.bench.gateway.recording
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hack.bench.gateway.load import Request, bodies, engine, rate, used
from hack.bench.gateway.reader import caught_up
from hack.bench.gateway.subjects import Subject, gateway

CONNECTIONS: Final = 32
LIMIT_PERCENT: Final = 5.0


def measure(subject: Subject, body: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """So many rounds, each as fast as it answers.

    Raises:
        RuntimeError: requests failed, or their lines were never read.
    """
    request = Request(subject.url, body, subject.headers)
    parts = (subject.pids, subject.unrecorded, subject.beside)
    found: list[tuple[int, list[float]]] = []
    assert subject.folder is not None
    caught_up(subject.folder)
    for turn in range(rounds):
        before = [used(pids).cpu for pids in parts]
        sent = rate(request, CONNECTIONS, 0, seconds, warm=0)["sent"]
        caught_up(subject.folder)
        found.append((sent, [used(pids).cpu - b for pids, b in zip(parts, before, strict=True)]))
        say(f"recording, round {turn + 1} of {rounds}: {_words(*found[-1])}")
    return judged(found)


def judged(found: list[tuple[int, list[float]]]) -> dict[str, Any]:
    """From requests and seconds of Envoy, metrics alone and the whole agent in each round: medians, and whether the
    limit is held."""
    envoy, metrics, agent = (statistics.median(cpu[n] / sent for sent, cpu in found) for n in range(3))
    shares = [100 * (agent - metrics) / (envoy + agent) for _, (envoy, metrics, agent) in found]
    without, whole, share = envoy + metrics, envoy + agent, statistics.median(shares)
    return {
        "rps_per_cpu_second_unrecorded": round(1 / without),
        "rps_per_cpu_second_recorded": round(1 / whole),
        "microseconds": {
            "envoy": round(envoy * 1e6, 1),
            "metrics": round(metrics * 1e6, 1),
            "record": round((agent - metrics) * 1e6, 1),
        },
        "recording_share_percent": round(share, 2),
        "recording_share_percent_rounds": [round(share, 2) for share in shares],
        "recording_met": share <= LIMIT_PERCENT,
    }


def _words(sent: int, cpu: list[float]) -> str:
    names = ("Envoy", "metrics alone", "metrics and record")
    each = ", ".join(f"{n} {c / sent * 1e6:.0f} µs" for n, c in zip(names, cpu, strict=True))
    return f"{sent} requests, {each}"


def main() -> None:
    from hack.bench.gateway.__main__ import say

    parser = argparse.ArgumentParser(prog="python -m hack.bench.gateway.recording", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns")
    parser.add_argument("--seconds", type=float, default=8, help="of each turn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slm-") as scratch, engine() as port, gateway(Path(scratch), port) as ours:
        result = measure(ours, bodies(Path(scratch))[0], args.rounds, args.seconds, say)
    print(json.dumps(result), flush=True)
    sys.exit(0 if result["recording_met"] else 1)


if __name__ == "__main__":
    main()
