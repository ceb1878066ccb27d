"""The most tokens a request may use: a bound for each form of request, never less than what is asked for."""

import json
from typing import Any

import pytest

from smallmodel_operator.budget.worst import LARGEST, TEMPLATE_TOKENS, Bound, bound, tokens

CHAT, TEXT, EMBED, RERANK = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"
CONTEXT = 4096


def most(path: str = CHAT, context: int = CONTEXT, **body: Any) -> int | None:
    return tokens(path, json.dumps(body).encode(), context)


def length(**body: Any) -> int:
    return len(json.dumps(body)) + TEMPLATE_TOKENS


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"])
def test_a_prompt_has_no_more_tokens_than_bytes_and_the_answer_no_more_than_is_asked(key: str) -> None:
    assert most(messages=[], **{key: 50}) == length(messages=[], **{key: 50}) + 50


def test_of_two_that_say_how_much_the_larger_one_counts() -> None:
    both = {"max_tokens": 5, "n_predict": 900}
    assert most(**both) == length(**both) + 900


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"max_tokens": None},
        {"max_tokens": -1},
        {"max_tokens": "5"},
        {"n_predict": 1e3},
        {"max_tokens": True},
        {"max_tokens": 10**9},
        {"max_tokens": 5, "n_predict": -1},
    ],
)
def test_who_does_not_say_may_use_the_whole_context(said: dict[str, Any]) -> None:
    assert most(messages=[], **said) == CONTEXT


def test_a_long_prompt_fills_the_context() -> None:
    assert most(messages=["x" * 10_000], max_tokens=1) == CONTEXT


@pytest.mark.parametrize("said", [{"n": 3}, {"best_of": 3, "n": 2}, {"n_cmpl": 3}])
def test_each_answer_counts(said: dict[str, int]) -> None:
    assert most(messages=[], **said) == 3 * CONTEXT


@pytest.mark.parametrize(
    ("prompt", "times"), [("one", 1), (["a", "b"], 2), ([[1, 2], [3]], 2), ([1, 2, 3], 1), ([], 1)]
)
def test_each_prompt_counts(prompt: Any, times: int) -> None:
    assert most(TEXT, prompt=prompt) == times * CONTEXT
    assert most(TEXT, prompt=prompt, n=2) == 2 * times * CONTEXT


def test_what_is_only_read_counts_by_its_bytes() -> None:
    assert most(EMBED, input=["x" * 9000] * 3) == length(input=["x" * 9000] * 3)
    assert most(f"{EMBED}?a=1", input="x") == length(input="x")
    documents = {"query": "q", "documents": ["a", "b", "c"]}
    assert most(RERANK, **documents) == 3 * length(**documents)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"n":1e999}'])
def test_what_cannot_be_read_cannot_be_said(body: bytes) -> None:
    assert tokens(CHAT, body, CONTEXT) is None


def test_where_no_context_is_known_the_request_has_to_say() -> None:
    assert tokens(CHAT, b"{}", None) is None
    assert tokens(CHAT, b'{"max_tokens":null}', None) is None
    assert tokens(CHAT, b'{"max_tokens":7}', None) == 16 + TEMPLATE_TOKENS + 7
    assert tokens(EMBED, b'{"input":"x"}', None) == 13 + TEMPLATE_TOKENS


def test_there_is_a_largest_number() -> None:
    assert most(messages=[], n=2**60) == LARGEST


@pytest.mark.parametrize("times", [-5, "3", 3.0, True, [3]])
def test_a_number_of_answers_that_is_none_cannot_be_counted(times: Any) -> None:
    """Another server may take it for one."""
    assert most(messages=[], max_tokens=5, n=times) is None
    assert bound(CHAT, json.dumps({"max_tokens": 5, "best_of": times}).encode()) is None
    assert most(messages=[], max_tokens=5, n=None) == length(messages=[], max_tokens=5, n=None) + 5


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (CHAT, {"max_tokens", "max_completion_tokens"}),
        (TEXT, {"max_tokens"}),
        ("/v1/responses", {"max_output_tokens"}),
        ("/v1/audio/speech", set()),
    ],
)
def test_outside_only_what_is_read_there_bounds_anything(path: str, words: set[str]) -> None:
    """What the target does not know is ignored there, and it generates as much as it likes."""
    for word in ("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"):
        body = json.dumps({word: 7}).encode()
        known = word in words
        assert bound(path, body) == (Bound(len(body) + TEMPLATE_TOKENS, 7) if known else None), word
        assert tokens(path, body, None) == (len(body) + TEMPLATE_TOKENS + 7 if known else None), word
    both = json.dumps({word: 7 for word in words} | {"n_predict": 900}).encode()
    assert bound(path, both) == (Bound(len(both) + TEMPLATE_TOKENS, 7) if words else None)


def test_prompts_and_answers_are_bounded_apart() -> None:
    def said(path: str = CHAT, **body: Any) -> Bound | None:
        return bound(path, json.dumps(body).encode())

    assert said(messages=[], max_tokens=50, n=3) == Bound(3 * length(messages=[], max_tokens=50, n=3), 150)
    assert said(messages=[]) is None, "nobody says how much"
    assert said(EMBED, input="x") == Bound(length(input="x"), 0)
    assert said(max_tokens=10**15) == Bound(length(max_tokens=10**15), LARGEST)
    assert bound(CHAT, b"[]") is None
    assert bound(CHAT, b'{"max_tokens":') is None
