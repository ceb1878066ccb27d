"""What is asked of a model's pods: the questions of quality and calibration, put together from the others' values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.names import ANNOTATION_INPUTS, ROLE_CANDIDATE, ROLE_SERVER
from smallmodel_operator.calibration import decide as calibration
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.quality import decide as quality
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.serving import adapters, build, candidate, revisions, trouble
from smallmodel_operator.serving.types import ServingRequest
from smallmodel_operator.weights.source import MOUNT_PATH

VERSION_DIGITS: Final = 16
"""Of the hash of a wish, where it names a version."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is planned for the check; with `hold` or `closed` nothing else of the wanted version is."""

    parts: tuple[Part, ...] = ()
    hold: Refused | NotYet | None = None
    closed: bool = False


def version(request: ServingRequest) -> str:
    """The name of a version: whatever of a wish changes pods changes it."""
    return revisions.inputs(request)[:VERSION_DIGITS]


def passage(
    resolved: Resolved, request: ServingRequest, live: Object | None, settled: bool, snapshot: Snapshot
) -> Passage:
    """May this request's pods take traffic?

    Args:
        resolved: the model.
        request: the pods that are wanted.
        live: the Deployment, if there is one.
        settled: all its pods are of one version and answer.
        snapshot: the rest of the world.
    """
    wish = resolved.checks.golden
    if wish is None:
        return Passage((Part(status={"quality": None}),) if snapshot.previous_status.get("quality") else ())
    tried = snapshot.pods_of(ROLE_CANDIDATE)
    asked = quality.GoldenRequest(
        name=resolved.name,
        config_map=wish.config_map_ref.name,
        entry=wish.config_map_ref.key,
        release=wish.release,
        probe_minutes=wish.probe_minutes,
        slots=resolved.parallel_slots,
        context=resolved.context_size,
        wanted=version(request),
        running=_annotations(live).get(ANNOTATION_INPUTS, "")[:VERSION_DIGITS],
        deployed=bool(live) and (live or {}).get("spec", {}).get("replicas", 1) > 0,
        off=resolved.off,
        address=candidate.answering(snapshot.pods_of(ROLE_SERVER)) if settled else "",
        candidate=candidate.answering(tried),
        obstacle=_obstacle(snapshot, tried),
        adapters=request.adapter_order,
        running_adapters=adapters.recorded(live),
        files={"": request.model_path.removeprefix(f"{MOUNT_PATH}/"), **{a.name: a.path for a in request.adapters}},
    )
    gate = quality.decide(asked, snapshot)
    parts = [gate.part]
    if gate.tried:
        revision, recorded = revisions.frozen(request, live)
        parts.append(Part(objects=(candidate.job(recorded, revision),)))
    if gate.closed:
        parts.append(Part(objects=build.addresses(resolved.name, resolved.namespace, resolved.site.gateway_host)))
    return Passage(tuple(parts), gate.hold, gate.closed)


def speed(resolved: Resolved, request: ServingRequest, settled: bool, snapshot: Snapshot) -> Part:
    """How fast a replica of this request is; measured when `settled`: all that are wanted answer, and are of it."""
    asked = calibration.CalibrationRequest(
        name=resolved.name,
        version=version(request),
        slots=resolved.parallel_slots,
        context=resolved.context_size,
        settled=settled,
    )
    return calibration.decide(asked, snapshot)


def _annotations(live: Object | None) -> Mapping[str, Any]:
    return (live or {}).get("metadata", {}).get("annotations") or {}


def _obstacle(snapshot: Snapshot, tried: tuple[Object, ...]) -> Refused | NotYet | None:
    """What keeps the pod that is tried from answering."""
    found = trouble.find(tried, None, snapshot.now, snapshot.largest_node_memory)
    if found is None:
        return None
    message = f"The new version is tried before it takes traffic, and its pod does not start. {found.message}"
    if found.stuck:
        return Refused(found.reason, message, recheck_seconds=30)
    return NotYet(found.reason, message, after_seconds=found.look_again_seconds or 15)
