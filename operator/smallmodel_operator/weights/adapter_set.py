"""LoRA adapters beside the weights: a Job reads their headers, so that their memory is known before a pod starts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import digest
from smallmodel_operator.core.engine import Adapter
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.weights import result, source
from smallmodel_operator.weights.types import WeightsRequest
from smallmodel_operator.weights.work import work


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of adapters: bytes by name, or the `problem` that says why not. `objects`: the Job that looks."""

    sizes: Mapping[str, int]
    objects: tuple[Object, ...] = ()
    problem: Refused | NotYet | None = None


def look(request: WeightsRequest, adapters: tuple[Adapter, ...], snapshot: Snapshot) -> Look:
    """Bytes of the adapters' tensors, from the status or from a Job that mounts their images."""
    where = source.AdapterSet(adapters)
    known = snapshot.previous_status.get("memory") or {}
    if known.get("adaptersOf") == digest(where.artifact):
        return Look({a["name"]: a.get("bytes", 0) for a in known.get("adapters") or ()})
    if not snapshot.capabilities.image_volumes:
        missing = f"`spec.adapters` needs image volumes, which this cluster ({snapshot.capabilities.version}) lacks."
        return Look({}, problem=Refused(Reason.FEATURE_MISSING, missing, condition=Condition.FITS_MEMORY))
    # Of weights of any format or signature they are the same work.
    found = work(replace(request, verification="", survey=False), where, snapshot)
    if isinstance(found.found, result.AdapterSizes):
        return Look(found.found.sizes)
    problem = found.problem
    if isinstance(problem, Refused):
        problem = _of_memory(problem)
    return Look({}, found.objects, problem)


def _of_memory(refused: Refused) -> Refused:
    """Adapters that cannot be read keep memory from being known; the weights themselves are ready."""
    return Refused(
        refused.reason, refused.message, recheck_seconds=refused.recheck_seconds, condition=Condition.FITS_MEMORY
    )


def status(adapters: tuple[Adapter, ...], sizes: Mapping[str, int]) -> dict[str, Any]:
    """What `status.memory` keeps of them."""
    if not sizes:
        return {}
    entries = [{"name": name, "bytes": size} for name, size in sorted(sizes.items())]
    return {"adaptersOf": digest(source.AdapterSet(adapters).artifact), "adapters": entries}
