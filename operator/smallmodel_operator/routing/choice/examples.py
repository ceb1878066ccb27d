"""Rows of examples, whatever file they stand in: what a row must have, and which rows are held out. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.routing.choice.training import Answered

PROMPT: Final = "prompt"
CLASS: Final = "class"
_TRUE: Final = frozenset({"true", "1", "1.0"})
_FALSE: Final = frozenset({"false", "0", "0.0"})


class BadRow(ValueError):  # noqa: N818 - says what is the matter
    """A row lacks something, or has something else in its place."""


def to_learn(prompt: str) -> bool:
    """Whether a row is for learning; the others are for the test. By content: it holds whatever the order of rows, and
    a prompt that occurs twice is never on both sides."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[-1] % 2 == 0


def answered(row: Mapping[str, Any], strong: str, weak: str) -> Answered:
    """A row with columns `prompt`, and one for each model that says whether its answer was right.

    Raises:
        BadRow: with the column that is wrong, and what there is.
    """
    return Answered(_prompt(row), _right(row, strong), _right(row, weak))


def classed(row: Mapping[str, Any]) -> tuple[str, str]:
    """A row with columns `prompt` and `class`.

    Raises:
        BadRow: with the column that is wrong.
    """
    name = row.get(CLASS)
    if not isinstance(name, str) or not name.strip():
        raise BadRow(f"`{CLASS}` must be the name of a class of tasks; there is {_there(row)}")
    return _prompt(row), name.strip()


def _prompt(row: Mapping[str, Any]) -> str:
    prompt = row.get(PROMPT)
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRow(f"`{PROMPT}` must be a text; there is {_there(row)}")
    return prompt


def _right(row: Mapping[str, Any], model: str) -> bool:
    if model not in row:
        raise BadRow(f"no column {model!r}: name a model the data has; there is {_there(row)}")
    said = str(row[model]).strip().lower()
    if said not in _TRUE | _FALSE:
        raise BadRow(f"column {model!r} must be True or False")
    return said in _TRUE


def _there(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(str(key) for key in row)) or "nothing"
