"""No form of a conversation gets a tool past its route that is not allowed; and what is allowed passes.

Two oracles that know nothing of the code: how each conversation was made says what must become of it; and a careless
reader (keys in any letters, the first or the last of equal ones) finds no name in what was accepted but those allowed.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.conversations import ALLOWED, CHAT, EVIL, call, clean, made, mutated, tool, written

from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.tools.check import Bounds, Refusal, check
from smallmodel_operator.routing.tools.conversation import Conversation

ALLOW = Bounds(frozenset(ALLOWED))
PIECES = (b"", b'"', b"{", b"}", b",", b":", b"\\u0074", b"T", b"\x00", b"[", b"]")
OWN = ("parameters", "schema", "metadata", "arguments", "description", "content")
"""Where a careless reader, too, looks for no tools."""


def names(value: Any, near: bool = False) -> Iterator[Any]:
    """What a careless reader takes for names of tools."""
    if isinstance(value, list):
        for inner in value:
            yield from names(inner, near)
    elif isinstance(value, dict):
        for key, inner in value.items():
            plain = "".join(c for c in unicodedata.normalize("NFKC", key).casefold() if c.isalnum())
            if plain == "name" and near:
                yield inner
            elif plain not in OWN and plain not in ("responseformat",):
                yield from names(inner, near or "tool" in plain or "function" in plain)


def readers(body: bytes) -> Iterator[Any]:
    yield json.loads(body)
    yield json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def test_no_forbidden_tool_is_accepted_in_ten_thousand_mutated_conversations() -> None:
    random = Random(8)
    for number in range(10_000):
        request = mutated(random)
        found = check(ALLOW, request)
        assert isinstance(found, Refusal), (number, request.path, request.body)
        assert found.status in (400, 403)
        assert EVIL not in found.field


def test_what_is_allowed_passes() -> None:
    random = Random(9)
    for number in range(2_000):
        request = made(random)
        found = check(ALLOW, request)
        assert isinstance(found, Conversation), (number, found, request.body)
        for reading in readers(request.body):
            assert set(names(reading)) <= {*ALLOWED}


@given(st.randoms(use_true_random=False), st.data())
def test_bytes_that_are_changed_are_refused_or_harmless(random: Random, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([made, mutated]))(random).body)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(at, min(at + 8, len(body))))
        body[at:end] = data.draw(st.sampled_from(PIECES))
    found = check(ALLOW, Request(CHAT, bytes(body)))
    if isinstance(found, Conversation):
        for reading in readers(bytes(body)):
            assert set(names(reading)) <= {*ALLOWED}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(EVIL),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["tools", "name", "type", "function", "messages", "role", "tool_calls", "x"]),
                        inner, max_size=4), max_leaves=15))  # fmt: skip
def test_any_json_is_refused_or_harmless(value: Any) -> None:
    found = check(ALLOW, Request(CHAT, json.dumps(value).encode()))
    if isinstance(found, Conversation):
        assert set(names(value)) <= {*ALLOWED}


@given(st.randoms(use_true_random=False), st.integers(0, 6))
def test_calls_are_counted_whatever_they_look_like(random: Random, most: int) -> None:
    body = clean(random)
    calls = sum(len(m.get("tool_calls") or ()) for m in body["messages"])
    found = check(replace(ALLOW, most_calls=most), Request(CHAT, written(random, body)))
    assert isinstance(found, Refusal) == (calls > most)
    if isinstance(found, Conversation):
        assert len(found.calls) == calls


@given(st.randoms(use_true_random=False), st.integers(1, 2_000))
def test_length_is_counted_in_the_bytes_that_come(random: Random, most: int) -> None:
    request = made(random)
    found = check(Bounds(most_tokens=most), request)
    assert isinstance(found, Refusal) == (len(request.body) > 4 * most)


def test_a_tool_offered_under_many_names_is_one_of_them() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "tools": [tool("Add2")], "tool_choice": tool("Add2")}
    found = check(ALLOW, Request(CHAT, json.dumps(body).encode()))
    assert isinstance(found, Conversation)
    assert ([one.name for one in found.offered], found.chosen, found.named) == (["Add2"], "Add2", True)
    body["messages"] = [{"role": "assistant", "tool_calls": [call("Add2", 1, '{"a": 1}')]}]
    found = check(ALLOW, Request(CHAT, json.dumps(body).encode()))
    assert isinstance(found, Conversation)
    assert [(one.name, one.arguments) for one in found.calls] == [("Add2", '{"a": 1}')]
