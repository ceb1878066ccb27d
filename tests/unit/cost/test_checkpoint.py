"""What is kept is read back, and nothing else is."""

import json
from typing import Any

import pytest

from smallmodel_operator.cost.checkpoint import BadCheckpoint, dump, load
from smallmodel_operator.cost.ledger import Account, Book
from smallmodel_operator.cost.state import State, shorter

STATE = State(1, 2, {"2026-10": Book({"a/b": Account({"EUR": 10**30})}), "2026-11": Book()})


def test_large_numbers_stay_exact() -> None:
    assert load(dump(STATE)) == STATE


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"at": -1}, {"at": "2"}, {"at": 1.5}, {"months": []}, {"months": {"2026-11": {}}},
     {"gateways": {"g": {"epoch": 1, "models": {"m": [1, 2]}}}}],
)  # fmt: skip
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadCheckpoint):
        load(json.dumps({**json.loads(dump(STATE)), **change}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '"text"', "[" * 100_000])
def test_what_is_no_ledger_is_refused(text: str) -> None:
    with pytest.raises(BadCheckpoint):
        load(text)


def test_the_oldest_month_goes_first_and_the_last_one_stays() -> None:
    fewer = shorter(STATE)
    assert fewer is not None
    assert list(fewer.ledger) == ["2026-11"]
    assert shorter(fewer) is None
