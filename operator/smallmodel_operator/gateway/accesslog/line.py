"""A line of the access log as values. Pure.

Written for speed: it runs twice for every answer, for the metrics and for the record, on the gateway's own cores.
"""

import json
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from smallmodel_operator.gateway.accesslog.format import BAR, CALL, FIELDS, JOINS, ROUTE, USAGE

TIME: Final = "time"
STATUS: Final = "http.response.status_code"
LARGEST: Final = 2**53 - 1
"""Integers up to here are the same number in every language that reads JSON."""
OURS: Final = {"kind": str, "prev": str, "seq": int}
"""What makes a line a record; see audit/record.py."""
UNREACHED: Final = "503"
LEFT: Final = ">"
"""Begins the name of a route that leads outside."""
REMEMBERED: Final = 4096
"""Joined texts kept apart: a caller with a model, or what is in force for one."""
MOST_DIGITS: Final = 15
_NUMBER: Final = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]


def attribute(name: str) -> str:
    """What a field is called in Python."""
    return name.replace(".", "_")


def _field(name: str, kind: type) -> tuple[str, Any, Any] | tuple[str, Any]:
    typed: Any = _NUMBER if kind is int else str
    return (attribute(name), typed) if name == STATUS else (attribute(name), typed | UnsetType, UNSET)


_KINDS: Final[dict[str, type]] = {name: field.json for name, field in FIELDS.items()} | OURS
_JOINED: Final = dict.fromkeys(JOINS, str)
Line: Final[Any] = msgspec.defstruct(
    "Line",
    # Sorted, because they are written in this order: so a record is canonical without sorting its names each time.
    [_field(name, kind) for name, kind in (*sorted(_KINDS.items()), *_JOINED.items())],
    rename={attribute(name): name for name in _KINDS},
    kw_only=True,
    gc=False,
)
"""A line: each field by its name with `_` for the dot; UNSET is not known."""
_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Line)
_encoder: Final = msgspec.json.Encoder()
_Words = tuple[str | UnsetType, ...]
_routes: Final[dict[str, _Words]] = {}
_calls: Final[dict[str, _Words]] = {}


def parse(line: bytes) -> Any:
    """Read it; a `Line`.

    Raises:
        ValueError: it is none. A field that is not of its type is not known.
    """
    try:
        value = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = _leniently(line)
    if value.route is not UNSET and value.route.startswith(LEFT):
        _came_back(value)
    if value.route is not UNSET or value.call is not UNSET or value.usage is not UNSET:
        _part(value)
    return value


def write(line: Any) -> bytes:
    """As JSON: fields sorted, no spaces, what is not known left out."""
    return _encoder.encode(line)


def fields_of(line: Any) -> dict[str, Any]:
    """What is known, by the names of fields."""
    return {name: value for name in _KINDS if (value := getattr(line, attribute(name))) is not UNSET}


def _leniently(line: bytes) -> Any:
    """Half a surrogate pair is no Unicode, and a text no number: no reasons to lose a request."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    kinds = _KINDS | _JOINED
    kept = {
        name: found.encode("utf-8", "replace").decode() if isinstance(found, str) else found
        for name, found in value.items()
        if type(found) is kinds.get(name) and (not isinstance(found, int) or 0 <= found <= LARGEST)
    }
    if STATUS not in kept:
        raise ValueError(f"it has no {STATUS}")
    return Line(**{attribute(name): found for name, found in kept.items()})


def _part(line: Any) -> None:
    """Put what Envoy joined into its fields. Written out: a loop over names takes twice as long."""
    if (text := line.route) is not UNSET:
        known = _routes.get(text) or _remembered(_routes, text, _named(text))
        line.slm_digest, line.slm_template, line.slm_engine_revision, line.slm_policy, line.slm_left = known
        line.route = UNSET
    if (text := line.call) is not UNSET:
        known = _calls.get(text) or _remembered(_calls, text, _called(text))
        line.slm_caller, line.slm_caller_namespace, line.gen_ai_operation_name, target, adapter, model, route = known
        line.slm_target, line.slm_adapter, line.slm_route = target, adapter, route
        if line.gen_ai_request_model is UNSET:
            line.gen_ai_request_model = model
        line.call = UNSET
    if (text := line.usage) is not UNSET:
        line.gen_ai_usage_input_tokens, line.gen_ai_usage_output_tokens, line.slm_engine_input_tokens, \
            line.slm_engine_cached_tokens, line.slm_engine_output_tokens = _counts(text)  # fmt: skip
        line.usage = UNSET


def came_back(line: Any) -> bool:
    """Is it of a request that was sent out, failed there and came back in?"""
    return bool(line.slm_left) and (line.slm_attempts or 0) > 1


def _came_back(line: Any) -> None:
    """A request that failed outside and was answered inside has two lines: the one of its answer, and this one, which
    is of what came of it outside, whatever its caller got in the end."""
    back = (line.slm_upstream_address or "").startswith("/")
    tried = line.slm_attempts or 0
    if not back and tried < 2:
        return
    status, _, cause = (line.slm_left_failure or "").partition(" ")
    if back and tried < 2:  # nobody was there to let it out
        line.slm_upstream_address, status, cause = UNSET, UNREACHED, "outside-unreachable"
    elif not status.isdecimal():  # it broke off, or nothing was said for too long
        status, cause = UNREACHED, "outside-broken"
    line.http_response_status_code, line.slm_cause = int(status), cause or UNSET
    line.error_type = cause or "engine"
    line.usage = line.slm_response_flags = UNSET  # of the answer from inside


def _counts(text: str) -> list[int | UnsetType]:
    """An engine says any number; one that not every language could read is not known."""
    words = _words(USAGE, text)
    if len(text) < MOST_DIGITS + len(words) and text.replace(BAR, "0").isdecimal():  # none is longer, as nearly always
        return [int(word) if word else UNSET for word in words]
    return [int(word) if word.isdecimal() and len(word) <= MOST_DIGITS else UNSET for word in words]


def _called(text: str) -> _Words:
    """Caller, its namespace, operation, target, adapter, the model where the body names no other, and route."""
    caller, namespace, operation, target = _known(CALL, text)
    if target is UNSET:
        return caller, namespace, operation, target, UNSET, UNSET, UNSET
    target, _, route = target.partition("@")
    target, _, adapter = target.partition(":")
    model = target.partition("/")[2]
    return caller, namespace, operation, target or UNSET, adapter or UNSET, model or UNSET, route or UNSET


def _named(text: str) -> _Words:
    """What the name of a route says: what is in force for its model, or where outside it leads."""
    if text.startswith(LEFT):
        return UNSET, UNSET, UNSET, UNSET, text.removeprefix(LEFT)
    return *_known(ROUTE, text), UNSET


def _known(join: str, text: str) -> _Words:
    return tuple(word or UNSET for word in _words(join, text))


def _remembered(texts: dict[str, _Words], text: str, words: _Words) -> _Words:
    """The words of a text that comes with every request of a caller, or of a model."""
    if len(texts) >= REMEMBERED:
        texts.clear()
    texts[text] = words
    return words


def _words(join: str, text: str) -> list[str]:
    words = text.split(BAR)
    if len(words) != len(JOINS[join][1]):
        raise ValueError(f"{join} has {len(words)} parts, not {len(JOINS[join][1])}")
    return words
