"""An answer is as expected or it is not; nothing a model says breaks the one who judges."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.core.trial import Expectation, Item
from smallmodel_operator.quality.answer import body, meets, same
from smallmodel_operator.quality.golden import parse

SCHEMA = {
    "type": "object",
    "required": ["ok"],
    "properties": {"ok": {"type": "boolean"}},
    "additionalProperties": False,
}


def expectation(expect: dict[str, Any], **more: Any) -> Expectation:
    return parse(json.dumps({"id": "a", "prompt": "p", "expect": expect, **more})).items[0].expect


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"content": None, "tool_calls": [{"id": "1", "function": {"name": name, "arguments": arguments}}]}


TOOLS = [{"type": "function", "function": {"name": "refund"}}]


@pytest.mark.parametrize(
    ("expect", "message", "met"),
    [
        ({"exact": " yes\n"}, {"content": "yes "}, True),
        ({"exact": "yes"}, {"content": "Yes"}, False),
        ({"exact": "yes"}, {"content": None}, False),
        ({"exact": "yes"}, {}, False),
        ({"regex": "[0-9]+ days"}, {"content": "within 14 days."}, True),
        ({"regex": "^[0-9]+ days$"}, {"content": "within 14 days."}, False),
        ({"jsonSchema": SCHEMA}, {"content": ' {"ok": true} '}, True),
        ({"jsonSchema": SCHEMA}, {"content": '{"ok": 1}'}, False),
        ({"jsonSchema": SCHEMA}, {"content": "{"}, False),
        ({"jsonSchema": SCHEMA}, {"content": "[" * 50_000}, False),
        ({"tool": "refund"}, call("refund", '{"order": 7}'), True),
        ({"tool": "refund"}, call("other", "{}"), False),
        ({"tool": "refund"}, {"content": "I call refund."}, False),
        ({"tool": {"name": "refund", "arguments": {"order": 7}}}, call("refund", '{"order": 7, "why": "x"}'), True),
        ({"tool": {"name": "refund", "arguments": {"order": 7}}}, call("refund", '{"order": 8}'), False),
        ({"tool": {"name": "refund", "arguments": {"order": 1}}}, call("refund", '{"order": true}'), False),
        ({"tool": {"name": "refund", "arguments": {"order": 7}}}, call("refund", "no JSON"), False),
        ({"tool": "refund"}, {"tool_calls": call("refund", "{}")["tool_calls"] * 2}, False),
    ],
)
def test_expectations(expect: dict[str, Any], message: dict[str, Any], met: bool) -> None:
    tools = {"tools": TOOLS} if "tool" in expect else {}
    assert meets(expectation(expect, **tools), message) is met


def test_a_pattern_takes_no_time_whoever_wrote_it() -> None:
    hostile = expectation({"regex": "^(a+)+$"})
    began = time.monotonic()
    assert meets(hostile, {"content": "a" * 60_000 + "b"}) is False
    assert time.monotonic() - began < 5


def test_the_request_asks_for_the_likeliest_answer_and_nothing_from_a_cache() -> None:
    (item,) = parse(json.dumps({"id": "a", "prompt": "p", "expect": {"tool": "refund"}, "tools": TOOLS})).items
    asked = body(item, "bot")
    assert (asked["temperature"], asked["cache_prompt"], asked["model"]) == (0, False, "bot")
    assert asked["tools"] == TOOLS
    assert "tools" not in body(Item("a", item.messages, item.expect), "bot")


def test_the_same_answer_has_other_ids() -> None:
    one, other = call("refund", "{}"), call("refund", "{}")
    other["tool_calls"][0]["id"] = "2"
    assert same(one, other)
    assert not same(one, call("refund", '{"a": 1}'))
    assert not same({"content": "a"}, {"content": "b"})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["function", "name", "arguments", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KINDS = ({"exact": "a"}, {"regex": "a"}, {"jsonSchema": SCHEMA}, {"tool": "refund"})
EXPECTATIONS = [expectation(k, **({"tools": TOOLS} if "tool" in k else {})) for k in KINDS]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(EXPECTATIONS), st.dictionaries(st.sampled_from(["content", "tool_calls"]), ANY))
def test_whatever_a_model_answers_is_judged(expect: Expectation, message: dict[str, Any]) -> None:
    assert meets(expect, message) in (True, False)
