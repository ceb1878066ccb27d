"""The concerns in their order: each reads what the ones before it found. Pure; a new concern is a line here."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import LABEL_ROLE, ROLE_DOWNLOAD
from smallmodel_operator.autoscaling import sleep
from smallmodel_operator.boundary import build as boundary
from smallmodel_operator.boundary import credentials, enforcement
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part, Plan, key_of
from smallmodel_operator.core.remember import previous, weights_status
from smallmodel_operator.core.units import mebibytes, to_bytes
from smallmodel_operator.quantization import decide as quantization
from smallmodel_operator.resolve import Resolved, Site
from smallmodel_operator.serving import build as serving_build
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.types import ServingRequest
from smallmodel_operator.weights import decide as weights
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict

FORMER_DEFAULT_CONTEXT: Final = 4096
"""Once the CRD's default, so it stands in objects whose users never wrote it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan, and what keeps the rest of the wish from being planned yet."""

    plan: Plan
    hold: Refused | NotYet | None = None


def decide(resolved: Resolved, snapshot: Snapshot) -> Decision:
    """What should exist for this model now, and why not more."""
    parts: list[Part] = []
    try:
        opened = _credentials(resolved, snapshot)
        parts.append(
            Part(
                secrets=opened.secrets,
                keys=opened.keys,
                status=opened.status,
                problems=opened.problems,
                look_again_seconds=opened.look_again_seconds,
            )
        )
        gate = None if resolved.off else enforcement.gate(snapshot.boundary)
        if isinstance(gate, Refused):
            raise gate
        verdict = weights.decide(weights_request(resolved), snapshot)
        guard = _boundary(resolved, verdict.part.objects)  # no Job whose policy is refused
        parts.append(verdict.part)
        if verdict.facts is not None:
            # Remembered at once, whatever is refused after it: the header is read once.
            known = weights_status(verdict.facts, _digest(verdict.artifact))
            live = snapshot.child("Deployment", resolved.name)
            if before := previous(snapshot.previous_status, live, verdict.facts):
                known["previous"] = before
            parts.append(Part(status={"weights": known}))
        parts.append(guard)
        if verdict.blocking and verdict.problem is not None:
            raise verdict.problem
        if gate is not None:
            raise gate
        parts.extend(_served(resolved, verdict, snapshot))
    except (Refused, NotYet) as hold:
        return _held(resolved, parts, hold)
    # With declared memory the pods need not wait for the inspection, but what it found wrong is still said.
    found = verdict.problem if isinstance(verdict.problem, Refused) else None
    return Decision(Plan.of(parts), found)


def count(name: str, request: sleep.SleepRequest, snapshot: Snapshot) -> sleep.Count:
    """How many replicas are wanted now: the user's number, or none while the model sleeps."""
    live = snapshot.child("Deployment", name)
    current = None if live is None else int(live.get("spec", {}).get("replicas", 1))
    available = 0 if live is None else int(live.get("status", {}).get("availableReplicas", 0))
    return sleep.decide(request, current, available, snapshot.traffic, up_seconds(snapshot))


def up_seconds(snapshot: Snapshot) -> float:
    """For how long the model has answered, by its own conditions: Ready alone stays True through a sleep."""
    known = {c["type"]: c for c in snapshot.previous_status.get("conditions") or []}
    since = [known.get(kind, {}) for kind in (Condition.READY, Condition.AVAILABLE)]
    if any(c.get("status") != "True" or not c.get("lastTransitionTime") for c in since):
        return 0.0
    latest = max(datetime.fromisoformat(c["lastTransitionTime"].replace("Z", "+00:00")) for c in since)
    return max(0.0, (snapshot.now - latest).total_seconds())


