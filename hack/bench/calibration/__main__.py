"""The simulator's engine beside a real llama.cpp: the same short loads on both, and by how much they differ.

A llama-server of the engine image is started as a pod starts it and measured by the operator's own calibration, before
and after; what it makes of both is the profile. Then Poisson loads, each so many times what the model of the queue says
a replica carries, are sent to the server and given to one replica of the simulator. The profile of the operator
assumes by how much reading prompts slows writing (`prefillSlowdown`); here it is measured too, and both are reported.
All times are engine time: what others held the core for is taken out, and `undisturbed` says which share is left.
Progress goes to standard error, the last line of standard output is JSON. Needs root, the engine image and the model.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hack.bench.calibration import replay
from hack.bench.calibration.undisturbed import Clock, Undisturbed, waited
from hack.true_size import write
from hack.true_size.server import serving
from hack.true_size.shapes import FILE_TYPE, SHAPES
from smallmodel_operator.autoscaling.measured import profile
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.queueing import Work, capacity
from smallmodel_operator.calibration import decide
from smallmodel_operator.cluster.engines import Engine, session
from smallmodel_operator.cluster.speed import FIRST_WORDS, measure, words
from smallmodel_operator.core.trial import Trial
from smallmodel_operator.simulation.trace import Trace, read

SLOTS, CONTEXT = 4, 1024
LOADS = (0.3, 0.6, 0.85)
PROMPT, ANSWER = 32, 16
"""Tokens in the mean: short, so that a minute or two hold enough of them on a small machine."""
SLOWED_SECONDS, SLOWED_TOKENS, SLOWED_PROMPTS, ROUNDS = 5.0, 96, 2, 3
"""An answer that takes about so long, or so many tokens at most, is slowed by so many prompts read beside it."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def shown(engine: EngineProfile) -> dict[str, float]:
    """As `slm simulate` reads a profile."""
    return {
        "iterationBaseMilliseconds": round(1000 * engine.iteration_base_seconds, 2),
        "iterationPerSequenceMilliseconds": round(1000 * engine.iteration_per_sequence_seconds, 2),
        "prefillTokensPerSecond": round(engine.prefill_tokens_per_second, 1),
        "prefillSlowdown": round(engine.prefill_slowdown, 2),
        "slots": engine.slots,
    }


async def calibrated(engine: Undisturbed, slots: int) -> EngineProfile:
    """What the operator would have in `status.capacity`, and what its controller makes of it."""
    figures = await measure(engine, Trial("calibration", "", "bot", slots, CONTEXT))
    return profile(decide.capacity("", figures, 1), slots)


def between(first: EngineProfile, last: EngineProfile) -> EngineProfile:
    """The mean of two measurements of one engine."""
    return replace(
        first,
        iteration_base_seconds=(first.iteration_base_seconds + last.iteration_base_seconds) / 2,
        iteration_per_sequence_seconds=(first.iteration_per_sequence_seconds + last.iteration_per_sequence_seconds) / 2,
        prefill_tokens_per_second=(first.prefill_tokens_per_second + last.prefill_tokens_per_second) / 2,
    )


