"""A line of the log as a record's body."""

import json
from typing import Any

import pytest

from smallmodel_operator.gateway.record import answer as module
from smallmodel_operator.gateway.record.answer import SHAPES, answer

LINE: dict[str, Any] = {"time": "2026-11-21T00:00:00.000000Z", "http.response.status_code": 200, "slm.attempts": 1}


def test_only_known_fields_of_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_shapes", {})
    for _ in range(2):  # the second time it is known what to leave out
        for more in ({"slm.cause": None}, {"slm.cause": 7}, {"slm.hold_us": 1.5}, {"slm.hold_us": True}, {"new": "x"}):
            assert answer(json.dumps(LINE | more).encode()) == {**LINE, "kind": "answer"}
    assert answer(json.dumps(LINE | {"slm.cause": "x"}).encode())["slm.cause"] == "x"


@pytest.mark.parametrize("name", ["time", "http.response.status_code"])
@pytest.mark.parametrize("value", [None, 1.5])
def test_what_a_record_cannot_be_without(name: str, value: Any) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=f"no {name}"):
            answer(json.dumps(LINE | {name: value}).encode())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[Any, Any] = {}
    monkeypatch.setattr(module, "_shapes", known)
    for number in range(SHAPES + 50):
        assert answer(json.dumps(LINE | {f"new{number}": 1}).encode()) == {**LINE, "kind": "answer"}
    assert len(known) == SHAPES
