"""What a gateway tells the operator about its models: how busy they are. Pure.

Absent is not idle: a model that was just seen for the first time counts as used now.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from smallmodel_operator.core.traffic import ColdStart
from smallmodel_operator.gateway.admin import Passing


@dataclass(frozen=True, slots=True)
class Held:
    """One model at this gateway's activator: requests held now, wakes and the last cold starts."""

    held: int = 0
    wakes: int = 0
    cold_starts: Sequence[ColdStart] = ()


@dataclass(frozen=True, slots=True)
class Activity:
    """One model at one look. `last` is the time (monotonic) at which it was last busy."""

    passing: Passing
    last: float


def look(
    before: Mapping[str, Activity],
    targets: Collection[str],
    traffic: Mapping[str, Passing],
    held: Mapping[str, Held],
    now: float,
) -> dict[str, Activity]:
    """Compare with the look before. Busy is: a request passes, is held, or has passed since."""
    found = {}
    for target in targets:
        passing, old = traffic.get(target, Passing()), before.get(target)
        busy = passing.active > 0 or held.get(target, Held()).held > 0
        if old is None or busy or passing.total != old.passing.total:
            found[target] = Activity(passing, now)
        else:
            found[target] = Activity(passing, old.last)
    return found


def in_flight(activity: Activity, held: Held | None) -> int:
    """Requests with the model's pods: a held one passes to the activator, and is counted as held."""
    return max(0, activity.passing.active - (held or Held()).held)


def report(
    gateway: str,
    at: str,
    synced: bool,
    activities: Mapping[str, Activity],
    held: Mapping[str, Held],
    endpoints: Mapping[str, int],
    now: float,
    counts: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Collection[str] = (),
) -> dict[str, Any]:
    """The answer of `GET /signals`; times in seconds. `counts`: of models with an objective; `routes`: the ModelRoutes
    in the configuration."""
    models: dict[str, dict[str, Any]] = {}
    for target, activity in sorted(activities.items()):
        own = held.get(target, Held())
        models[target] = {
            "inFlight": in_flight(activity, own),
            "held": own.held,
            "idleSeconds": round(max(0.0, now - activity.last), 3),
            "endpoints": endpoints.get(target, 0),
            "requests": activity.passing.total,
            "wakes": own.wakes,
            "coldStarts": [{k: round(s, 3) for k, s in asdict(start).items()} for start in own.cold_starts[-10:]],
        }
        if counts and target in counts:
            models[target]["objective"] = counts[target]
    return {"gateway": gateway, "at": at, "synced": synced, "models": models, "routes": sorted(routes)}