async def slowdown(engine: Undisturbed, known: EngineProfile, a_word: float) -> float:
    """The share of writing that is lost while prompts are read: by how much longer an answer takes, over the time
    that the prompts beside it took."""
    tokens = max(8, min(SLOWED_TOKENS, round(SLOWED_SECONDS / known.iteration_seconds(1))))
    prompt = max(1, round(tokens * known.iteration_seconds(1) / 4 * known.prefill_tokens_per_second / a_word))
    found = []
    for turn in range(ROUNDS):
        number = 5000 + 100 * turn
        alone = await engine.complete(words(number, FIRST_WORDS), tokens)
        writing = asyncio.create_task(engine.complete(words(number + 1, FIRST_WORDS), tokens))
        await engine.clock.until(engine.clock.now() + 1.5 * alone.first)
        texts = [words(number + 2 + n, min(prompt, CONTEXT // 4)) for n in range(SLOWED_PROMPTS)]
        reading = sum([(await engine.complete(text, 1)).first for text in texts])
        longer = (await writing).last - alone.last
        found.append(min(max(longer / reading, 0.0), 1.0))
    return statistics.median(found)


def loads(args: argparse.Namespace, engine: EngineProfile) -> list[tuple[str, Trace]]:
    """The trace that is given, or Poisson arrivals at shares of what the engine should carry."""
    if args.trace:
        with args.trace.open(newline="") as lines:
            return [(args.trace.name, read(lines, args.trace.name))]
    carries = capacity(engine, Work(((float(PROMPT), 1.0),), float(ANSWER)))
    return [
        (f"{share:g}", replay.poisson(n, share * carries, args.seconds, PROMPT, ANSWER))
        for n, share in enumerate(args.loads)
    ]


async def compared(args: argparse.Namespace, url: str, clock: Clock) -> dict[str, Any]:
    async with session() as http:
        engine = Undisturbed(Engine(http, url, "", "bot"), clock)
        say("calibration, as the operator does it")
        before = await calibrated(engine, args.slots)
        say(json.dumps(shown(before)))
        probe = await engine.complete(words(4000, 4 * FIRST_WORDS), 1)
        a_word = probe.prompt_tokens / (4 * FIRST_WORDS)
        lost = await slowdown(engine, before, a_word)
        say(f"reading takes {100 * lost:.0f} % of writing")
        done = []
        for name, trace in loads(args, before):
            say(f"load {name}: {len(trace.at)} requests in {trace.seconds:.0f} s")
            done.append((name, *await replay.measured(engine, trace, a_word)))
        say("calibration again")
        after = await calibrated(engine, args.slots)
    assumed = between(before, after)
    rows = [_row(name, times, trace, assumed, lost) for name, times, trace in done]
    return {
        "rows": rows, "profile": shown(assumed), "measured_slowdown": round(lost, 2), "before": shown(before),
        "after": shown(after),
    }  # fmt: skip


def _row(name: str, times: replay.Times, trace: Trace, assumed: EngineProfile, lost: float) -> dict[str, Any]:
    real = times.value()
    row: dict[str, Any] = {"load": name, "requests": len(trace.at), "measured": real}
    for kind, engine in (("simulated", assumed), ("with_slowdown", replace(assumed, prefill_slowdown=lost))):
        made = replay.simulated(trace, engine).value()
        row |= {kind: made, f"{kind}_differs_percent": replay.differences(real, made)}
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As it stands in the docs: measured, simulated with the slowdown that is assumed, and with the measured one."""
    names = list(rows[0]["measured"])
    lines = [f"| load | what | {' | '.join(n.replace('_', ' ') for n in names)} |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        lines.append(f"| {row['load']} | measured | {' | '.join(str(row['measured'][n]) for n in names)} |")
        for kind, title in (("simulated", "simulated"), ("with_slowdown", "with the slowdown measured")):
            made, off = row[kind], row[f"{kind}_differs_percent"]
            lines.append(f"| | {title} | {' | '.join(f'{made[n]} ({off[n]:+g} %)' for n in names)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.calibration", description=__doc__)
    parser.add_argument("--model", default="0.5b:Q4_K_M", metavar="SIZE:TYPE")
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="of the engine; with one, time is undisturbed"
    )
    parser.add_argument("--seconds", type=float, default=90.0, help="of each generated load")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS, help="shares of what a replica carries")
    parser.add_argument("--trace", type=Path, help="a CSV with TIMESTAMP, ContextTokens, GeneratedTokens instead")
    args = parser.parse_args()
    name, _, kind = args.model.partition(":")
    if name not in SHAPES or kind not in FILE_TYPE:
        parser.error(f"{args.model}: sizes are {', '.join(SHAPES)}, types are {', '.join(FILE_TYPE)}")
    if os.geteuid() != 0:
        parser.error("needs root for its chroot (try: sudo -E make bench-calibration)")
    began, load = time.monotonic(), os.getloadavg()[0]
    with serving(write.ensure(name, kind), CONTEXT, args.slots, threads=args.threads) as server:
        server.wait()
        with Clock(lambda: waited(server.process.pid)) as clock:
            wall, engine = time.monotonic(), clock.now()
            found = asyncio.run(compared(args, server.url, clock))
            share = (clock.now() - engine) / (time.monotonic() - wall)
    print(table(found["rows"]))
    average = {"before": round(load, 1), "after": round(os.getloadavg()[0], 1)}
    result = {
        "model": args.model,
        "threads": args.threads,
        **found,
        "cores": os.cpu_count(),
        "load_average": average,
        "undisturbed": round(share, 3),
    }
    result["undisturbed"] = round(share, 3)
    print(json.dumps(result | {"seconds": round(time.monotonic() - began)}), flush=True)


if __name__ == "__main__":
    main()
