"""Weights facts to and from `status.weights`: what an inspection found is remembered in the model's own status."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from smallmodel_operator.core.facts import WeightsFacts


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
