"""What one line of the access log means for a model. Pure; times in seconds.

Served, failed, left and refused are what objectives are judged by: bad is what failed, what was over its bound, and
whoever left after the bound; refused requests (4xx) and who left before the bound do not count.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET, UnsetType

from smallmodel_operator.audit.ending import Ending as Ending
from smallmodel_operator.audit.ending import ending, split

RESETS: Final = frozenset({"UC", "UF", "UR", "LR", "UPE"})
ENGINE: Final = "engine"
"""The cause the bodies' filter gives an engine's own error."""
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
    route: str = ""
    """`<namespace>/<route>/<target>` it came by; empty: by none."""
    hold: float = 0.0
    first_token: float | None = None
    inter_token: float | None = None
    end_to_end: float | None = None
    waited: float | None = None
    input_tokens: int | None = None
    computed_tokens: int | None = None
    """Of those in the prompt, what the engine had to read: the rest it still knew. All where it does not say."""
    output_tokens: int | None = None
    generates: bool = False
    """It asked for text, so tokens are expected."""
    reset: bool = False


def observe(value: Any) -> Observation:
    """What a `Line` means."""
    status = value.http_response_status_code
    flags = split(value.slm_response_flags or "")
    namespace, _, model = (value.slm_target or "").partition("/")
    ended = ending(status, flags)
    streamed = (value.http_response_content_type or "").startswith("text/event-stream")
    first, last = _known(value.slm_ttft_us), _known(value.slm_end_to_end_us)
    output = _known(value.gen_ai_usage_output_tokens, value.slm_engine_output_tokens)
    counted = streamed and ended in (Ending.SERVED, Ending.LEFT)
    whole = ended is Ending.SERVED and last is not None
    return Observation(
        namespace=namespace,
        model=model,
        caller_class=caller_class(value.slm_caller or ""),
        status=status,
        ending=ended,
        cause=_cause(value) if status >= 400 else "",
        route=value.slm_route or "",
        hold=(value.slm_hold_us or 0) * MICRO if (value.slm_attempts or 0) > 1 else 0.0,
        first_token=first * MICRO if counted and first is not None else None,
        inter_token=_inter_token(first, last, output) if streamed and whole else None,
        end_to_end=last * MICRO if whole and last is not None else None,
        waited=_waited(value) if ended is Ending.LEFT else None,
        input_tokens=(read := _input(value)),
        computed_tokens=_known(value.slm_engine_input_tokens, UNSET if read is None else read),
        output_tokens=output,
        generates=value.gen_ai_operation_name in ("chat", "text_completion"),
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


def _cause(value: Any) -> str:
    """Why the gateway refused; empty when it was the engine that did."""
    cause = str(value.slm_cause or "")
    return "" if cause == ENGINE else cause


def _waited(value: Any) -> float:
    """From the last byte of the request until its caller left; 0 when it left before that."""
    arrived = _known(value.slm_receive_us)
    return 0.0 if arrived is None else max(0.0, (value.slm_duration_ms or 0) * MILLI - arrived * MICRO)


def _inter_token(first: int | None, last: int | None, tokens: int | None) -> float | None:
    if first is None or last is None or tokens is None or tokens < 2 or last < first:
        return None
    return (last - first) * MICRO / (tokens - 1)


def _input(value: Any) -> int | None:
    """From `usage`; the engine's own count has what it computed and what it reused apart."""
    used, computed = _known(value.gen_ai_usage_input_tokens), _known(value.slm_engine_input_tokens)
    if used is None and computed is not None:
        return computed + (value.slm_engine_cached_tokens or 0)
    return used


def _known(*values: int | UnsetType) -> int | None:
    """The first that is known."""
    return next((value for value in values if not isinstance(value, UnsetType)), None)
