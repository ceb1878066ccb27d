"""Twenty models on one pool that holds 60 % of their joint peak: ours beside an HPA for each with PriorityClasses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hack.bench.scaling.loads import generate
from smallmodel_operator.autoscaling.objective import Objective
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.room import Claim, Priority, Room, share
from smallmodel_operator.autoscaling.spare import Spare, settle
from smallmodel_operator.autoscaling.worth import Worth, learn
from smallmodel_operator.simulation.baselines import Hpa
from smallmodel_operator.simulation.ours import Ours
from smallmodel_operator.simulation.pool import Pool
from smallmodel_operator.simulation.trace import Trace

ENGINE: Final = EngineProfile(0.040, 0.008, 300, 0.6, 8, 12)
MODELS: Final = 20
OBJECTIVE_SECONDS: Final = 3.0
MOST: Final = 8
HOLDS: Final = 0.6
WEIGHTS: Final = {Priority.CRITICAL: 4, Priority.STANDARD: 2, Priority.BATCH: 1}
TARGETS: Final = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
KINDS: Final = ("diurnal", "bursty", "step")


@dataclass
class Model:
    """One of them, with its own engine pool."""

    name: str
    priority: Priority
    pool: Pool
    starved: float = 0.0
    changes: int = 0
    turns: int = 0
    direction: int = 0
    longest_nothing: float = 0.0
    had: float = 0.0
    worth: Worth = field(default_factory=Worth)
    spare: Spare = field(default_factory=Spare)

    def scale(self, target: int) -> None:
        if target == self.pool.count:
            return
        direction = 1 if target > self.pool.count else -1
        self.changes += 1
        self.turns += self.direction == -direction
        self.direction = direction
        self.pool.scale(target)


def _models(traces: Sequence[Trace]) -> list[Model]:
    order = (Priority.CRITICAL, Priority.STANDARD, Priority.STANDARD, Priority.BATCH)
    return [
        Model(f"department-{n:02}", order[n % 4], Pool(t, ENGINE, OBJECTIVE_SECONDS, ENGINE.start_seconds, 0))
        for n, t in enumerate(traces)
    ]


def _run(models: list[Model], every: float, seconds: float, tick: Callable[[float], None]) -> None:
    at = 0.0
    while at < seconds or any(not m.pool.done for m in models):
        at += every
        for model in models:
            if not model.pool.done:
                model.pool.forward(at)
            waits = model.pool.in_flight and not model.pool.ready
            model.had = model.had + every if model.pool.count else 0.0
            model.starved = model.starved + every if waits else 0.0
            model.longest_nothing = max(model.longest_nothing, model.starved)
        tick(at)
        if at > 2 * seconds:
            return  # what waits still is late in any case


def _ours(models: list[Model], replicas: int, seconds: float) -> None:
    policies = {m.name: Ours(Objective(OBJECTIVE_SECONDS, 95, 0, MOST), ENGINE) for m in models}

    def tick(at: float) -> None:
        claims = []
        for model in models:
            look = model.pool.look()
            wanted = policies[model.name].decide(look)
            idle = not look.in_flight and wanted <= 1 and policies[model.name].state.short < 1e-3
            wanted = max(wanted, 1 if look.in_flight else 0)
            before = model.worth if model.pool.count else Worth()
            model.worth = learn(before, policies[model.name].gains(), at)
            claims.append(
                Claim(
                    model.name,
                    model.priority,
                    Room(1.0),
                    model.pool.count,
                    0,
                    wanted,
                    model.worth.gains,
                    idle,
                    starved_seconds=model.starved,
                    had_seconds=model.had,
                )
            )
        granted = share({"pool": Room(float(replicas))}, claims)
        for model, claim in zip(models, claims, strict=True):
            model.spare, grant = settle(model.spare, claim, granted[model.name], at)
            model.scale(grant.replicas)

    _run(models, 5.0, seconds, tick)


def _hpa(models: list[Model], replicas: int, seconds: float, target: float) -> None:
    """An HPA wants, the scheduler places: by priority, and within one priority who runs stays; higher ones preempt."""
    policies = {m.name: Hpa(target, False, 1, MOST) for m in models}

    def tick(_at: float) -> None:
        wanted = {m.name: policies[m.name].decide(m.pool.look()) for m in models}
        for model in models:
            if not model.pool.count and model.pool.in_flight:
                wanted[model.name] = max(1, wanted[model.name])
        granted = _placed(models, wanted, replicas)
        for model in models:
            model.scale(granted[model.name])

    _run(models, 15.0, seconds, tick)


def _placed(models: Sequence[Model], wanted: Mapping[str, int], replicas: int) -> dict[str, int]:
    granted: dict[str, int] = {}
    left = replicas
    for level in Priority:
        mine = [m for m in models if m.priority is level]
        for model in mine:
            granted[model.name] = min(model.pool.count, wanted[model.name], left)
            left -= granted[model.name]
        for model in mine:
            more = min(wanted[model.name] - granted[model.name], left)
            granted[model.name] += more
            left -= more
    return granted


def _row(policy: str, models: Sequence[Model]) -> dict[str, Any]:
    value: dict[str, Any] = {"policy": policy}
    good = total = 0.0
    for level in Priority:
        mine = [m for m in models if m.priority is level]
        asked = sum(len(m.pool.trace.at) for m in mine)
        share_good = sum(m.pool.good for m in mine) / asked
        value[f"{level.name.lower()}_attainment_percent"] = round(100 * share_good, 2)
        good += WEIGHTS[level] * share_good * asked
        total += WEIGHTS[level] * asked
    worst = min(m.pool.good / len(m.pool.trace.at) for m in models if m.priority is Priority.CRITICAL)
    return value | {
        "weighted_attainment_percent": round(100 * good / total, 2),
        "worst_critical_percent": round(100 * worst, 2),
        "unanswered": sum(len(m.pool.trace.at) - m.pool.answered for m in models),
        "longest_without_replica_seconds": max(m.longest_nothing for m in models),
        "actions": sum(m.changes for m in models),
        "reversals": sum(m.turns for m in models),
        "replica_hours": round(sum(m.pool.replica_seconds() for m in models) / 3600, 2),
    }


def rows(quick: bool, seed: int) -> dict[str, Any]:
    """Of ours, and of each target of the baseline; twenty loads whose seeds begin with `seed`."""
    hours = 0.5 if quick else 2.0
    traces = [generate(KINDS[n % 3], seed + n, hours, 1.0 + n % 4 * 0.5) for n in range(MODELS)]
    free = _models(traces)
    peak = _joint_peak(free, hours)
    replicas = max(1, round(HOLDS * peak))
    found = []
    models = _models(traces)
    _ours(models, replicas, 3600 * hours)
    found.append(_row("ours", models))
    for target in TARGETS:
        models = _models(traces)
        _hpa(models, replicas, 3600 * hours, target)
        found.append(_row(f"hpa-inflight:{target:g} with PriorityClasses", models))
    return {"seed": seed, "models": MODELS, "joint_peak_replicas": peak, "pool_replicas": replicas, "rows": found}


def _joint_peak(models: list[Model], hours: float) -> int:
    """The most replicas that all together want at one time with room for all."""
    policies = {m.name: Ours(Objective(OBJECTIVE_SECONDS, 95, 0, MOST), ENGINE) for m in models}
    peaks = [0]

    def tick(_at: float) -> None:
        for model in models:
            model.scale(policies[model.name].decide(model.pool.look()))
        peaks.append(sum(m.pool.count for m in models))

    _run(models, 5.0, 3600 * hours, tick)
    return max(peaks)


def show(found: dict[str, Any]) -> None:
    print(
        f"\n{found['models']} models (seed {found['seed']}) on {found['pool_replicas']} replicas, "
        f"{found['joint_peak_replicas']} at the peak"
    )
    for row in found["rows"]:
        print(" | ".join(f"{k} {v}" if k != "policy" else str(v) for k, v in row.items()))
