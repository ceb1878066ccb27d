"""What a Job tells the operator: at most 4 KiB of JSON in its pod's termination message."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import Survey, Variant, WeightsFacts

MAX_BYTES: Final = 4096
"""The kubelet keeps no more of a termination message."""
MAX_TEXT: Final = 512
MAX_NUMBER: Final = 2**62
MAX_FOLDERS: Final = 40
MAX_ADAPTERS: Final = 64
MAX_URI: Final = 2048
MAX_WAIT: Final = 24 * 3600
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_IMAGE: Final = re.compile(r"oci://\S+@sha256:[0-9a-f]{64}")
_WORDS: Final = ("parent", "digest", "left_out")
"""What a survey says besides facts and files."""

EXIT_FOUND: Final = 0
EXIT_PASSING: Final = 1
"""Something that may pass by itself (network, node): the Job tries again."""
EXIT_REFUSED: Final = 3
"""The user must change something: the Job fails at once."""
EXIT_LATER: Final = 4
"""A server asks to be left alone for longer than a Job waits between its pods: the Job fails at once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no facts. `passing`: trying again may help, and not before `after_seconds` have passed.

    `needed_bytes`: what has to be free in the claim, where that is why; 0 where it is not known.
    """

    reason: Reason
    message: str
    passing: bool = False
    after_seconds: int = 0
    needed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was removed from the claim, the first `MAX_FOLDERS` by name; and the bytes of what is unused still."""

    folders: tuple[str, ...]
    freed_bytes: int
    unused_bytes: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a source that may move holds now, as a user would write it: `spec.source.uri` and `sha256`.

    Of an image the digest is in the URI, of a hub's folder the commit, and `sha256` is empty.
    """

    uri: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AdapterSizes:
    """Bytes of the tensors of LoRA adapters, by name."""

    sizes: Mapping[str, int]


Said = WeightsFacts | Survey | Failure | Pinned | AdapterSizes


def encode(result: Said | Evicted) -> str:
    """Termination message of a Job."""
    if isinstance(result, Evicted):
        gone = {"folders": result.folders[:MAX_FOLDERS], "freed": result.freed_bytes, "unused": result.unused_bytes}
        return json.dumps({"evicted": gone})
    if isinstance(result, Failure):
        # Multi-byte characters may take 6 bytes each in JSON's escapes; 500 of them leave room for the rest.
        message = result.message if len(result.message) <= 500 else result.message[:499] + "…"
        error = {"reason": result.reason.value, "message": message, "passing": result.passing}
        waits = {"afterSeconds": result.after_seconds, "neededBytes": result.needed_bytes}
        return json.dumps({"error": {**error, **waits}})
    if isinstance(result, AdapterSizes):
        return json.dumps({"adapters": dict(result.sizes)}, separators=(",", ":"))
    if isinstance(result, Pinned):
        return json.dumps({"pinned": asdict(result)})
    if isinstance(result, Survey):
        lists = {name: [list(asdict(v).values()) for v in getattr(result, name)] for name in ("variants", "makes")}
        words = {name: getattr(result, name) for name in _WORDS if getattr(result, name)}
        survey = {"facts": _short(result.facts), **lists, **words}
        return json.dumps({"survey": survey}, separators=(",", ":"))
    return json.dumps({"facts": asdict(result)}, separators=(",", ":"))


def _short(facts: WeightsFacts) -> dict[str, Any]:
    """Without what is empty: a survey has to tell of several files in the same few bytes."""
    return {f.name: value for f in fields(facts) if (value := getattr(facts, f.name)) != f.default}


def decode(text: str) -> Said | None:
    """The result in a termination message; None when it is not one (the pod died another way)."""
    try:
        data = json.loads(text)
        if "error" in data:
            error = data["error"]
            wait = _number(error.get("afterSeconds"), MAX_WAIT)
            needed = _number(error.get("neededBytes"), MAX_NUMBER)
            message = str(error["message"])[:2000]
            return Failure(Reason(error["reason"]), message, error.get("passing") is True, wait, needed)
        if "adapters" in data:
            return _adapters(data["adapters"])
        if "pinned" in data:
            return _pinned(data["pinned"])
        return _survey(data["survey"]) if "survey" in data else _facts(data["facts"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def evicted(text: str) -> Evicted | None:
    """The result in an eviction's termination message; None when it is not one."""
    try:
        said = json.loads(text)["evicted"]
        folders = tuple(name for name in said["folders"] if isinstance(name, str) and len(name) <= 128)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Evicted(folders, _number(said.get("freed"), MAX_NUMBER), _number(said.get("unused"), MAX_NUMBER))


def _adapters(data: dict[str, Any]) -> AdapterSizes:
    if len(data) > MAX_ADAPTERS or not all(type(n) is int and 0 <= n < MAX_NUMBER for n in data.values()):
        raise ValueError("adapters")
    return AdapterSizes(dict(data))


def _pinned(data: dict[str, Any]) -> Pinned:
    uri, sha256 = data["uri"], data["sha256"]
    if not (isinstance(uri, str) and 0 < len(uri) <= MAX_URI and isinstance(sha256, str)):
        raise ValueError("pinned")
    if not _SHA256.fullmatch(sha256) and (sha256 or not (uri.startswith("hf://") or _IMAGE.fullmatch(uri))):
        raise ValueError("pinned")
    return Pinned(uri, sha256)


def _number(value: Any, most: int) -> int:
    return value if type(value) is int and 0 <= value <= most else 0


def exit_code(said: Said | Evicted) -> int:
    """What the Job controller is to do."""
    if not isinstance(said, Failure):
        return EXIT_FOUND
    if said.after_seconds:
        return EXIT_LATER
    return EXIT_PASSING if said.passing else EXIT_REFUSED


def _survey(data: dict[str, Any]) -> Survey:
    words = {name: data.get(name, "") for name in _WORDS}
    if not all(isinstance(word, str) and len(word) <= 2 * MAX_TEXT for word in words.values()):
        raise ValueError("words")
    return Survey(_facts(data["facts"]), _variants(data["variants"]), _variants(data["makes"]), **words)


def _variants(data: list[Any]) -> tuple[Variant, ...]:
    found = []
    for kind, file, *sizes in data:
        if not (isinstance(kind, str) and isinstance(file, str) and len(kind) <= 32 and len(file) <= MAX_TEXT):
            raise ValueError("variants")
        if not (2 <= len(sizes) <= 3 and all(type(n) is int and 0 <= n < MAX_NUMBER for n in sizes)):
            raise ValueError("variants")
        found.append(Variant(kind, file, *sizes))
    return tuple(found)


def _facts(data: dict[str, Any]) -> WeightsFacts:
    values: dict[str, Any] = {}
    for field in fields(WeightsFacts):
        if field.name not in data:
            continue
        value = data[field.name]
        text = field.type in (str, "str")
        if text and not (isinstance(value, str) and len(value) <= MAX_TEXT):
            raise ValueError(field.name)
        if not text and not (type(value) is int and 0 <= value < MAX_NUMBER):
            raise ValueError(field.name)
        values[field.name] = value
    return WeightsFacts(**values)
