"""The concerns in their order: each reads what the ones before it found. Pure; a new concern is a line here."""

from dataclasses import dataclass, replace
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import LABEL_ROLE, ROLE_DOWNLOAD
from smallmodel_operator.autoscaling import sleep
from smallmodel_operator.boundary import build as boundary
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.control import budget, external, granted, keys, objective, quantized
from smallmodel_operator.control import gate as golden
from smallmodel_operator.control.scale import cold_start, count
from smallmodel_operator.core.engine import LLAMA_CPP
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part, Plan, key_of
from smallmodel_operator.core.remember import previous, weights_status
from smallmodel_operator.core.units import mebibytes, to_bytes
from smallmodel_operator.quantization import accelerator
from smallmodel_operator.quantization import decide as quantization
from smallmodel_operator.resolve import Resolved, Site
from smallmodel_operator.serving import adapters, engines, revisions
from smallmodel_operator.serving import build as serving_build
from smallmodel_operator.serving import decide as serving
from smallmodel_operator.serving.types import ServingRequest
from smallmodel_operator.weights import adapter_set
from smallmodel_operator.weights import decide as weights
from smallmodel_operator.weights.types import WeightsVerdict

FORMER_DEFAULT_CONTEXT: Final = 4096
"""Once the CRD's default, so it stands in objects whose users never wrote it."""
Hold = Refused | NotYet | None
"""What keeps the newest wish from taking effect."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan, and what keeps the rest of the wish from being planned yet."""

    plan: Plan
    hold: Refused | NotYet | None = None


def decide(resolved: Resolved, snapshot: Snapshot) -> Decision:
    """What should exist for this model now, and why not more."""
    parts: list[Part] = []
    try:
        opened = keys.decide(resolved, snapshot)
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
        verdict, chosen = quantized.weigh(resolved, snapshot)
        if resolved.frozen and not weights.moves(quantized.request(resolved)):
            parts.append(Part(status={"source": None}))
        guard = _boundary(resolved, verdict.part.objects)  # no Job whose policy is refused
        parts += [verdict.part, chosen]
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
        served, held = _served(resolved, verdict, snapshot)
        parts.extend(served)
        if held is not None:
            raise held
    except (Refused, NotYet) as hold:
        return _held(resolved, parts, hold)
    # With declared memory the pods need not wait for the inspection, but what it found wrong is still said.
    found = verdict.problem if isinstance(verdict.problem, Refused) else None
    return Decision(Plan.of(parts), found)


def _boundary(resolved: Resolved, jobs: tuple[Object, ...]) -> Part:
    policies = [boundary.pods_policy(resolved.name, resolved.namespace, resolved.site.gateway_namespace)]
    if any(j["metadata"]["labels"].get(LABEL_ROLE) == ROLE_DOWNLOAD for j in jobs if j["kind"] == "Job"):
        site = resolved.site
        where = (
            weights.goes_to(quantized.request(resolved)),
            site.cluster_domain,
            site.cluster_networks,
            site.gateway_namespace,
            resolved.source.uri,
        )
        policies.append(boundary.download_policy(resolved.name, resolved.namespace, *where))
    return Part(objects=tuple(policies))