def _credentials(resolved: Resolved, snapshot: Snapshot) -> credentials.Credentials:
    access = resolved.access
    request = credentials.CredentialRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        uid=resolved.uid,
        url=resolved.url,
        ca=resolved.site.gateway_ca,
        generation=access.client_key.generation,
        overlap=timedelta(hours=access.client_key.overlap_hours),
        entries=tuple(credentials.KeyEntry(k.name, k.secret_ref.name, k.secret_ref.key) for k in access.api_keys),
    )
    previous = snapshot.previous_status.get("access") or {}
    return credentials.decide(request, snapshot.masters, snapshot.secrets, previous, snapshot.now)


def weights_request(resolved: Resolved) -> WeightsRequest:
    """What the weights concern needs to know of a model."""
    signed = resolved.source.verification
    return WeightsRequest(
        name=resolved.name,
        namespace=resolved.namespace,
        uri=resolved.source.uri,
        path=resolved.source.path,
        sha256=resolved.source.sha256,
        job_image=resolved.site.job_image,
        ca_config_map=resolved.site.ca_config_map,
        credentials=resolved.source.credentials_secret_ref.name if resolved.source.credentials_secret_ref else "",
        hub=resolved.site.hub,
        store=resolved.site.store,
        store_region=resolved.site.store_region,
        proxy=resolved.site.proxy,
        no_proxy=resolved.site.no_proxy,
        claim_size=resolved.site.claim_size,
        storage_class=resolved.site.claim_storage_class,
        access_mode=resolved.site.claim_access_mode,
        eviction=resolved.site.claim_eviction,
        memory_declared=resolved.memory_request is not None,
        node_selector=resolved.node_selector,
        tolerations=resolved.tolerations,
        verification=f"{signed.public_key_secret_ref.name}/{signed.public_key_secret_ref.key}" if signed else "",
        enforce_template=resolved.checks.chat_template != "Warn",
        wait_for_template=resolved.checks.chat_template == "Enforce",
        allowed_templates=tuple(resolved.checks.allowed_chat_templates),
        allowed_architectures=tuple(resolved.checks.allowed_architectures),
    )


def _boundary(resolved: Resolved, jobs: tuple[Object, ...]) -> Part:
    policies = [boundary.pods_policy(resolved.name, resolved.namespace, resolved.site.gateway_namespace)]
    if any(j["metadata"]["labels"].get(LABEL_ROLE) == ROLE_DOWNLOAD for j in jobs if j["kind"] == "Job"):
        site = resolved.site
        where = (
            weights.goes_to(weights_request(resolved)),
            site.cluster_domain,
            site.cluster_networks,
            site.gateway_namespace,
            resolved.source.uri,
        )
        policies.append(boundary.download_policy(resolved.name, resolved.namespace, *where))
    return Part(objects=tuple(policies))


def _served(resolved: Resolved, verdict: WeightsVerdict, snapshot: Snapshot) -> list[Part]:
    context, problems = _context(resolved, verdict, snapshot)
    resolved = replace(resolved, context_size=context)
    live = snapshot.child("Deployment", resolved.name)
    made = revisions.made_from(_serving_request(resolved, verdict, 0, 0), live)
    memory = quantization.fit(
        verdict.facts,
        context_size=resolved.context_size,
        parallel_slots=resolved.parallel_slots,
        declared_request=to_bytes(resolved.memory_request) if resolved.memory_request else None,
        limit=to_bytes(resolved.memory_limit) if resolved.memory_limit else None,
        # What has pods is not refused for a node that went.
        largest_node=None if made else snapshot.largest_node_memory,
    )
    wanted = count(
        resolved.name, sleep.SleepRequest(resolved.replicas, resolved.may_sleep, resolved.idle_seconds), snapshot
    )
    request = _serving_request(resolved, verdict, memory.request_bytes, wanted.replicas)
    revision, recorded = revisions.frozen(request, live)
    status: dict[str, Any] = {
        "endpoint": {"url": resolved.url, "model": resolved.name},
        "engineRevision": revision,
        "engineImage": recorded.engine_image,
        "scaling": {"desired": wanted.replicas, "why": wanted.why, **_cold_start(snapshot)},
        "memory": {
            "estimatedBytes": memory.estimated_bytes,
            "requestedBytes": to_bytes(recorded.memory_request),
            "limitBytes": to_bytes(resolved.memory_limit) if resolved.memory_limit else 0,
        },
    }
    served = serving.objects(request, live, snapshot, gateway=resolved.site.gateway_host, awake=resolved.replicas)
    rest = Part(status=status, problems=problems, look_again_seconds=wanted.look_again_seconds)
    return [memory.part, served, rest]


