"""llama.cpp alone and through the gateway, with our flags and its defaults, on models of true size.

Four tables: tokens a second through the gateway beside the engine alone (in turns, in one run); our flags beside
llama-server's own defaults and the roofline of this machine's memory; how long a start takes with the file cached and
not; and which prompts and outputs are answered within 150 ms (with one token of output: the time to the first).
Progress goes to standard error; the last line is JSON. The exit code is 1 when less than 97 % passes the gateway.
Needs root, the engine image and the models (`make true-size-models MODELS="0.5b:Q4_K_M 3b:Q4_K_M 8b:Q4_K_M"`).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.bench.engine.asking import Target, ask, speed
from hack.bench.engine.roofline import bandwidth, bytes_a_token, facts_of
from hack.bench.gateway.subjects import gateway
from hack.true_size import write
from hack.true_size.limited import forget
from hack.true_size.measure import SMALLEST_WEIGHTS
from hack.true_size.server import Server, serving, started
from hack.true_size.shapes import FILE_TYPE, SHAPES

MODELS = ("0.5b:Q4_K_M", "3b:Q4_K_M", "8b:Q4_K_M")
SLOTS, CONTEXT = 2, 1024
LIMIT = 0.97
QUICK_MS = 150
STARTS = 3
PROMPTS, OUTPUTS = (16, 64, 256), (1, 4, 16, 64)
ROOF = (
    "read_tokens_per_second", "write_tokens_per_second", "roofline_tokens_per_second", "share_of_roofline", "peak_mib",
)  # fmt: skip
READ_TOKENS, WRITTEN_TOKENS = 64, 32
"""Of the requests whose speed is compared."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def engine(file: Path, threads: int, *, ours: bool = True) -> Iterator[tuple[Target, Server]]:
    """The engine, warm: with the operator's flags, or with none but the file."""
    name = "our flags" if ours else "defaults"
    made = serving(file, CONTEXT, SLOTS, threads=threads) if ours else started(file, ["--model", f"/mnt/{file.name}"])
    with made as server:
        server.wait()
        target = Target(name, server.port)
        ask(target, 16, 2)
        yield target, server


def through(target: Target, rounds: int) -> list[dict[str, Any]]:
    """Tokens a second of the engine alone and through the gateway, taking turns, with one caller and with all slots.

    How fast the engine computes changes by more from one request to the next on a shared machine than any gateway
    takes. So `share` is of what does not depend on it: the part of the wall clock in which the engine says it
    computed, through the gateway over alone. `wall_shares` are the plain ratios of tokens a second.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="slm-") as folder, gateway(Path(folder), target.port) as subject:
        headers = dict(line.split(": ", 1) for line in subject.headers)
        front = Target("gateway", int(subject.url.split(":")[2].split("/")[0]), headers)
        ask(front, 16, 2)
        for at_once in (1, SLOTS):
            turns = []
            for turn in range(rounds):
                say(f"  {at_once} at once, round {turn + 1} of {rounds}")
                order = (target, front) if turn % 2 else (front, target)
                seen = {t.name: speed(t, at_once, READ_TOKENS, WRITTEN_TOKENS) for t in order}
                turns.append((*seen[target.name], *seen["gateway"]))
            alone, computing, passed, computing_passed = (statistics.median(t[n] for t in turns) for n in range(4))
            rows.append(
                {
                    "concurrency": at_once,
                    "alone_tokens_per_second": round(alone, 2),
                    "gateway_tokens_per_second": round(passed, 2),
                    "alone_computing": round(computing, 4),
                    "gateway_computing": round(computing_passed, 4),
                    "share": round(computing_passed / computing, 4),
                    "wall_shares": [round(g / a, 4) for a, _, g, _ in turns],
                }
            )
    return rows


def flags(file: Path, cores: int, rounds: int, tied: bool) -> list[dict[str, Any]]:
    """Our flags and the defaults, in turns, beside what the memory allows, and the most memory each kept resident."""
    seen: dict[str, list[tuple[float, float, int]]] = {"our flags": [], "defaults": []}
    for turn in range(rounds):
        for ours in (True, False) if turn % 2 else (False, True):
            if not ours and turn and not seen["defaults"]:
                continue  # they ask for the whole context the model was trained for, and this machine has no room
            try:
                with engine(file, cores, ours=ours) as (target, server):
                    say(f"  {target.name}, round {turn + 1} of {rounds}")
                    told = [ask(target, READ_TOKENS, WRITTEN_TOKENS) for _ in range(3)]
                    server.look()
                    best = max(t.read for t in told), max(t.write for t in told), server.peak_resident
                    seen[target.name].append(best)
            except (SystemExit, OSError) as e:
                if ours:
                    raise
                say(f"  defaults: {e}")
    reads = bandwidth(cores)
    roof = reads / bytes_a_token(facts_of(file), tied=tied)
    made = []
    for name, values in sorted(seen.items(), reverse=True):
        if not values:
            made.append({"flags": name, **dict.fromkeys(ROOF, "did not start")})
            continue
        read, wrote, resident = (statistics.median(v[n] for v in values) for n in (0, 1, 2))
        made.append(
            {
                "flags": name,
                "peak_mib": round(resident / 2**20),
                "read_tokens_per_second": round(read, 2),
                "write_tokens_per_second": round(wrote, 2),
                "roofline_tokens_per_second": round(roof, 2),
                "share_of_roofline": round(wrote / roof, 3),
                "memory_bytes_per_second": round(reads),
            }
        )
    return made


def starts(file: Path, cores: int, rounds: int) -> list[dict[str, Any]]:
    """From the process' start to ready, and to the first token of 16, with the file read from disk and cached."""
    rows = []
    for cached in (False, True):
        taken: list[tuple[float, float]] = []
        for turn in range(rounds):
            if not cached:
                forget(file)
            with serving(file, CONTEXT, SLOTS, threads=cores) as server:
                ready = server.wait()
                first = ask(Target("start", server.port), 16, 1).seconds
            say(f"  {'cached' if cached else 'from disk'}, start {turn + 1} of {rounds}: {ready:.1f} s")
            taken.append((ready, ready + first))
        ready, first = (round(statistics.median(t[n] for t in taken), 2) for n in (0, 1))
        rows.append({"cached": cached, "ready_seconds": ready, "first_token_seconds": first})
    return rows