def _served(resolved: Resolved, verdict: WeightsVerdict, snapshot: Snapshot) -> tuple[list[Part], Hold]:
    context, problems = _context(resolved, verdict, snapshot)
    resolved = replace(resolved, context_size=context)
    live = snapshot.child("Deployment", resolved.name)
    made = revisions.made_from(_serving_request(resolved, verdict, 0, 0), live)
    unsupported = engines.unsupported(resolved.engine, verdict.facts) if verdict.facts else None
    if unsupported is not None:
        raise unsupported
    order = adapters.places(adapters.recorded(live), [a.name for a in resolved.adapters])
    looked = _adapters(resolved, verdict, snapshot)
    if looked.problem is not None:
        return [Part(objects=looked.objects)], looked.problem
    beside = adapters.memory(looked.sizes, order)
    memory = quantization.fit(
        verdict.facts if resolved.engine == LLAMA_CPP else None,  # no header tells what the others take of main memory
        context_size=resolved.context_size,
        parallel_slots=resolved.parallel_slots,
        declared_request=to_bytes(resolved.memory_request) if resolved.memory_request else None,
        limit=to_bytes(resolved.memory_limit) if resolved.memory_limit else None,
        # What has pods is not refused for a node that went.
        largest_node=None if made else snapshot.largest_node_memory,
        adapters=beside,
    )
    memory, on_devices = accelerator.fit(
        memory, verdict.facts, resolved.accelerator,
        engine=resolved.engine, context_size=resolved.context_size, parallel_slots=resolved.parallel_slots,
        adapters=beside,
    )  # fmt: skip
    limits = (resolved.objective.least, resolved.objective.most) if resolved.objective else None
    idle = resolved.idle_seconds
    asked = sleep.SleepRequest(resolved.replicas, resolved.may_sleep, idle, limits, resolved.external)
    wanted = count(resolved.name, asked, snapshot)
    request = _serving_request(resolved, verdict, memory.request_bytes, wanted.replicas)
    request = replace(request, adapter_order=order)
    settled = wanted.replicas > 0 and serving.settled(live, wanted.replicas)
    passage = golden.passage(resolved, request, live, settled, snapshot)
    if passage.hold is not None or passage.closed:
        return [memory.part, *passage.parts], passage.hold
    revision, recorded = revisions.frozen(request, live)
    status: dict[str, Any] = {
        "endpoint": {"url": resolved.url, "model": resolved.name},
        "engineRevision": revision,
        "engineImage": recorded.engine_image,
        "scaling": {"desired": wanted.replicas, "why": wanted.why, **cold_start(snapshot)},
        "memory": {
            "estimatedBytes": memory.estimated_bytes,
            "requestedBytes": to_bytes(recorded.memory_request),
            "limitBytes": to_bytes(resolved.memory_limit) if resolved.memory_limit else 0,
            **({"acceleratorBytes": on_devices} if on_devices else {}),
            **adapter_set.status(resolved.adapters, looked.sizes),
        },
    }
    status |= adapters.status(live, order, snapshot.previous_status, settled=serving.settled(live, wanted.replicas))
    if resolved.objective:
        status["scaling"]["decisions"] = objective.decisions(wanted.replicas, wanted.why, snapshot)
    if resolved.external:
        status["scaling"]["external"] = external.remembered(resolved.replicas, resolved.external, snapshot)
    awake = limits[1] if limits else max(resolved.replicas, wanted.replicas)
    served = serving.objects(request, live, snapshot, gateway=resolved.site.gateway_host, awake=awake)
    rest = Part(status=status, problems=problems, look_again_seconds=wanted.look_again_seconds)
    speed = golden.speed(resolved, request, made and settled, snapshot)
    follows = granted.part(objective.part(resolved, wanted.asleep, snapshot), snapshot)
    follows = budget.part(resolved, follows, snapshot)
    return [memory.part, *passage.parts, served, rest, speed, follows], None


def _adapters(resolved: Resolved, verdict: WeightsVerdict, snapshot: Snapshot) -> adapter_set.Look:
    """Adapters are looked at where memory is derived: who declares it says that it is enough for all of them."""
    if not resolved.adapters or resolved.memory_request or verdict.facts is None:
        return adapter_set.Look({})
    return adapter_set.look(quantized.request(resolved), resolved.adapters, snapshot)


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
        engine=resolved.engine,
        accelerator=resolved.accelerator,
        runtime_class=resolved.runtime_class,
        adapters=resolved.adapters,
        # llama.cpp reads it from the file, and is started before the file was looked at.
        quantization="" if resolved.engine == LLAMA_CPP or not verdict.facts else verdict.facts.quantization,
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
