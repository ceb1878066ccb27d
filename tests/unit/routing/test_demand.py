"""Tools that have to be called: which, whether an answer does, and what is made of one that was written as JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from smallmodel_operator.routing.answers.called import as_call, honoured
from smallmodel_operator.routing.answers.said import Said, Unreadable, read, written
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.tools.conversation import conversation
from smallmodel_operator.routing.tools.demand import MOST_SCHEMA, by_schema, demanded

JSON, STREAM = "application/json", "text/event-stream"
NAMES = frozenset({"find", "refund"})
ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}


def tools(**parameters: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name, "parameters": p}} for name, p in parameters.items()]


def body(choice: Any = "required", **more: Any) -> bytes:
    asked = {"messages": [{"role": "user", "content": "Hello"}], "tools": tools(find=ORDER, refund={}), **more}
    return json.dumps({**asked, **({"tool_choice": choice} if choice else {})}).encode()


def said(*calls: tuple[Any, Any], **message: Any) -> Said:
    made = [{"id": "1", "type": "function", "function": {"name": n, "arguments": a}} for n, a in calls]
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": made, **message}}
    return read(JSON, json.dumps({"choices": [choice]}).encode())


def streamed(*deltas: dict[str, Any], **last: Any) -> Said:
    values = [{"id": "x", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    values += [{"choices": [], **last}] if last else []
    return read(STREAM, b"".join(b"data: %b\n\n" % json.dumps(v).encode() for v in values) + b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", NAMES),
        ({"type": "function", "function": {"name": "refund"}}, {"refund"}),
        ("auto", set()),
        ("none", set()),
        (None, set()),
    ],
)
def test_what_is_demanded(choice: Any, names: set[str]) -> None:
    assert demanded(conversation(Request("/v1/chat/completions", body(choice)))) == names


def test_a_schema_takes_calls_of_these_tools_and_nothing_else() -> None:
    asked = json.loads("{" + by_schema(body(), NAMES) + "}")
    assert asked["tool_choice"] == "none"
    takes = Draft202012Validator(asked["response_format"]["json_schema"]["schema"]).is_valid
    assert takes({"name": "find", "arguments": {"order": 17}})
    assert takes({"name": "refund", "arguments": {"any": 1}})
    for wrong in ({"name": "find", "arguments": {}}, {"name": "drop", "arguments": {}}, {"name": "refund"}, [], "x"):
        assert not takes(wrong)
    assert not takes({"name": "refund", "arguments": {}, "more": 1})
    named = json.loads("{" + by_schema(body(), frozenset({"refund"})) + "}")["response_format"]["json_schema"]["schema"]
    assert not Draft202012Validator(named).is_valid({"name": "find", "arguments": {"order": 17}})


def test_what_refers_to_its_own_root_is_any_object() -> None:
    refers = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}
    schema = json.loads("{" + by_schema(body(tools=tools(find=refers)), NAMES) + "}")["response_format"]["json_schema"]
    assert schema["schema"]["properties"]["arguments"] == {"type": "object"}


def test_it_fits_a_header() -> None:
    found = by_schema(body(tools=tools(find={"description": "ü\n" * 100})), NAMES)
    assert found.isascii()
    assert found.isprintable()
    assert by_schema(body(tools=tools(find={"description": "x" * MOST_SCHEMA})), NAMES) == ""


@pytest.mark.parametrize(
    ("answer", "so"),
    [
        (said(("find", '{"order": 1}')), True),
        (said(("find", "{}"), ("refund", "{}")), True),
        (said(), False),
        (said(("drop", "{}")), False),
        (said(("find", "{}"), ("drop", "{}")), False),
        (said(("find", "[]")), False),
        (said(("find", '{"order":')), False),
        (said(("find", None)), False),
        (said((None, "{}")), False),
        (said(tool_calls="find"), False),
        (said(tool_calls=[7]), False),
        (said(tool_calls=[{"function": 7}]), False),
        (streamed({"tool_calls": [{"index": 0, "function": {"name": "find", "arguments": ""}}]},
                  {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
                  {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}), True),
        (streamed({"tool_calls": [{"index": 0, "function": {"name": "find", "arguments": '{"a"'}}]}), False),
        (streamed({"content": "no"}), False),
    ],
)  # fmt: skip
def test_which_answers_call_what_is_demanded(answer: Said, so: bool) -> None:
    assert honoured(answer, NAMES) == so


def test_each_choice_has_to() -> None:
    one = json.loads(written(said(("find", "{}"))))["choices"][0]
    two = {"index": 1, "message": {"role": "assistant", "content": "no"}}
    assert not honoured(read(JSON, json.dumps({"choices": [one, two]}).encode()), NAMES)
    assert not honoured(read(JSON, b'{"choices": []}'), NAMES)


def test_json_of_a_call_becomes_one() -> None:
    answer = said(content='{"name": "find", "arguments": {"order": 17}}', tool_calls=None)
    made = as_call(answer, NAMES, "call_a")
    assert made is not None
    (choice,) = made.values[0]["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call == {"id": "call_a0", "type": "function", "function": {"name": "find", "arguments": '{"order":17}'}}
    assert honoured(made, NAMES)


def test_a_streamed_one_too_with_its_usage_once() -> None:
    answer = streamed(
        {"role": "assistant"}, {"content": '{"name":"refund",'}, {"content": '"arguments":{}}'}, usage={"n": 1}
    )
    made = as_call(answer, NAMES, "c")
    assert made is not None
    assert honoured(made, NAMES)
    assert written(made).endswith(b"data: [DONE]\n\n")
    assert sum("usage" in value for value in made.values) == 1
    beside = streamed({"content": '{"name":"refund","arguments":{}}'})
    beside.values[0]["usage"] = {"n": 1}
    made = as_call(beside, NAMES, "c")
    assert made is not None
    assert [value.get("usage") for value in made.values] == [None, {"n": 1}]


@pytest.mark.parametrize(
    "text", ["", "no", "[]", "{}", '{"name": "drop", "arguments": {}}', '{"name": "find", "arguments": "{}"}',
             '{"name": 1, "arguments": {}}', '{"name": ["find"], "arguments": {}}'],
)  # fmt: skip
def test_other_texts_do_not(text: str) -> None:
    assert as_call(said(content=text, tool_calls=None), NAMES, "c") is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["find", "{}", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "delta", "tool_calls", "function", "name", "arguments", "index", "content"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.sampled_from([JSON, STREAM]), _VALUES)
def test_no_answer_makes_it_raise_and_what_is_made_is_honoured(kind: str, value: Any) -> None:
    for whole in (value, {"choices": [value]}, {"choices": [{"message": value, "delta": value}]}):
        text = json.dumps(whole).encode()
        try:
            found = read(kind, b"data: " + text + b"\n\n" if kind == STREAM else text)
        except Unreadable:
            continue
        honoured(found, NAMES)
        made = as_call(found, NAMES, "c")
        assert made is None or honoured(read(kind, written(made)), NAMES)
