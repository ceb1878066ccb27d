"""What one line of the access log means for a model. Pure; times in seconds.

Served, failed, left and refused are what objectives are judged by: bad is what failed, what was over its bound, and
whoever left after the bound; refused requests (4xx) and who left before the bound do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from smallmodel_operator.audit.ending import Ending as Ending
from smallmodel_operator.audit.ending import ending, split
from smallmodel_operator.gateway.accesslog.line import parse

RESETS: Final = frozenset({"UC", "UF", "UR", "LR", "UPE"})
ENGINE: Final = "engine"
"""The cause back.lua gives an engine's own error."""
MICRO, MILLI = 1e-6, 1e-3


@dataclass(frozen=True, slots=True)
class Observation:
    """One request. `namespace` and `model` are empty where no SmallModel was meant; None: not known, never zero.

    `first_token` and `inter_token` are of streams only, `end_to_end` of what was served. `waited`: of who left.
    """

    namespace: str
    model: str
    caller_class: str
    status: int
    ending: Ending
    cause: str = ""
    hold: float = 0.0
    first_token: float | None = None
    inter_token: float | None = None
    end_to_end: float | None = None
    waited: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    generates: bool = False
    """It asked for text, so tokens are expected."""
    reset: bool = False


def observe(line: bytes) -> Observation:
    """Read a line.

    Raises:
        ValueError: it is not a line of the access log.
    """
    value = parse(line)
    if "http.response.status_code" not in value:
        raise ValueError("not an object with http.response.status_code")
    status = _number(value, "http.response.status_code") or 0
    flags = split(_text(value, "slm.response.flags"))
    namespace, _, model = _text(value, "slm.target").partition("/")
    ended = ending(status, flags)
    streamed = _text(value, "http.response.content_type").startswith("text/event-stream")
    first, last = _number(value, "slm.ttft_us"), _number(value, "slm.end_to_end_us")
    output = _first_of(value, "gen_ai.usage.output_tokens", "slm.engine.output_tokens")
    counted = streamed and ended in (Ending.SERVED, Ending.LEFT)
    whole = ended is Ending.SERVED and last is not None
    return Observation(
        namespace=namespace,
        model=model,
        caller_class=caller_class(_text(value, "slm.caller")),
        status=status,
        ending=ended,
        cause=_cause(value) if status >= 400 else "",
        hold=(_number(value, "slm.hold_us") or 0) * MICRO if (_number(value, "slm.attempts") or 0) > 1 else 0.0,
        first_token=first * MICRO if counted and first is not None else None,
        inter_token=_inter_token(first, last, output) if streamed and whole else None,
        end_to_end=last * MICRO if whole and last is not None else None,
        waited=_waited(value) if ended is Ending.LEFT else None,
        input_tokens=_input(value),
        output_tokens=output,
        generates=_text(value, "gen_ai.operation.name") in ("chat", "text_completion"),
        reset=bool(flags & RESETS),
    )


@lru_cache(1024)
def caller_class(caller: str) -> str:
    """`service-account`, `client-key` (Secret <name>-client), `api-key` (spec.access.apiKeys) or `none`."""
    if caller.startswith("sa:"):
        return "service-account"
    if caller.startswith("key:"):
        return "api-key" if caller.count("/") > 1 else "client-key"
    return "none"


def _cause(value: Mapping[str, Any]) -> str:
    """Why the gateway refused; empty when it was the engine that did."""
    cause = _text(value, "slm.cause")
    return "" if cause == ENGINE else cause


def _waited(value: Mapping[str, Any]) -> float:
    """From the last byte of the request until its caller left; 0 when it left before that."""
    arrived = _number(value, "slm.receive_us")
    whole = _number(value, "slm.duration_ms") or 0
    return 0.0 if arrived is None else max(0.0, whole * MILLI - arrived * MICRO)


def _inter_token(first: int | None, last: int | None, tokens: int | None) -> float | None:
    if first is None or last is None or tokens is None or tokens < 2 or last < first:
        return None
    return (last - first) * MICRO / (tokens - 1)


def _input(value: Mapping[str, Any]) -> int | None:
    """From `usage`; the engine's own count has what it computed and what it reused apart."""
    computed = _number(value, "slm.engine.input_tokens")
    engine = None if computed is None else computed + (_number(value, "slm.engine.cached_tokens") or 0)
    used = _number(value, "gen_ai.usage.input_tokens")
    return engine if used is None else used


def _first_of(value: Mapping[str, Any], *names: str) -> int | None:
    return next((found for name in names if (found := _number(value, name)) is not None), None)


def _number(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if type(found) is not int or found < 0:
        raise ValueError(f"{name} is {found!r}, not a number from 0")
    return found


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ValueError(f"{name} is {found!r}, not a text")
    return found
