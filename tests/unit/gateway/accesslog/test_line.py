"""The lines of a request that failed outside: one is of what came of it there, the other of its answer."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.price import Price
from smallmodel_operator.gateway.accesslog.line import came_back, parse
from smallmodel_operator.gateway.accesslog.observe import Ending, observe
from smallmodel_operator.gateway.budget.settling import used

LEFT: dict[str, Any] = {
    "http.response.status_code": 200,
    "call": "key:support/bot||chat|@support/desk/cloud",
    "route": ">support/desk/cloud",
    "usage": "7|3|5|2|3",
    "slm.attempts": 2,
    "slm.upstream.address": "/run/smallmodel/instead.sock",
    "slm.response.flags": "-",
}
PRICE = Price(1_000_000, 3_000_000, "EUR")


def line(**changes: Any) -> Any:
    """`__` stands for a dot; None leaves a field out."""
    said = {**LEFT, **{name.replace("__", "."): value for name, value in changes.items()}}
    return parse(json.dumps({name: value for name, value in said.items() if value is not None}).encode())


@pytest.mark.parametrize(
    ("failure", "status", "cause", "money"),
    [
        ("500", 500, "", 0),
        ("429", 429, "", 0),
        ("503 outside-unreachable", 503, "outside-unreachable", 0),
        ("503 outside-broken", 503, "outside-broken", None),
        ("504 outside-silent", 504, "outside-silent", None),
        (None, 503, "outside-broken", None),
        ("nonsense", 503, "outside-broken", None),
    ],
)
def test_what_came_back_in_is_what_the_outside_said(failure: str | None, status: int, cause: str, money: Any) -> None:
    found = line(slm__left__failure=failure)
    assert came_back(found)
    assert (found.http_response_status_code, found.slm_cause or "") == (status, cause)
    assert (found.slm_left, found.slm_route) == ("support/desk/cloud", "support/desk/cloud")
    assert found.gen_ai_usage_output_tokens is UNSET, "they are of the answer, which has its own line"
    seen = observe(found)
    assert (seen.status, seen.cause, seen.model, seen.output_tokens) == (status, cause, "", None)
    assert used(found, PRICE) == {Unit.MONEY: money}, "the request itself is counted once, with its answer"
    assert used(found) == {}


def test_flags_of_the_second_attempt_say_nothing_of_the_first() -> None:
    """Its socket could not be reached: that is not why the outside failed."""
    found = line(slm__upstream__address=None, slm__response__flags="UF,URX")
    assert used(found, PRICE) == {Unit.MONEY: None}
    assert observe(found).ending is Ending.FAILED


def test_what_nobody_could_let_out_did_not_leave() -> None:
    found = line(slm__attempts=1)
    assert (found.http_response_status_code, found.slm_cause) == (503, "outside-unreachable")
    assert found.slm_upstream_address is UNSET
    assert used(found, PRICE) == {Unit.MONEY: 0}


def test_what_was_answered_outside_and_what_stayed_are_as_they_were() -> None:
    for changes in (
        {"slm__attempts": 1, "slm__upstream__address": "10.0.0.9:10095"},
        {"route": "sha256:1|t|e|p", "slm__upstream__address": "10.0.1.4:8080"},
        {"route": None, "slm__upstream__address": "/run/smallmodel/agent.sock"},
    ):
        found = line(**changes)
        assert not came_back(found)
        assert (found.http_response_status_code, found.gen_ai_usage_output_tokens) == (200, 3)
