"""The most tokens a request may use, before it goes. Pure.

A token is at least a byte of text, so a prompt has no more of them than its body has bytes; and prompt and answer
together are no more than the model's context, of each text that is asked for.
"""

from typing import Any, Final

import orjson

TEMPLATE_TOKENS: Final = 256
"""What a chat template writes around the texts of a body."""
LARGEST: Final = 1 << 40
_MOST: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict")
"""What says how much may be generated. Which of two an engine goes by is its own; the larger one is meant here."""
_TIMES: Final = ("n", "best_of", "n_cmpl")
_READ_ONLY: Final = {"/v1/embeddings": "input", "/v1/rerank": "documents"}
"""Nothing is generated; what the texts are in."""


def tokens(path: str, body: bytes, context: int | None) -> int | None:
    """The most tokens; None: nobody can say, for it cannot be read, or says no bound where its model has none.

    `path`: without prefix; `context`: the model's, if it is known.
    """
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    prompt = len(body) + TEMPLATE_TOKENS
    path = path.partition("?")[0]
    if path in _READ_ONLY:
        texts = value.get(_READ_ONLY[path])
        parts = len(texts) if isinstance(texts, list) and path.endswith("rerank") else 1
        return min(prompt * max(1, parts), LARGEST)  # a query is read with each document
    said = [value[key] for key in _MOST if value.get(key) is not None]
    known = bool(said) and all(type(most) is int and most >= 0 for most in said)
    bounds = ([prompt + max(said)] if known else []) + ([] if context is None else [context])
    return min(min(bounds) * _times(value), LARGEST) if bounds else None


def _times(value: dict[str, Any]) -> int:
    """How many texts are asked for."""
    given: list[int] = [value[key] for key in _TIMES if type(value.get(key)) is int]
    prompts = value.get("prompt")
    # A list of numbers is one prompt, of tokens.
    several = isinstance(prompts, list) and any(isinstance(one, str | list) for one in prompts)
    return max([1, *given]) * (len(prompts) if isinstance(prompts, list) and several else 1)
