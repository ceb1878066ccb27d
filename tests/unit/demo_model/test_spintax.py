"""The phrase grammar picks what it should and names what it cannot read."""

from __future__ import annotations

import random

import pytest
from hack.demo_model.spintax import GrammarError, parse


def all_of(text: str) -> set[str]:
    phrase, rng = parse(text, {}), random.Random(0)
    return {phrase.sample(rng) for _ in range(400)}


def test_alternatives_nest() -> None:
    assert all_of("{a|b{c|d}} e") == {"a e", "bc e", "bd e"}


def test_brackets_are_optional() -> None:
    assert all_of("x[y|z]") == {"x", "xy", "xz"}


def test_slots_are_filled() -> None:
    slots = {"fruit": parse("{apple|pear}", {}).parts[0]}
    phrase = parse("one $fruit", slots)  # type: ignore[arg-type]
    assert {phrase.sample(random.Random(i)) for i in range(50)} == {"one apple", "one pear"}


def test_size_counts_the_choices() -> None:
    assert parse("{a|b} {c|d|e|f}", {}).log2_size() == pytest.approx(3.0)


@pytest.mark.parametrize(("text", "message"), [
    ("{a|b", "missing '}'"), ("a]", "unexpected ']'"), ("$nothing", "unknown slot"), ("[a}", "missing ']'"),
])  # fmt: skip
def test_broken_phrases_are_named(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message.replace("$", r"\$").replace("]", r"\]")):
        parse(text, {})
