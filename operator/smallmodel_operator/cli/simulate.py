"""`slm simulate`: what a scaling policy makes of a trace, without a cluster."""

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from smallmodel_operator.autoscaling.cap import Action
from smallmodel_operator.autoscaling.objective import Objective
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.cli import console
from smallmodel_operator.cli.manifests import NOT_YAML, one_document
from smallmodel_operator.core.scaling import Bounds, Latency
from smallmodel_operator.simulation.baselines import Fixed, Hpa, Knative, KubeAi, Policy
from smallmodel_operator.simulation.ours import Ours
from smallmodel_operator.simulation.run import Budget, Limits, Outcome, ceiling, judged, simulate
from smallmodel_operator.simulation.trace import BadTrace, Trace, read

PERCENTILE: Final = 95.0
POLICIES: Final = "objective, hpa-inflight:T, hpa-queue:T, knative:T, kubeai:T or fixed:N"
NOUNS: Final = {
    Latency.FIRST_TOKEN: "first tokens",
    Latency.INTER_TOKEN: "times from token to token",
    Latency.END_TO_END: "whole answers",
}
MOST_REPLICAS: Final = 1000
MOST_SLOTS: Final = 512


class BadInput(ValueError):  # noqa: N818
    """What was given makes no sense; the message says which part and what would."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says."""

    trace: str
    profile: str
    policy: str
    ttft_milliseconds: float | None = None
    itl_milliseconds: float | None = None
    e2e_milliseconds: float | None = None
    profile_error: float = 1.0
    start_seconds: float | None = None
    cost_cap: float | None = None
    cost_action: str = Action.CAP.value


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile file: the engine, its price, and how many there may be."""

    engine: EngineProfile
    hourly: float
    least: int
    most: int


def run(given: Given, as_json: bool) -> int:
    """Print the outcome; 2 when something given makes no sense."""
    try:
        value = outcome(given)
    except (BadInput, BadTrace, OSError) as error:
        print(f"slm simulate: {console.sentence(error)}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(value))
    else:
        width = max(map(len, value))
        for key, found in value.items():
            print(f"{key:{width}}  {found}")
    return 0


def outcome(given: Given) -> dict[str, Any]:
    """What the policy gave, and whether any could have held the objective.

    Raises:
        BadInput, BadTrace, OSError: see the message.
    """
    bounds = bounds_of(given)
    if not 0.05 <= given.profile_error <= 20:
        raise BadInput(f"--profile-error is {given.profile_error:g}: from 0.05 to 20 makes sense; 1 is exact.")
    profile = read_profile(given.profile)
    engine = profile.engine
    if given.start_seconds is not None:
        engine = replace(engine, start_seconds=_number("--start-seconds", given.start_seconds, 0, 86400))
    limits = within = Limits(
        profile.least, profile.most, bounds.first_token, PERCENTILE, bounds.inter_token, bounds.end_to_end
    )
    policy, limits, first = policy_of(given, profile, limits)
    budget = budget_of(given)
    bar = Progress(console=console.stderr(), transient=True, disable=not sys.stderr.isatty())
    with bar:
        with bar.open(given.trace, "r", encoding="utf-8", newline="", description="reading") as lines:
            try:
                trace = read(lines, given.trace)
            except UnicodeDecodeError:
                raise BadInput(f"{given.trace} is not UTF-8: a trace is a CSV file of text.") from None
        task = bar.add_task("simulating", total=trace.seconds)
        found = simulate(
            trace, engine, policy, limits, profile.hourly, first, budget, lambda at: bar.update(task, completed=at)
        )
    begin = max(1, profile.least) if first is None else first
    return {**found.value(), **feasible(trace, engine, within, found, begin)}


def bounds_of(given: Given) -> Bounds:
    """What is asked, in seconds."""
    asked = {
        "--ttft-p95-ms": given.ttft_milliseconds,
        "--itl-p95-ms": given.itl_milliseconds,
        "--e2e-p95-ms": given.e2e_milliseconds,
    }
    for option, milliseconds in asked.items():
        if milliseconds is not None and not (math.isfinite(milliseconds) and milliseconds > 0):
            raise BadInput(f"{option} is {milliseconds:g}: give milliseconds above 0.")
    if not any(asked.values()):
        raise BadInput(f"no objective is given: give {', '.join(asked)}, one or several.")
    return Bounds(*((milliseconds or 0.0) / 1000 for milliseconds in asked.values()))


def feasible(trace: Trace, engine: EngineProfile, limits: Limits, found: Outcome, begin: int) -> dict[str, Any]:
    """Whether any policy that begins with so many replicas can hold the objective within the limits.

    Said of two that none surpasses: every replica from the beginning, and every one asked for at once.
    """
    if found.attainment_percent >= limits.percentile:
        return {"feasible": True}
    best = max(found.attainment_percent, ceiling(trace, engine, limits))
    if best < limits.percentile:
        why = f"{limits.most} replicas from the beginning reach {best:g} % of {_asked(limits)}"
        because = f"{why}, not {limits.percentile:g} %{_alone(trace, engine, limits)}"
        return {"feasible": False, "best_attainment_percent": best, "infeasible_because": because}
    at_once = max(found.attainment_percent, ceiling(trace, engine, limits, begin))
    if at_once >= limits.percentile:
        return {"feasible": True, "best_attainment_percent": at_once}
    enough = _enough(trace, engine, limits, begin)
    because = (
        f"no policy can that begins with {begin}: {limits.most} replicas asked for at once are ready after "
        f"{engine.start_seconds:g} s and reach {at_once:g} % of {_asked(limits)}, not {limits.percentile:g} %; "
        f"with {enough} from the beginning it can be held: set minReplicas to {enough}"
    )
    return {
        "feasible": False,
        "best_attainment_percent": at_once,
        "feasible_from_replicas": enough,
        "infeasible_because": because,
    }


def _asked(limits: Limits) -> str:
    return " and of ".join(f"{NOUNS[kind]} within {1000 * seconds:g} ms" for kind, seconds in limits.bounds.asked)


def _alone(trace: Trace, engine: EngineProfile, limits: Limits) -> str:
    """What no number of replicas can mend."""
    token = engine.iteration_seconds(1)
    first = [p / engine.prefill_tokens_per_second + token for p in trace.prompt]
    ends = [f + max(0, n - 1) * token for f, n in zip(first, trace.generated, strict=True)]
    still = Trace([0.0] * len(first), trace.prompt, trace.generated)
    why = ""
    for kind, good in judged(still, first, ends, limits.bounds).items():
        if late := sum(g is False for g in good):
            why += f"; {100 * late / len(good):.1f} % of {NOUNS[kind]} take longer with a replica to themselves"
    return why


def _enough(trace: Trace, engine: EngineProfile, limits: Limits, begin: int) -> int:
    """The fewest to begin with so that it can be held; all of them can."""
    low, high = begin + 1, limits.most
    while low < high:
        middle = (low + high) // 2
        if ceiling(trace, engine, limits, middle) >= limits.percentile:
            high = middle
        else:
            low = middle + 1
    return high


def budget_of(given: Given) -> Budget | None:
    """The money for the trace, if there is a limit."""
    actions = [a.value for a in Action]
    if given.cost_action not in actions:
        raise BadInput(f"--cost-action is {given.cost_action!r}: give {', '.join(actions)}.")
    if given.cost_cap is None:
        return None
    return Budget(_number("--cost-cap", given.cost_cap, 1e-6, 1e12), Action(given.cost_action))


def policy_of(given: Given, profile: Profile, limits: Limits) -> tuple[Policy, Limits, int | None]:
    """The policy, the limits it keeps, and how many replicas it begins with (None: the fewest)."""
    name, colon, text = given.policy.partition(":")
    if given.policy == "objective":
        believed = profile.engine.faster(given.profile_error)
        bounds = limits.bounds
        asked = Objective(
            bounds.first_token, PERCENTILE, limits.least, limits.most, bounds.inter_token, bounds.end_to_end
        )
        return Ours(asked, believed), limits, None
    try:
        target = float(text)
    except ValueError:
        target = math.nan
    if name not in ("hpa-inflight", "hpa-queue", "knative", "kubeai", "fixed") or not colon:
        raise BadInput(f"--policy is {given.policy!r}: give {POLICIES}.")
    if not (math.isfinite(target) and target > 0):
        raise BadInput(f"--policy is {given.policy!r}: after the colon comes a number above 0.")
    if name == "fixed":
        count = int(target)
        if count != target or not limits.least <= count <= limits.most:
            raise BadInput(
                f"--policy is {given.policy!r}: the profile allows whole numbers from {limits.least} to {limits.most}."
            )
        return Fixed(count), replace(limits, least=count, most=count), count
    if name.startswith("hpa"):
        return Hpa(target, name == "hpa-queue", max(1, limits.least), limits.most), limits, None
    return Knative(target) if name == "knative" else KubeAi(target), limits, None


def read_profile(name: str) -> Profile:
    """The profile in a YAML file.

    Raises:
        BadInput: it is no such file; the message names the field.
        OSError: it cannot be read.
    """
    try:
        value = one_document(Path(name).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise BadInput(f"{name} is no YAML: it is not UTF-8.") from None
    except NOT_YAML as error:
        raise BadInput(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{name} must be a mapping of fields to numbers.")
    ranges = {
        "iterationBaseMilliseconds": (0.001, 1e6),
        "iterationPerSequenceMilliseconds": (0.0, 1e6),
        "prefillTokensPerSecond": (0.001, 1e9),
        "prefillSlowdown": (0.0, 1.0),
        "slots": (1, MOST_SLOTS),
        "startSeconds": (0.0, 86400.0),
        "replicaHourlyPrice": (0.0, 1e9),
        "minReplicas": (0, MOST_REPLICAS),
        "maxReplicas": (1, MOST_REPLICAS),
    }
    unknown, missing = sorted(set(map(str, value)) - set(ranges)), sorted(set(ranges) - set(value))
    if unknown or missing:
        told = [f"no field {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown)
        raise BadInput(f"{name}: {'; '.join(told)}. A profile has {', '.join(ranges)}.")
    found = {key: _number(f"{name}: {key}", value[key], *bounds) for key, bounds in ranges.items()}
    for key in ("slots", "minReplicas", "maxReplicas"):
        if found[key] != int(found[key]):
            raise BadInput(f"{name}: {key} is {found[key]:g}: give a whole number.")
    if found["minReplicas"] > found["maxReplicas"]:
        raise BadInput(f"{name}: minReplicas is above maxReplicas.")
    engine = EngineProfile(
        found["iterationBaseMilliseconds"] / 1000,
        found["iterationPerSequenceMilliseconds"] / 1000,
        found["prefillTokensPerSecond"],
        found["prefillSlowdown"],
        int(found["slots"]),
        found["startSeconds"],
    )
    return Profile(engine, found["replicaHourlyPrice"], int(found["minReplicas"]), int(found["maxReplicas"]))


def _number(where: str, value: Any, low: float, high: float) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # the last of a whole number of 400 digits
        number = math.nan
    if not low <= number <= high:
        raise BadInput(f"{where} is {repr(value)[:40]}: give a number from {low:g} to {high:g}.")
    return number
