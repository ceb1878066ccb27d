"""Every scaling policy over the whole range of its targets, on loads whose seeds nothing was tuned on.

Generated loads and, where SLM_BENCH_DATA says where it is, Azure's conversation trace. Progress goes to standard
error; the last line of standard output is one JSON object. Two processes; see docs/explanation/scaling.md.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from hack.bench.scaling import shared, tick
from hack.bench.scaling.loads import KINDS, generate
from hack.bench.scaling.plot import draw
from smallmodel_operator.autoscaling.objective import Objective
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.simulation.baselines import Fixed, Hpa, Knative, KubeAi, Policy
from smallmodel_operator.simulation.ours import Ours
from smallmodel_operator.simulation.run import Limits, ceiling, simulate
from smallmodel_operator.simulation.trace import Trace, read

CPU: Final = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)
GPU: Final = EngineProfile(0.025, 0.00035, 6000, 0.6, 64, 70)
LEAST, MOST = 1, 16
PERCENTILE: Final = 95.0
DEARER_PERCENT: Final = 5.0
"""So much above the cheapest that holds is as good."""
ERRORS: Final = (1.0, 1.4, 0.7)
SEEDS: Final = (401, 402, 403)
"""The controller was made with others. Who tunes on what these show must change them."""
POOL_SEEDS: Final = (300, 3300, 4300)
"""Of the shared pool; who tunes must take others: what is said of a pool was tuned on 1300 and 2300."""
IN_FLIGHT: Final = (0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""Targets of requests in flight, as shares of the slots."""
BOUNDS: Final = ("ceiling", "at-once")
"""Not policies but what none surpasses: every replica from the beginning, and every one asked for at once."""
QUEUE: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A load on an engine."""

    name: str
    kind: str
    seed: int
    hours: float
    engine: EngineProfile
    objective_seconds: float


@dataclass(frozen=True, slots=True)
class Task:
    case: Case
    policy: str
    target: float


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def conversation() -> Path | None:
    folder = os.environ.get("SLM_BENCH_DATA")
    path = Path(folder, "azure-llm-2023", "conv.csv") if folder else None
    return path if path and path.exists() else None


def cases(hours: float, seeds: Sequence[int]) -> Iterator[Case]:
    for kind in KINDS:
        for seed in seeds:
            yield Case(f"{kind} {seed}", kind, seed, hours, CPU, 3.0)
    yield Case(f"diurnal {seeds[0]}, slow starts", "diurnal", seeds[0], hours, replace(CPU, start_seconds=120), 3.0)
    if conversation():
        yield Case("azure conv, GPU", "conv", 1, 1.0, GPU, 2.0)
        yield Case("azure conv, half as often and shorter, CPU", "conv", 2, 1.0, CPU, 3.0)


@lru_cache(maxsize=4)
def load(case: Case) -> Trace:
    if case.kind != "conv":
        return generate(case.kind, case.seed, case.hours)
    path = conversation()
    assert path
    with path.open(newline="") as lines:
        whole = read(lines, path.name)
    if case.engine is GPU or case.engine == GPU:
        return whole
    every = range(0, len(whole.at), 2)
    short = [max(1, whole.prompt[i] // 8) for i in every], [max(1, whole.generated[i] // 4) for i in every]
    return Trace([whole.at[i] for i in every], *short)


def tasks(case: Case) -> Iterator[Task]:
    yield from (Task(case, "objective", e) for e in ERRORS)
    yield Task(case, "ceiling", MOST)
    yield Task(case, "at-once", LEAST)
    yield from (Task(case, "fixed", n) for n in range(1, MOST + 1))
    for policy in ("hpa-inflight", "knative", "kubeai"):
        yield from (Task(case, policy, round(share * case.engine.slots, 2)) for share in IN_FLIGHT)
    yield from (Task(case, "hpa-queue", target) for target in QUEUE)


def policy_of(task: Task) -> Policy:
    if task.policy == "objective":
        asked = Objective(task.case.objective_seconds, PERCENTILE, LEAST, MOST)
        return Ours(asked, task.case.engine.faster(task.target))
    if task.policy == "fixed":
        return Fixed(int(task.target))
    if task.policy.startswith("hpa"):
        return Hpa(task.target, task.policy == "hpa-queue", LEAST, MOST)
    return Knative(task.target) if task.policy == "knative" else KubeAi(task.target)


def run(task: Task) -> dict[str, Any]:
    case = task.case
    limits = Limits(LEAST, MOST, case.objective_seconds, PERCENTILE)
    row = {"trace": case.name, "policy": task.policy, "target": task.target}
    if task.policy == "ceiling":
        return {**row, "attainment_percent": ceiling(load(case), case.engine, limits)}
    if task.policy == "at-once":
        return {**row, "attainment_percent": ceiling(load(case), case.engine, limits, LEAST)}
    first = int(task.target) if task.policy == "fixed" else None
    if first:
        limits = replace(limits, least=first, most=first)
    found = simulate(load(case), case.engine, policy_of(task), limits, 0.45, first).value()
    kept = ("attainment_percent", "replica_hours", "actions", "reversals", "longest_breach_seconds")
    return {**row, **{k: found[k] for k in kept}}


def judge(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each trace and profile error beside the cheapest setting of any baseline that held the objective there."""
    verdicts = []
    for trace in dict.fromkeys(r["trace"] for r in rows):
        mine = [r for r in rows if r["trace"] == trace]
        best = {r["policy"]: r["attainment_percent"] for r in mine if r["policy"] in BOUNDS}
        others = [r for r in mine if r["policy"] not in ("objective", *BOUNDS)]
        held = sorted(
            (r for r in others if r["attainment_percent"] >= PERCENTILE),
            key=lambda r: (r["replica_hours"], r["reversals"]),
        )
        for row in (r for r in mine if r["policy"] == "objective"):
            verdict = {"trace": trace, "profile_error": row["target"], "feasible": best["ceiling"] >= PERCENTILE}
            reached = max(best["at-once"], row["attainment_percent"])
            verdict |= {"feasible_from_minimum": reached >= PERCENTILE, "held": row["attainment_percent"] >= PERCENTILE}
            verdict |= {k: row[k] for k in ("attainment_percent", "replica_hours", "reversals")}
            if held:
                cheapest = held[0]
                verdict |= {
                    "cheapest": f"{cheapest['policy']}:{cheapest['target']:g}",
                    "cheapest_replica_hours": cheapest["replica_hours"],
                    "cheapest_reversals": cheapest["reversals"],
                    "dearer_percent": round(100 * (row["replica_hours"] / cheapest["replica_hours"] - 1), 1),
                }
            verdicts.append(verdict)
    return verdicts


