"""What is kept is read back, and nothing else is."""

import json
from typing import Any

import pytest

from smallmodel_operator.core.energy import Meter
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost.checkpoint import BadCheckpoint, dump, load
from smallmodel_operator.cost.ledger import Account, Book
from smallmodel_operator.cost.state import State, shorter

STATE = State(1, 2, {"2026-10": Book({"a/b": Account({"EUR": 10**30})}), "2026-11": Book()})


BEFORE_ENERGY = """{"at":2,"began":1,"gateways":{"g-0":{"epoch":1,"models":{"a/b":[1,2,3]}}},"months":
{"2026-11":{"gap":0,"models":{"a/b":{"microseconds":5,"spent":{"EUR":7},"usage":[1,2,3]}},"pools":[["cpu","EUR",9,1,1,5]]}},"version":1}"""
"""As releases wrote it that counted no energy."""


def test_a_ledger_from_before_energy_is_taken_up() -> None:
    state = load(BEFORE_ENERGY)
    assert state.ledger["2026-11"].models["a/b"] == Account({"EUR": 7}, 5, Usage(1, 2, 3))
    assert state.meters == {}
    assert load(dump(state)) == state


def test_energy_and_meters_are_kept() -> None:
    account = Account({"EUR": 1}, 5, Usage(1, 2, 3), {"Kepler": 10**25, "RequestedShare": 1}, 5)
    meters = {"u-1": Meter({"package": 10**15}, {}), "u-2": Meter({}, {"engine": 7})}
    state = State(1, 2, {"2026-11": Book({"a/b": account})}, meters=meters)
    assert load(dump(state)) == state


def test_large_numbers_stay_exact() -> None:
    assert load(dump(STATE)) == STATE


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"at": -1}, {"at": "2"}, {"at": 1.5}, {"months": []}, {"months": {"2026-11": {}}},
     {"gateways": {"g": {"epoch": 1, "models": {"m": [1, 2]}}}},
     {"meters": {"u-1": [{"package": -1}, {}]}}, {"meters": {"u-1": [{}]}}, {"meters": ["u-1"]},
     {"months": {"2026-11": {"models": {"a/b": {"spent": {}, "microseconds": 0, "usage": [0, 0, 0], "energy": [1]}},
                             "pools": [], "gap": 0}}}],
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
