"""A source that may hold another file tomorrow: what it held when it was resolved is frozen in `status.source`. Pure.

Frozen is what a user could have written: the same URI with a commit or a digest in it, or the SHA-256 beside it. So
everything after this module sees a source that cannot move.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from smallmodel_operator.api.names import digest
from smallmodel_operator.core.plan import Note
from smallmodel_operator.weights import source
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.result import Pinned

EVENT: Final = "SourceResolved"


@dataclass(frozen=True, slots=True)
class Wish:
    """`spec.source` as far as it says which file is meant, and `status.source`.

    `generation`: raised to resolve anew.
    """

    uri: str
    path: str = ""
    sha256: str = ""
    allowed: bool = False
    generation: int = 1
    frozen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What was frozen counts for this wish and no other; what does not say which file is meant is not in it."""
        return digest([self.uri, self.path, self.sha256, self.generation])[:16]


def of_spec(spec: Mapping[str, Any], frozen: Mapping[str, Any]) -> Wish:
    """The wish in a SmallModel's `spec.source` and `status.source`."""
    return Wish(
        str(spec.get("uri") or ""),
        str(spec.get("path") or ""),
        str(spec.get("sha256") or ""),
        spec.get("allowMutable") is True,
        int(spec.get("resolveGeneration") or 1),
        frozen,
    )


def place(wish: Wish, owner: str = "") -> source.Source:
    """Where the weights are: what is frozen, where that is of this wish; otherwise a source that is to be resolved.

    `owner`: the model, which resolves for itself: another one may have found something else, at another time.

    Raises:
        Refused: the URI names nothing immutable and that is not allowed, or nothing we can mount.
    """
    found = parse(wish.uri, wish.path, wish.sha256, wish.allowed)
    if not isinstance(found, source.MovingSource):
        return found
    if is_frozen(wish):
        uri = str(wish.frozen["uri"])
        path = wish.path if uri.startswith("oci://") else ""  # of others it is in the URI, or there is none
        return parse(uri, path, str(wish.frozen.get("sha256") or ""))
    return replace(found, owner=owner, key=wish.key)


def is_frozen(wish: Wish) -> bool:
    """Whether `status.source` is of this wish."""
    return wish.allowed and bool(wish.frozen.get("uri")) and wish.frozen.get("decidedOn") == wish.key


def moves(wish: Wish) -> bool:
    """Whether `spec.source` names something that may move, resolved or not."""
    return isinstance(parse(wish.uri, wish.path, wish.sha256, wish.allowed), source.MovingSource)


def status(wish: Wish, found: Pinned, now: datetime) -> dict[str, Any]:
    """`status.source` from now on."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"decidedOn": wish.key, "uri": found.uri, "sha256": found.sha256, "resolvedAt": stamp}


def news(found: Pinned) -> Note:
    """The event. Without the address: its query may be nobody's business."""
    return Note(
        EVENT, f"The source was resolved: {_name(found.uri, found.sha256)}. It stays until `spec.source` changes."
    )


def said(wish: Wish) -> str:
    """What WeightsReady says of a source that was resolved; empty for any other."""
    if not is_frozen(wish):
        return ""
    name = _name(str(wish.frozen["uri"]), str(wish.frozen.get("sha256") or ""))
    return f"Frozen in `status.source`: {name}."


def _name(uri: str, sha256: str) -> str:
    if uri.startswith("oci://"):
        return f"digest {uri.partition('@')[2]}"
    commit = uri.partition("@")[2].partition("/")[0] if uri.startswith("hf://") else ""
    return ", ".join(filter(None, (f"commit {commit}" if commit else "", f"SHA-256 {sha256}" if sha256 else "")))