def summary(verdicts: list[dict[str, Any]]) -> dict[str, int]:
    """How many runs do what is asked of each; where a constant count is the cheapest, none can turn less often."""
    within = [v for v in verdicts if v.get("dearer_percent", math.inf) <= DEARER_PERCENT]
    changing = [v for v in verdicts if v.get("cheapest_reversals")]
    return {
        "runs": len(verdicts),
        "held": sum(v["held"] for v in verdicts),
        "infeasible_from_minimum": sum(not v["feasible_from_minimum"] for v in verdicts),
        "within_5_percent": len(within),
        "held_within_5_percent": sum(v["held"] for v in within),
        "fewer_reversals": sum(v["reversals"] < v["cheapest_reversals"] for v in changing),
        "cheapest_reverses": len(changing),
    }


def show(verdicts: list[dict[str, Any]]) -> None:
    print("trace | profile error | in time % | replica-hours | reversals | cheapest that held | its | dearer % | its")
    for v in verdicts:
        beside = [v.get(k, "-") for k in ("cheapest", "cheapest_replica_hours", "dearer_percent", "cheapest_reversals")]
        own = [v["trace"], v["profile_error"], v["attainment_percent"], v["replica_hours"], v["reversals"]]
        print(" | ".join(map(str, (*own, *beside))))
    print(", ".join(f"{key.replace('_', ' ')} {count}" for key, count in summary(verdicts).items()))


def numbers(text: str) -> tuple[int, ...]:
    """Of a list with commas between them."""
    return tuple(int(number) for number in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed of each kind, an hour of it")
    parser.add_argument("--seeds", type=numbers, help="of generated loads, with commas between them")
    parser.add_argument("--plot", type=Path, help="write an SVG picture of the rows there")
    args = parser.parse_args()
    began = time.monotonic()
    seeds = args.seeds or (SEEDS[:1] if args.quick else SEEDS)
    todo = [t for c in cases(1.0 if args.quick else 3.0, seeds) for t in tasks(c)]
    if not conversation():
        say("SLM_BENCH_DATA is not set: without Azure's trace (AzureLLMInferenceTrace_conv of its public dataset)")
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(2) as workers:
        for number, row in enumerate(workers.map(run, todo, chunksize=8), start=1):
            rows.append(row)
            if number % 50 == 0 or number == len(todo):
                say(f"{number} of {len(todo)} runs")
        say("20 models on one pool")
        together = [shared.rows(args.quick, seed) for seed in POOL_SEEDS[: 1 if args.quick else None]]
    say("a look at a thousand models")
    looks = tick.rows()
    verdicts = judge(rows)
    show(verdicts)
    for pool in together:
        shared.show(pool)
    tick.show(looks)
    known = [r for r in rows if r["policy"] not in BOUNDS]
    result = {"rows": known, "verdicts": verdicts, "summary": summary(verdicts), "pool": together, "tick": looks}
    if args.plot:
        args.plot.write_text(draw(known))
    print(json.dumps(result | {"cores": os.cpu_count(), "seconds": round(time.monotonic() - began)}), flush=True)


if __name__ == "__main__":
    main()