def _cold_start(snapshot: Snapshot) -> dict[str, Any]:
    """What a wake usually takes; gateways forget it when they restart, the status does not."""
    start = snapshot.traffic.cold_start
    if start is None:
        kept = (snapshot.previous_status.get("scaling") or {}).get("coldStart")
        return {"coldStart": kept} if (kept or {}).get("totalMilliseconds") else {}
    stages = {stage: round(seconds, 2) for stage, seconds in asdict(start).items()}  # what repeats is no news
    stages["total"] = sum(stages.values())
    return {"coldStart": {f"{stage}Milliseconds": round(seconds * 1000) for stage, seconds in stages.items()}}


def _context(resolved: Resolved, verdict: WeightsVerdict, snapshot: Snapshot) -> tuple[int, tuple[Refused, ...]]:
    """Tokens of context per request; the engine would silently give less than asked for beyond the training.

    And what the user has to mend although it serves: pods that started before the header was known (their memory is
    declared) or under an operator that did not look at it are not replaced for this alone, nor kept from waking.

    Raises:
        Refused: the user asks for more than the model was trained for, and nothing runs with it.
    """
    wanted, trained = resolved.context_size, verdict.facts.context_length if verdict.facts else 0
    if not trained or wanted <= trained:
        return wanted, ()
    too_large = Refused(
        Reason.INVALID_SPEC,
        f"`spec.engine.contextSize` is {wanted}, but the model was trained for a context of {trained} tokens and "
        f"the engine gives no request more. Set it to {trained} or less, leave it out, or take other weights.",
    )
    if revisions.made_from(_serving_request(resolved, verdict, 0, 0), snapshot.child("Deployment", resolved.name)):
        asked = resolved.context_given and wanted != FORMER_DEFAULT_CONTEXT
        return wanted, (too_large,) if asked else ()
    if resolved.context_given:
        raise too_large
    return trained, ()


def _digest(artifact: str) -> str:
    """The digest in an artifact's name, without the path inside the image."""
    return artifact.partition("/")[0] if artifact.startswith("sha256:") else ""


def _serving_request(resolved: Resolved, verdict: WeightsVerdict, request_bytes: int, replicas: int) -> ServingRequest:
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
        replicas=replicas,
        artifact=verdict.artifact,
        volume=verdict.volume,
        mount=verdict.mount,
        model_path=verdict.model_path,
    )


def closed(hold: Refused | NotYet | None) -> bool:
    """Does it close what runs? A boundary that is required and not enforced does."""
    return isinstance(hold, Refused) and hold.reason is Reason.BOUNDARY_NOT_ENFORCED


def switched_off(name: str, namespace: str, site: Site) -> Part:
    """What stays of a model that is off and cannot be planned: its address, and the guard of pods that still drain."""
    guard = boundary.pods_policy(name, namespace, site.gateway_namespace)
    return Part(objects=(*serving_build.addresses(name, namespace, site.gateway_host), guard))


def _held(resolved: Resolved, parts: list[Part], hold: Refused | NotYet) -> Decision:
    """What runs stays, unless it is switched off or the boundary is open: then it goes, whatever else is wrong."""
    off = resolved.off or closed(hold)
    if off:
        left = switched_off(resolved.name, resolved.namespace, resolved.site)
        planned = {key_of(o) for p in parts for o in p.objects}
        parts.append(Part(objects=tuple(o for o in left.objects if key_of(o) not in planned)))
    return Decision(Plan.of(parts, prune=off), hold)
