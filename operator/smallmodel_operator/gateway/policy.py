"""What is in force for a model at a gateway, and the hashes by which answers name it. Pure.

An answer's record has the hashes only; a record of kind `in-force` has what they are hashes of.
"""

from functools import lru_cache
from typing import Any, Final

from smallmodel_operator.audit.policies import REQUEST_HMAC, hash_of
from smallmodel_operator.gateway.state import Model

REVISION_DIGITS: Final = 16


def policy(model: Model) -> dict[str, Any]:
    """Who may call it and how much, and what is recorded beyond the usual, as JSON; what is not so is left out."""
    limit = model.access.requests_per_minute
    return {
        "namespace": model.namespace,
        "name": model.name,
        "uid": model.uid,
        "allow": sorted(model.access.allow),
        "maxBodyBytes": model.access.max_body_bytes,
        **({"requestsPerMinute": limit} if limit is not None else {}),
        **({REQUEST_HMAC: {"keyGeneration": model.request_key}} if model.request_key else {}),
        **({"off": True} if model.off else {}),
        **({"stopped": True} if model.stopped else {}),
        **({"budgetExhausted": True} if model.spent else {}),
    }


def engine(model: Model) -> dict[str, Any]:
    """What its pods are made of; empty until the operator has said it."""
    if not (model.engine_image or model.template_revision):
        return {}
    return {"name": model.engine, "image": model.engine_image, "templateRevision": model.template_revision}


@lru_cache(4096)
def policy_hash(model: Model) -> str:
    """SHA-256 of the policy's canonical JSON (RFC 8785)."""
    return hash_of(policy(model))


def engine_revision(model: Model) -> str:
    """The first digits of the same of the engine; empty while that is not known."""
    said = engine(model)
    return hash_of(said)[:REVISION_DIGITS] if said else ""


def in_force(model: Model) -> dict[str, Any]:
    """All of it, as a record has it."""
    named = {
        "slm.target": model.target,
        "slm.policy": policy_hash(model),
        "slm.engine.revision": engine_revision(model),
        "slm.digest": model.digest,
        "slm.template": model.chat_template,
        "policy": policy(model),
        "engine": engine(model),
    }
    return {name: value for name, value in named.items() if value}
