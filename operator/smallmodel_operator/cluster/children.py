"""What the watches have seen of our children, corrected by what we wrote ourselves a moment ago.

A watch lags behind our own writes; deciding on a stale view would write the same again. So the answer of every
write is kept until the watch has caught up with it.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from smallmodel_operator.api.names import LABEL_ROLE
from smallmodel_operator.core.facts import Object, ObjectKey

ModelKey = tuple[str, str]
"""(namespace, model)."""

Index = Mapping[Any, Iterable[bytes | Object]]
"""kind of kopf's index: (namespace, model) -> live objects, packed."""

FORGET_SECONDS: Final = 30.0
"""A write the watch has not shown by then is forgotten: the watch is the truth in the end."""


def slim(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without managedFields, which are half of it and never looked at."""
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": meta}


def pack(obj: Mapping[str, Any]) -> bytes:
    """A slim object as JSON text: a tenth of the memory of its dicts, opened only when its model is looked at."""
    return json.dumps(slim(obj), separators=(",", ":")).encode()


def last_writer(obj: Object | None, field: str) -> str:
    """The manager that wrote a field of an object's spec last, by `managedFields`; empty: none is named."""
    entries = ((obj or {}).get("metadata") or {}).get("managedFields") or ()
    owners = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in entries
        if f"f:{field}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(owners, default=("", ""))[1][:128]


def _open(obj: bytes | Object) -> Object:
    return cast(Object, orjson.loads(obj)) if isinstance(obj, bytes) else obj


def placed(pod: Object) -> dict[str, Any]:
    """A pod as who counts room and money needs it: a tenth of it."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    kept = ("resources", "restartPolicy")
    containers = {
        kind: [{name: c[name] for name in kept if name in c} for c in spec.get(kind) or ()]
        for kind in ("containers", "initContainers")
    }
    names = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
    role = (meta.get("labels") or {}).get(LABEL_ROLE)
    return {
        "metadata": {name: meta[name] for name in names if name in meta}
        | {"labels": {LABEL_ROLE: role} if role else {}},
        "spec": {"nodeName": spec.get("nodeName"), "overhead": spec.get("overhead"), **containers},
        "status": {
            "phase": status.get("phase"),
            "conditions": [c for c in status.get("conditions") or () if c.get("type") == "PodScheduled"],
        },
    }


class Children:
    """Live children by model: indices of the watches plus an overlay of own writes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.indices: dict[str, Index] = {}
        self._placed: dict[bytes, Object] = {}
        self._written: dict[ModelKey, dict[ObjectKey, tuple[Object | None, str, float]]] = {}

    def of(self, model: ModelKey, uid: str) -> dict[ObjectKey, Object]:
        """Children of this model (by owner uid)."""
        seen = {
            (kind, obj["metadata"]["name"]): obj
            for kind, index in self.indices.items()
            if kind != "Pod"
            for obj in map(_open, index.get(model, ()))
        }
        for key, (obj, version, since) in list(self._written.get(model, {}).items()):
            if self._caught_up(seen.get(key), obj, version) or self._clock() - since > FORGET_SECONDS:
                del self._written[model][key]
            elif obj is None:
                seen.pop(key, None)
            else:
                seen[key] = obj
        return {k: o for k, o in seen.items() if owned(o, uid)}

    def pods(self, model: ModelKey) -> tuple[Object, ...]:
        found = map(_open, self.indices.get("Pod", {}).get(model, ()))
        return tuple(sorted(found, key=lambda p: p["metadata"]["name"]))

    def all_pods(self) -> Sequence[tuple[ModelKey, Object]]:
        """Pods of all models, each with whose it is, as `placed` has them. They are asked for every few seconds: one
        that has not changed is not opened again."""
        known, self._placed = self._placed, {}
        found: list[tuple[ModelKey, Object]] = []
        for key, packed in list(self.indices.get("Pod", {}).items()):
            for one in packed:
                pod = known.get(one) if isinstance(one, bytes) else None
                if pod is None:
                    pod = placed(_open(one))
                if isinstance(one, bytes):
                    self._placed[one] = pod
                found.append(((key[0] or "", key[1]), pod))
        return found

    def pod_specs(self, namespace: str) -> Iterator[Object]:
        """Of all models' pods in a namespace, and of what makes them."""
        for kind in ("Pod", "Deployment", "Job"):
            for key, found in self.indices.get(kind, {}).items():
                if key[0] == namespace:
                    for obj in map(_open, found):
                        spec = obj.get("spec") or {}
                        yield spec if kind == "Pod" else spec["template"]["spec"]

    def wrote(self, model: ModelKey, key: ObjectKey, obj: Object) -> None:
        """Remember the server's answer to our own apply."""
        version = obj["metadata"]["resourceVersion"]
        self._written.setdefault(model, {})[key] = (slim(obj), version, self._clock())

    def deleted(self, model: ModelKey, key: ObjectKey, obj: Object) -> None:
        """Remember our own deletion of exactly this object."""
        self._written.setdefault(model, {})[key] = (None, obj["metadata"]["uid"], self._clock())

    def vanished(self, model: ModelKey, key: ObjectKey, uid: str) -> None:
        """The watch says that exactly this object is gone, or out of its sight: our write is no longer the truth."""
        written = self._written.get(model, {})
        obj = written.get(key, (None, "", 0.0))[0]
        if obj is not None and obj["metadata"]["uid"] == uid:
            del written[key]

    def unconfirmed(self, model: ModelKey) -> bool:
        """Is there a write of ours the watch has not shown? Then what we believe may be gone already."""
        return bool(self._written.get(model))

    def forget(self, model: ModelKey) -> None:
        self._written.pop(model, None)

    @staticmethod
    def _caught_up(seen: Object | None, written: Object | None, version: str) -> bool:
        if written is None:  # we deleted it: done when it is gone or another took its name
            return seen is None or seen["metadata"]["uid"] != version
        if seen is None:
            return False
        if seen["metadata"]["uid"] != written["metadata"]["uid"]:
            return True
        # Comparable since Kubernetes 1.35, in fact always: it is etcd's revision.
        return int(seen["metadata"]["resourceVersion"]) >= int(version)


def owned(obj: Object, uid: str) -> bool:
    """Does the object carry the owner's uid?"""
    return any(ref.get("uid") == uid for ref in obj["metadata"].get("ownerReferences", ()))
