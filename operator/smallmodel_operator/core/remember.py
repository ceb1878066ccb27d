"""Weights facts to and from `status.weights`: what an inspection found is remembered in the model's own status."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from smallmodel_operator.core.facts import Object, WeightsFacts


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(w.capitalize() for w in rest)


_NAMES = {f.name: _camel(f.name) for f in fields(WeightsFacts)}


def weights_status(facts: WeightsFacts, digest: str) -> dict[str, Any]:
    """`status.weights` of inspected weights; empty and zero fields are left out."""
    values = {_NAMES[k]: v for k, v in asdict(facts).items() if v not in ("", 0)}
    return {"format": facts.format, **({"digest": digest} if digest else {}), **values}


def facts_of(status: Mapping[str, Any]) -> WeightsFacts | None:
    """Facts remembered in a model's status; None when it holds none (or an older, incomplete set)."""
    weights = status.get("weights") or {}
    if not weights.get("artifact") or not weights.get("fileBytes"):
        return None
    known: dict[str, Any] = {}
    for field in fields(WeightsFacts):
        default = "" if field.type in (str, "str") else 0
        known[field.name] = weights.get(_NAMES[field.name], default)
    return WeightsFacts(**known)


def previous(status: Mapping[str, Any], live: Object | None, facts: WeightsFacts) -> dict[str, Any]:
    """`status.weights.previous`: what the model served before it came to these weights, so that it can go back.

    Args:
        status: of the model so far.
        live: its Deployment, which says whether what the status describes ever served.
        facts: of the weights it comes to.
    """
    before = status.get("weights") or {}
    kept = dict(before.get("previous") or {})
    if kept.get("artifact") == facts.artifact:
        kept = {}
    if before.get("artifact") in (None, "", facts.artifact) or not _served(live):
        return kept
    return {key: before[key] for key in ("artifact", "folder") if before.get(key)}


def _served(live: Object | None) -> bool:
    """All replicas are of the newest template and one answers, or none is wanted."""
    if live is None:
        return False
    status, wanted = live.get("status", {}), live.get("spec", {}).get("replicas", 1)
    whole = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return not wanted or (whole and status.get("availableReplicas", 0) > 0)
