"""What stops inference in a namespace, who wrote that, and what undoes it. Pure."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.boundary.seal import DENIED, STOPPED, Object


@dataclass(frozen=True, slots=True)
class Stop:
    """One entry that stops inference: of the whole cluster (`namespace` empty) or of one namespace.

    `manager`: the field manager that wrote it (a program, not a person); empty: the API server does not say. When it
    was written is not known: the API server has one time for all that a manager wrote.
    """

    namespace: str
    reason: str = ""
    manager: str = ""

    @property
    def where(self) -> str:
        return f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"

    @property
    def undo(self) -> str:
        """The command that allows inference again, as far as this entry goes."""
        return f"slm boundary unseal {f'--namespace {shlex.quote(self.namespace)}' if self.namespace else '--all'}"

    @property
    def words(self) -> str:
        """Where, why and by whom."""
        why = self.reason or "no reason was given"
        by = f", by {self.manager}" if self.manager else ""
        return f"{self.where} ({why}{by})"

    def dump(self) -> dict[str, str]:
        """As JSON."""
        return {"namespace": self.namespace, "reason": self.reason, "by": self.manager}


def stops(declared: Object) -> list[Stop]:
    """All of a ClusterBoundary, the whole cluster's first."""
    spec = declared.get("spec") or {}
    entries: list[Mapping[str, Any]] = [{**spec, "name": ""}, *(spec.get("namespaces") or ())]
    found = [entry for entry in entries if entry.get("inference") == STOPPED]
    return [
        Stop(str(e["name"]), str(e.get("reason", "")), _writer(declared.get("metadata") or {}, str(e["name"])))
        for e in found
    ]


def over(found: list[Stop], namespace: str) -> list[Stop]:
    """Those that stop the models of this namespace."""
    return [stop for stop in found if stop.namespace in ("", namespace)]


def refused(found: list[Stop]) -> str:
    """What somebody reads who wonders why a model does not answer, with the way out; empty: nothing stops it."""
    if not found:
        return ""
    where, undo = " and ".join(stop.words for stop in found), " and ".join(f"`{stop.undo}`" for stop in found)
    allows = "together allow" if len(found) > 1 else "allows"
    return f"inference is stopped {where}: the gateways answer 503; {undo} {allows} it again"


def denied(declared: Object, namespace: str) -> str:
    """Why no request of a namespace may leave the cluster, with the way out; empty: nothing here keeps it."""
    spec = declared.get("spec") or {}
    entries = [("", spec), *((str(n["name"]), n) for n in spec.get("namespaces") or ())]
    found = [Stop(where).where for where, e in entries if where in ("", namespace) and e.get("external") == DENIED]
    if not found:
        return ""
    return (
        f"targets outside the cluster are denied {' and '.join(found)}: ClusterBoundary cluster has "
        "`external: Denied`; removing that allows them again"
    )


def _writer(meta: Mapping[str, Any], namespace: str) -> str:
    """Manager of the entry's field `inference`."""
    path = ["f:spec"]
    if namespace:
        path += ["f:namespaces", "k:" + json.dumps({"name": namespace}, separators=(",", ":"))]
    for entry in meta.get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        for key in path:
            fields = fields.get(key) or {}
        if "f:inference" in fields:
            return str(entry.get("manager", ""))
    return ""