def quick(file: Path, cores: int) -> list[dict[str, Any]]:
    """What is answered within QUICK_MS. What is larger than something that was not is not tried: it takes longer."""
    rows: list[dict[str, Any]] = []
    with engine(file, cores) as (target, _):
        for prompt in PROMPTS:
            for output in OUTPUTS:
                slower = any(not r["answers"] and r["prompt"] <= prompt and r["output"] <= output for r in rows)
                taken = None
                if not slower:
                    taken = round(1000 * statistics.median(ask(target, prompt, output).seconds for _ in range(3)), 1)
                    say(f"  {cores} core(s), {prompt} + {output} tokens: {taken} ms")
                fast = taken is not None and taken <= QUICK_MS
                rows.append(
                    {"cores": cores, "prompt": prompt, "output": output, "milliseconds": taken, "answers": fast}
                )
    return rows


def measure(model: str, args: argparse.Namespace) -> dict[str, Any]:
    name, _, kind = model.partition(":")
    file, cores = write.ensure(name, kind), os.cpu_count() or 1
    facts = facts_of(file)
    if facts.tensor_bytes < SMALLEST_WEIGHTS:
        raise SystemExit(f"{model}: {facts.tensor_bytes} bytes of weights are too few to say anything")
    say(f"{model}: through the gateway")
    with engine(file, cores) as (target, _):
        rows = through(target, args.rounds)
    say(f"{model}: our flags and the defaults")
    compared = flags(file, cores, args.rounds, SHAPES[name].tied)
    say(f"{model}: starts")
    started_in = starts(file, cores, STARTS)
    say(f"{model}: within {QUICK_MS} ms")
    within = [row for n in sorted({1, cores}) for row in quick(file, n)]
    named = {"model": model, "weights_bytes": facts.tensor_bytes}
    return {
        "rows": [{**named, **r} for r in rows],
        "flags": [{**named, **r} for r in compared],
        "starts": [{**named, **r} for r in started_in],
        "quick": [{**named, **r} for r in within],
    }


def table(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """A Markdown table, as it stands in the docs."""
    lines = [f"\n{title}\n", f"| {' | '.join(c.replace('_', ' ') for c in columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row[c]) for c in columns)} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "longer" if value is None else str(value)


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    speeds = ("alone_tokens_per_second", "gateway_tokens_per_second", "alone_computing", "gateway_computing", "share")
    return "\n".join(
        [
            table("Through the gateway", found["rows"], ("model", "concurrency", *speeds)),
            table("Our flags, the defaults, the roofline", found["flags"], ("model", "flags", *ROOF)),
            table("Starts", found["starts"], ("model", "cached", "ready_seconds", "first_token_seconds")),
            table(
                f"Within {QUICK_MS} ms", found["quick"],
                ("model", "cores", "prompt", "output", "milliseconds", "answers"),
            ),
        ]
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.engine", description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="SIZE:TYPE", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    args = parser.parse_args()
    for model in args.models:
        name, _, kind = model.partition(":")
        if name not in SHAPES or kind not in FILE_TYPE:
            parser.error(f"{model}: sizes are {', '.join(SHAPES)}, types are {', '.join(FILE_TYPE)}")
    if os.geteuid() != 0:
        parser.error("needs root for its chroot (try: sudo -E make bench-engine)")
    began, before = time.monotonic(), os.getloadavg()[0]
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "flags": [], "starts": [], "quick": []}
    for model in args.models:
        measured = measure(model, args)
        say(report(measured))  # at once: what a later model breaks off is not lost
        for key, rows in measured.items():
            found[key] += rows
    print(report(found))
    least = min(row["share"] for row in found["rows"])
    load = {"before": round(before, 1), "after": round(os.getloadavg()[0], 1)}
    result = {**found, "least_share": least, "limit": LIMIT, "held": least >= LIMIT, "load_average": load}
    print(json.dumps(result | {"cores": os.cpu_count(), "seconds": round(time.monotonic() - began)}), flush=True)
    return 0 if least >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
