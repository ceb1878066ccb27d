"""What ClusterBoundary forbids, as a value, and the edits of its spec that stop inference and allow it again. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
STOPPED, ALLOWED = "Stopped", "Allowed"
DENIED = "Denied"


@dataclass(frozen=True, slots=True)
class Boundary:
    """One generation of the cluster's boundary; without an object nothing is stopped."""

    uid: str = ""
    """Of the object; empty: there is none."""
    generation: int = 0
    stopped: bool = False
    """Everywhere."""
    reason: str = ""
    namespaces: Mapping[str, str] = field(default_factory=dict)
    """Namespaces that are stopped by themselves, and why."""
    denied: frozenset[str] = frozenset()
    """Namespaces whose requests may not leave the cluster; the empty one: nothing may."""

    @classmethod
    def of(cls, body: Object) -> "Boundary":
        """Read a ClusterBoundary.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is none.
        """
        meta, spec = body["metadata"], body.get("spec") or {}
        found = spec.get("namespaces") or ()
        return cls(
            uid=str(meta["uid"]),
            generation=int(meta.get("generation", 0)),
            stopped=spec.get("inference") == STOPPED,
            reason=str(spec.get("reason", "")),
            namespaces={str(n["name"]): str(n.get("reason", "")) for n in found if n.get("inference") == STOPPED},
            denied=frozenset(str(n["name"]) for n in ({**spec, "name": ""}, *found) if n.get("external") == DENIED),
        )

    @classmethod
    def load(cls, value: Any) -> "Boundary":
        """Read what `dump` gave.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        return cls(
            str(value["uid"]),
            int(value["generation"]),
            bool(value["stopped"]),
            str(value["reason"]),
            {str(name): str(why) for name, why in value["namespaces"].items()},
            frozenset(map(str, value.get("denied", ()))),  # one that was kept before this release has none
        )

    def dump(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "uid": self.uid,
            "generation": self.generation,
            "stopped": self.stopped,
            "reason": self.reason,
            "namespaces": dict(sorted(self.namespaces.items())),
            **({"denied": sorted(self.denied)} if self.denied else {}),
        }

    @property
    def stops_anything(self) -> bool:
        return self.stopped or bool(self.namespaces)

    def stops(self, namespace: str) -> bool:
        """Are requests to models of this namespace refused?"""
        return self.stopped or namespace in self.namespaces

    def leads_outside(self, namespace: str) -> bool:
        """May requests of this namespace leave the cluster, as far as this says?"""
        return not (self.stops(namespace) or {"", namespace} & self.denied)

    def stops_more_than(self, before: "Boundary") -> bool:
        """Is something stopped that was not?"""
        if before.stopped:
            return False
        return self.stopped or bool(self.namespaces.keys() - before.namespaces.keys())

    @property
    def sentence(self) -> str:
        """What is stopped, and why; empty where nothing is."""
        return self._said(_why)

    @property
    def public(self) -> str:
        """The same for everybody: why is not theirs to know."""
        return self._said(lambda _: "")

    def _said(self, why: Callable[[str], str]) -> str:
        said = [f"in the whole cluster{why(self.reason)}"] if self.stopped else []
        said += [f"in namespace {name}{why(reason)}" for name, reason in sorted(self.namespaces.items())]
        if not said:
            return ""
        return f"inference is stopped {', '.join(said)}: ClusterBoundary cluster, generation {self.generation}"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def edited(spec: Object, namespace: str, changes: Mapping[str, str]) -> dict[str, Any]:
    """The spec with fields of the cluster (`namespace` empty) or of one namespace set; all else stays as it is.

    An empty reason takes an old one away, but not from what stays as it was.
    """
    if not namespace:
        return _set(spec, changes)
    entries = [dict(entry) for entry in spec.get("namespaces") or ()]
    if all(entry["name"] != namespace for entry in entries):
        entries.append({"name": namespace})
    return {**spec, "namespaces": [_set(e, changes) if e["name"] == namespace else e for e in entries]}


def _set(fields: Object, changes: Mapping[str, str]) -> dict[str, Any]:
    made = {**fields, **changes}
    if not changes.get("reason") and made.get("inference", ALLOWED) == fields.get("inference", ALLOWED):
        made["reason"] = fields.get("reason", "")
    if not made.get("reason"):
        made.pop("reason", None)
    return made
