"""What the gateway adds to a raw Envoy: one connection, each request as soon as the one before is answered.

The subjects of `make bench-gateway` without LiteLLM, one load only, both Envoys started anew in each round (how one
lies in memory is worth 0.05 ms, either way): a minute. JSON is the last line.
    python -m hack.bench.gateway.added
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from hack.bench.gateway.load import Request, bodies, engine, rate
from hack.bench.gateway.measure import at
from hack.bench.gateway.subjects import direct, gateway, raw_envoy

TURNS = 3
"""Of each subject in a round."""


def measure(rounds: int, seconds: float) -> dict[str, list[float]]:
    """p50 of each round in milliseconds, by subject."""
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="slm-") as scratch, engine() as port:
        folder = Path(scratch)
        body, _ = bodies(folder)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            own = folder / f"round-{turn}"
            own.mkdir()
            with raw_envoy(own, port) as raw, gateway(own, port) as ours:
                for _ in range(TURNS):
                    for subject in (direct(port), raw, ours):
                        seen = rate(Request(subject.url, body, subject.headers), 1, 0, seconds)
                        found[subject.name].append(at(seen["latencies_us"], 50))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.gateway.added", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="starts of each")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each turn")
    args = parser.parse_args()
    found = measure(args.rounds, args.seconds)
    added = [ours - raw for ours, raw in zip(found["our gateway"], found["raw Envoy"], strict=True)]
    p50 = {name: round(statistics.median(values), 3) for name, values in found.items()}
    result = {"p50_ms": p50, "added_p50_ms": round(statistics.median(added), 3), "least_ms": round(min(added), 3)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
