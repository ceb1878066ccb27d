"""`slm explain`: why a model has as many replicas as it has, or how a route shares requests out, from its status."""

from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.cli.connected import Unanswered, connected
from smallmodel_operator.cli.console import failed

LIMITS: Final = (("monthlyBudget", "a month"), ("maxPerMillionTokens", "a million tokens"))
HAD: Final = (
    ("monthToDate", "spent"), ("monthEnd", "expected by the month's end"), ("perMillionTokens", "a million tokens"),
)  # fmt: skip
CONDITIONS: Final = ("LatencyObjectiveMet", "CostObjectiveMet", "ScalingActive")
BOUNDS: Final = {
    "timeToFirstTokenMilliseconds": "first tokens",
    "interTokenMilliseconds": "times from token to token",
    "endToEndMilliseconds": "whole answers",
}


async def explain(name: str, namespace: str) -> int:
    """Print the objective, how it stands and the last changes, oldest first; 1 when the model cannot be read."""
    try:
        async with connected() as client:
            model = await client.get("SmallModel", name, namespace)
            route = None if model else await client.get("ModelRoute", name, namespace)
    except Unanswered as error:
        return failed(str(error))
    if route is not None:
        print("\n".join(of_route(route)))
        return 0
    if model is None:
        return failed(f"SmallModel or ModelRoute {name!r} does not exist in namespace {namespace!r}")
    print("\n".join(lines(model)))
    return 0


def lines(model: Mapping[str, Any]) -> list[str]:
    """What is printed of a SmallModel."""
    status, spec = model.get("status") or {}, model.get("spec") or {}
    scaling = status.get("scaling") or {}
    if not scaling:
        return ["Nothing was decided yet: `slm status` says what it waits for."]
    priority = (spec.get("scaling") or {}).get("priority")
    said = [_asked(spec) + (f", priority {priority}" if priority else "")]
    said.append(f"{scaling.get('desired', 0)} wanted, {status.get('readyReplicas', 0)} answer")
    known = {c["type"]: c for c in status.get("conditions") or ()}
    there = [known[kind] for kind in CONDITIONS if kind in known]
    said += _spent(spec, status)
    said += [f"{c['type']} {c['status']} ({c['reason']}): {c['message']}" for c in there]
    decisions = scaling.get("decisions") or []
    said += [f"{d.get('at', '')} {d.get('replicas', 0)}: {d.get('why', '')}" for d in decisions]
    if not decisions or decisions[-1].get("why") != scaling.get("why"):
        said.append(f"now {scaling.get('desired', 0)}: {scaling.get('why', '')}")
    return said


def of_route(route: Mapping[str, Any]) -> list[str]:
    """What is printed of a ModelRoute: each target, its share, and how it stands."""
    spec, status = route.get("spec") or {}, route.get("status") or {}
    stands = {t["name"]: t for t in status.get("targets") or ()}
    targets, default = spec.get("targets") or [], spec.get("default", "")
    total = sum(int(t.get("weight") or 0) for t in targets)
    said = []
    for target in targets:
        weight = int(target.get("weight") or 0)
        alone = len(targets) == 1 or target["name"] == default
        share = 100.0 if alone else 100 * weight / total if total and not default else 0.0
        seen = stands.get(target["name"], {})
        how = f"{'ready' if seen.get('ready') else 'not ready'} ({seen.get('reason') or 'not seen yet'})"
        model = seen.get("model") or (target.get("smallModelRef") or {}).get("name") or target["external"]["model"]
        if target.get("external"):
            said.append(f"{target['name']}: outside the cluster, to {model}: {how}")
            continue
        said.append(f"{target['name']}: {share:g} % of what names no target, to {model}: {how}")
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    return said + [f"{kind} {c['status']} ({c['reason']}): {c['message']}" for kind, c in conditions.items()]


def _spent(spec: Mapping[str, Any], status: Mapping[str, Any]) -> list[str]:
    """What it may cost and has cost; nothing where that is not asked."""
    objectives = (spec.get("scaling") or {}).get("objectives") or {}
    asked, cost = objectives.get("cost"), status.get("cost") or {}
    if not asked:
        return []
    limits = [f"{asked[name]} {asked['currency']} {words}" for name, words in LIMITS if asked.get(name)]
    first = f"{asked.get('onExceeded', 'Warn')} when exceeded, {objectives.get('prefer', 'Latency')} goes first"
    had = [f"{cost[name]} {cost.get('currency', '')} {words}" for name, words in HAD if cost.get(name)]
    spent = f"by {cost.get('at')}: {', '.join(had)}" if had else "no cost yet"
    return [f"at most {' and '.join(limits)}; {first}", spent]


def _asked(spec: Mapping[str, Any]) -> str:
    scaling = spec.get("scaling") or {}
    if scaling.get("mode") == "External":
        return f"mode External: `spec.replicas` is {spec.get('replicas', 1)}, as whoever scales the model wrote it"
    latency = (scaling.get("objectives") or {}).get("latency")
    if scaling.get("mode") != "Objective" or not latency:
        return f"mode Manual: `spec.replicas` is {spec.get('replicas', 1)}"
    said = [f"{what} within {latency[field]} ms" for field, what in BOUNDS.items() if latency.get(field)]
    return (
        f"mode Objective: {latency.get('percentile', 95)} % of {' and of '.join(said)}, with "
        f"{max(1, scaling.get('minReplicas') or 1)} to {scaling['maxReplicas']} replicas"
    )
