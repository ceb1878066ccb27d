"""Golden prompts are read strictly, in bounded time, and what is wrong is named by line and field, never by value."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.quality.golden import MOST_BYTES, MOST_ITEMS, NotGolden, parse

GOOD: dict[str, Any] = {"id": "refund-1", "prompt": "How do I get SECRET back?", "expect": {"exact": "Ask SECRET."}}
TOOL = {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}


def line(**changes: Any) -> str:
    made = {**GOOD, **changes}
    return json.dumps({k: v for k, v in made.items() if v is not None})


def test_every_kind_of_expectation_is_read() -> None:
    text = "\n".join(
        [
            line(),
            "",
            line(id="b", prompt=None, messages=[{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]),
            line(id="c", expect={"regex": "^[0-9]+ days?$"}, maxTokens=16),
            line(id="d", expect={"jsonSchema": {"type": "object", "required": ["ok"]}}),
            line(id="e", expect={"tool": "refund"}, tools=[TOOL]),
            line(id="f", expect={"tool": {"name": "refund", "arguments": {"order": 7}}}, tools=[TOOL]),
        ]
    )
    found = parse(text)
    assert [item.id for item in found.items] == ["refund-1", "b", "c", "d", "e", "f"]
    assert found.items[0].messages == ({"role": "user", "content": GOOD["prompt"]},)
    assert found.items[2].max_tokens == 16
    assert found.items[4].expect.value == {"name": "refund", "arguments": {}}
    assert parse(text + "\n").digest != found.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no golden prompt"),
        ("not json", "line 1: no JSON"),
        ("[1]", "no JSON object"),
        ('{"id": "a", "id": "b"}', "twice"),
        ('{"id": NaN}', "NaN is no JSON"),
        (line(id="no spaces"), "`id`"),
        (line(id="x" * 64), "`id`"),
        (line(id=None), "`id`"),
        (line() + "\n" + line(), "line 2: `id`: refund-1 is there twice"),
        (line(temperature=1), "a field that is none of"),
        (line(prompt=None), "either `prompt` or `messages`"),
        (line(messages=[]), "either `prompt` or `messages`"),
        (line(prompt=""), "`prompt`"),
        (line(prompt=None, messages=[]), "`messages`"),
        (line(prompt=None, messages=[{"role": "tool", "content": "x"}]), "`messages[0].role`"),
        (line(prompt=None, messages=[{"role": "user"}]), "`messages[0]`"),
        (line(expect=None), "`expect`"),
        (line(expect={}), "`expect`"),
        (line(expect={"exact": "a", "regex": "b"}), "`expect`"),
        (line(expect={"equals": "a"}), "`expect`"),
        (line(expect={"exact": 7}), "`expect.exact`"),
        (line(expect={"regex": "("}), "`expect.regex`"),
        (line(expect={"regex": "(?=a)b"}), "`expect.regex`"),
        (line(expect={"regex": "a" * 3000}), "`expect.regex`"),
        (line(expect={"jsonSchema": "x"}), "`expect.jsonSchema`"),
        (line(expect={"jsonSchema": {"type": "nothing"}}), "`expect.jsonSchema.type`"),
        (line(expect={"jsonSchema": {"pattern": "(a+)+$"}}), "`pattern` is not supported"),
        (line(expect={"jsonSchema": {"$ref": "https://x.test/s"}}), "`$ref` is not supported"),
        (line(expect={"tool": "refund"}), "`tools`"),
        (line(tools=[TOOL]), "`tools`"),
        (line(expect={"tool": "other"}, tools=[TOOL]), "`expect.tool`"),
        (line(expect={"tool": {"arguments": {}}}, tools=[TOOL]), "`expect.tool`"),
        (line(expect={"tool": "refund"}, tools=[{"type": "function"}]), "`tools[0]`"),
        (line(maxTokens=0), "`maxTokens`"),
        (line(maxTokens=True), "`maxTokens`"),
        (line(adapter=""), "`adapter`"),
        (line(adapter="Legal"), "`adapter`"),
        (line(adapter=["legal"]), "`adapter`"),
        (line(prompt="\ud800"), "half a character"),
        ("x" * (MOST_BYTES + 1), "are allowed"),
        ("\n".join(line(id=str(n)) for n in range(MOST_ITEMS + 1)), f"line {MOST_ITEMS + 1}: more than {MOST_ITEMS}"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_repeated(text: str, said: str) -> None:
    with pytest.raises(NotGolden) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_nothing_prints_a_prompt_or_what_is_expected() -> None:
    assert "SECRET" not in repr(parse(line()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["id", "prompt", "messages", "tools", "maxTokens", "adapter", "expect", "x"])
SOME = JSON | st.sampled_from([GOOD["id"], GOOD["expect"], [TOOL], {"regex": "a|b"}, {"jsonSchema": {}}, {"tool": "t"}])


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200) | st.dictionaries(FIELD, SOME, max_size=6).map(json.dumps))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    found, said = 0, ""
    try:
        found = len(parse(text).items)
    except NotGolden as error:
        said = str(error)
    assert bool(found) != bool(said)
    assert len(said) < 400
