"""Answers as they came over the wire are read, and written again without what nobody asked for."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.routing.answers.said import Unreadable, logprobs, read, without_logprobs, written

JSON, STREAM = "application/json; charset=utf-8", "text/event-stream"


def tokens(*found: float) -> dict[str, Any]:
    return {"content": [{"token": "t", "logprob": one} for one in found]}


def completion(*choices: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"object": "chat.completion", "choices": list(choices), **more}).encode()


def events(*values: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values) + b"data: [DONE]\n\n"


def test_a_completion() -> None:
    said = read(JSON, completion({"index": 0, "message": {}, "logprobs": tokens(-0.1, -2)}, usage={"total_tokens": 3}))
    assert logprobs(said) == [-0.1, -2]
    bare = json.loads(written(without_logprobs(said)))
    assert bare == {"object": "chat.completion", "choices": [{"index": 0, "message": {}}], "usage": {"total_tokens": 3}}


def test_every_choice_counts() -> None:
    choices = [{"index": n, "logprobs": tokens(-n - 1.0)} for n in range(3)]
    assert logprobs(read(JSON, completion(*choices))) == [-1, -2, -3]


def test_a_stream_is_one_answer() -> None:
    chunks = [{"choices": [{"delta": {"content": "a"}, "logprobs": tokens(-0.5)}]}, {"choices": [], "usage": {}}]
    said = read(STREAM, b": a comment\n\n" + events(*chunks))
    assert logprobs(said) == [-0.5]
    again = written(without_logprobs(said))
    assert again == events({"choices": [{"delta": {"content": "a"}}]}, {"choices": [], "usage": {}}).replace(
        b": ", b":"
    ).replace(b", ", b",").replace(b"data:", b"data: ")


def test_a_stream_that_was_not_ended_is_not_ended_by_us() -> None:
    cut = events({"choices": [{"logprobs": tokens(-1)}]}).removesuffix(b"data: [DONE]\n\n")
    assert b"[DONE]" not in written(without_logprobs(read(STREAM, cut)))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b"{}"),
        (JSON, b'{"choices": {}}'),
        (JSON, b'\xff{"choices": []}'),
        (STREAM, b""),
        (STREAM, b"data: [DONE]\n\n"),
        (STREAM, b"data: {\n\n"),
        (STREAM, b'data: {"error": {}}\n\n'),
        ("", b"data: {}\n\n"),
    ],
)
def test_what_is_no_answer_is_said_so(kind: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        read(kind, body)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"logprobs": None},
        {"logprobs": []},
        {"logprobs": {"content": None}},
        {"logprobs": {"content": []}},
        {"logprobs": {"content": ["t"]}},
        {"logprobs": {"content": [{"token": "t"}]}},
        {"logprobs": {"content": [{"logprob": "-1"}]}},
        {"logprobs": {"content": [{"logprob": True}]}},
        {"logprobs": {"content": [{"logprob": 0.5}]}},
        {"logprobs": {"content": [{"logprob": None}]}},
    ],
)
def test_what_says_nothing_of_its_tokens_is_said_so(choice: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        logprobs(read(JSON, completion(choice)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "logprobs", "content", "logprob", "delta", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from([JSON, STREAM, ""]), st.binary(max_size=200) | _JSON.map(lambda v: json.dumps(v).encode()))
def test_no_bytes_do_more_than_say_so(kind: str, body: bytes) -> None:
    for said in (body, b"data: " + body + b"\n\n"):
        try:
            found = read(kind, said)
            assert all(math.isfinite(one) and one <= 0 for one in logprobs(found))
        except Unreadable:
            continue
        assert b"logprobs" not in written(without_logprobs(found)) or b'"logprobs"' in said


@given(_JSON)
def test_nothing_but_the_probabilities_is_lost(value: Any) -> None:
    whole = {"choices": [{"message": value, "index": 0}], "usage": value}
    said = read(JSON, json.dumps({**whole, "choices": [{**whole["choices"][0], "logprobs": tokens(-1)}]}).encode())
    assert json.loads(written(without_logprobs(said))) == whole
