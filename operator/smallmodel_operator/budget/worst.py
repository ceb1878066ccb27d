"""The most tokens a request may use, before it goes. Pure.

A token is at least a byte of text, so a prompt has no more of them than its body has bytes; and prompt and answer
together are no more than the model's context, of each text that is asked for.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

TEMPLATE_TOKENS: Final = 256
"""What a chat template writes around the texts of a body."""
LARGEST: Final = 1 << 40
_MOST: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict")
"""What says to an engine here how much may be generated. Which of two it goes by is its own; the larger one counts."""
_SAID: Final = {
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}
"""The same for what leaves, by what OpenAI's API reads there: a word that a target does not know bounds nothing, and no
context of ours does either."""
_TIMES: Final = ("n", "best_of", "n_cmpl")
_READ_ONLY: Final = {"/v1/embeddings": "input", "/v1/rerank": "documents"}
"""Nothing is generated; what the texts are in."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most tokens of prompts, and of texts that are generated; they are priced apart."""

    prompt: int
    generated: int


def bound(path: str, body: bytes) -> Bound | None:
    """The most a request says that it may use; None: nobody can say, for it cannot be read or says no bound."""
    value = _read(body)
    if value is None:
        return None
    path = path.partition("?")[0]
    prompt = _prompt(path, value, body)
    if path in _READ_ONLY:
        return Bound(min(prompt, LARGEST), 0)
    generated, times = _generated(value, _SAID.get(path, ())), _times(value)
    return (
        None
        if generated is None or times is None
        else Bound(min(prompt * times, LARGEST), min(generated * times, LARGEST))
    )


def tokens(path: str, body: bytes, context: int | None) -> int | None:
    """The most tokens; None: nobody can say, for it cannot be read, or says no bound where its model has none.

    `path`: without prefix; `context`: the model's, if it is known.
    """
    value = _read(body)
    if value is None:
        return None
    path = path.partition("?")[0]
    prompt = _prompt(path, value, body)
    if path in _READ_ONLY:
        return min(prompt, LARGEST)
    generated, times = _generated(value, _SAID.get(path, ()) if context is None else _MOST), _times(value)
    bounds = ([] if generated is None else [prompt + generated]) + ([] if context is None else [context])
    return min(min(bounds) * times, LARGEST) if bounds and times is not None else None


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _prompt(path: str, value: dict[str, Any], body: bytes) -> int:
    """Of one text; of what is only read, of all."""
    prompt = len(body) + TEMPLATE_TOKENS
    texts = value.get(_READ_ONLY[path]) if path.endswith("rerank") and path in _READ_ONLY else None
    return prompt * max(1, len(texts)) if isinstance(texts, list) else prompt  # a query is read with each document


def _generated(value: dict[str, Any], words: tuple[str, ...]) -> int | None:
    """The most of one text, by any of these words; None: it says none."""
    said = [value[key] for key in words if value.get(key) is not None]
    known = bool(said) and all(type(most) is int and most >= 0 for most in said)
    return max(said) if known else None


def _times(value: dict[str, Any]) -> int | None:
    """How many texts are asked for; None: it says something that others may take for a number, and we do not."""
    given: list[Any] = [value[key] for key in _TIMES if value.get(key) is not None]
    if any(type(most) is not int or most < 0 for most in given):
        return None
    prompts = value.get("prompt")
    # A list of numbers is one prompt, of tokens.
    several = isinstance(prompts, list) and any(isinstance(one, str | list) for one in prompts)
    times: int = max([1, *given])
    return times * len(prompts) if isinstance(prompts, list) and several else times
