"""Mode External: what an object tells of its `spec.replicas`, and what is remembered of it. Pure.

A custom resource's scale subresource leaves no trace in `managedFields`, so a write through it shows by the number
alone; who sets the field in a manifest stands there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class External:
    """`owned`: some manifest sets `spec.replicas`."""

    owned: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a pass saw. `written`: the number was written since the mode is External, so it counts."""

    replicas: int
    owned: bool
    written: bool


def external(body: Mapping[str, Any]) -> External | None:
    """A SmallModel that somebody else scales; None: it is not in mode External."""
    if ((body.get("spec") or {}).get("scaling") or {}).get("mode") != "External":
        return None
    entries = (body.get("metadata") or {}).get("managedFields") or ()
    return External(any("f:replicas" in ((e.get("fieldsV1") or {}).get("f:spec") or {}) for e in entries))
