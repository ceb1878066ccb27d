"""The concerns in their order: each reads what the ones before it found. Pure; a new concern is a line here."""

from dataclasses import dataclass
from typing import Any

from smallmodel_operator.api.names import LABEL_ROLE, ROLE_DOWNLOAD
from smallmodel_operator.boundary import build as boundary
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part, Plan, key_of
from smallmodel_operator.core.remember import weights_status
from smallmodel_operator.core.units import mebibytes, to_bytes
from smallmodel_operator.quantization import decide as quantization
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.serving import build as serving_build
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.types import ServingRequest
from smallmodel_operator.weights import decide as weights
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan, and what keeps the rest of the wish from being planned yet."""

    plan: Plan
    hold: Refused | NotYet | None = None


def decide(resolved: Resolved, snapshot: Snapshot) -> Decision:
    """What should exist for this model now, and why not more."""
    parts: list[Part] = []
    try:
        verdict = weights.decide(weights_request(resolved), snapshot)
        parts.append(verdict.part)
        if verdict.facts is not None:
            # Remembered at once, whatever is refused after it: the header is read once.
            known = weights_status(verdict.facts, _digest(verdict.artifact))
            parts.append(Part(status={"weights": known}))
        parts.append(_boundary(resolved, verdict.part.objects))
        if verdict.blocking and verdict.problem is not None:
            raise verdict.problem
        parts.extend(_served(resolved, verdict, snapshot))
    except (Refused, NotYet) as hold:
        return _held(resolved, parts, hold)
    # With declared memory the pods need not wait for the inspection, but what it found wrong is still said.
    refused = verdict.problem if isinstance(verdict.problem, Refused) else None
    return Decision(Plan.of(parts), refused)


def weights_request(resolved: Resolved) -> WeightsRequest:
    """What the weights concern needs to know of a model."""
    return WeightsRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        uri=resolved.source.uri,
        path=resolved.source.path,
        sha256=resolved.source.sha256,
        job_image=resolved.site.job_image,
        ca_config_map=resolved.site.ca_config_map,
        claim_size=resolved.site.claim_size,
        storage_class=resolved.site.claim_storage_class,
        access_mode=resolved.site.claim_access_mode,
        memory_declared=resolved.memory_request is not None,
        node_selector=resolved.node_selector,
        tolerations=resolved.tolerations,
    )


def _boundary(resolved: Resolved, jobs: tuple[Object, ...]) -> Part:
    policies = [boundary.pods_policy(resolved.name, resolved.namespace, resolved.site.gateway_namespace)]
    if any(j["metadata"]["labels"].get(LABEL_ROLE) == ROLE_DOWNLOAD for j in jobs if j["kind"] == "Job"):
        policies.append(boundary.download_policy(resolved.name, resolved.namespace))
    return Part(objects=tuple(policies))


def _served(resolved: Resolved, verdict: WeightsVerdict, snapshot: Snapshot) -> list[Part]:
    memory = quantization.fit(
        verdict.facts,
        context_size=resolved.context_size,
        parallel_slots=resolved.parallel_slots,
        declared_request=to_bytes(resolved.memory_request) if resolved.memory_request else None,
        limit=to_bytes(resolved.memory_limit) if resolved.memory_limit else None,
    )
    request = _serving_request(resolved, verdict, memory.request_bytes)
    live = snapshot.child("Deployment", resolved.name)
    revision, recorded = revisions.frozen(request, live)
    status: dict[str, Any] = {
        "endpoint": {"url": resolved.url, "model": resolved.name},
        "engineRevision": revision,
        "memory": {
            "estimatedBytes": memory.estimated_bytes,
            "requestedBytes": to_bytes(recorded.memory_request),
            "limitBytes": to_bytes(resolved.memory_limit) if resolved.memory_limit else 0,
        },
    }
    return [memory.part, Part(objects=serving.objects(request, live), status=status)]


def _digest(artifact: str) -> str:
    """The digest in an artifact's name, without the path inside the image."""
    return artifact.partition("/")[0] if artifact.startswith("sha256:") else ""


def _serving_request(resolved: Resolved, verdict: WeightsVerdict, request_bytes: int) -> ServingRequest:
    return ServingRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        engine_image=resolved.engine_image,
        context_size=resolved.context_size,
        parallel_slots=resolved.parallel_slots,
        args=resolved.args,
        env=resolved.env,
        cpu_request=resolved.cpu_request,
        cpu_limit=resolved.cpu_limit,
        threads=resolved.threads,
        memory_request=resolved.memory_request or mebibytes(request_bytes),
        memory_declared=resolved.memory_request is not None,
        memory_limit=resolved.memory_limit,
        node_selector=resolved.node_selector,
        tolerations=resolved.tolerations,
        replicas=resolved.replicas,
        artifact=verdict.artifact,
        volume=verdict.volume,
        mount=verdict.mount,
        model_path=verdict.model_path,
    )


def switched_off(name: str, namespace: str, gateway_namespace: str) -> Part:
    """What stays of a model that is off and cannot be planned: its address, and the guard of pods that still drain."""
    return Part(
        objects=(serving_build.service(name, namespace), boundary.pods_policy(name, namespace, gateway_namespace))
    )


def _held(resolved: Resolved, parts: list[Part], hold: Refused | NotYet) -> Decision:
    """What runs stays, unless its user switched it off: then it goes, whatever else is wrong."""
    if resolved.off:
        off = switched_off(resolved.name, resolved.namespace, resolved.site.gateway_namespace)
        planned = {key_of(o) for p in parts for o in p.objects}
        parts.append(Part(objects=tuple(o for o in off.objects if key_of(o) not in planned)))
    return Decision(Plan.of(parts, prune=resolved.off), hold)
