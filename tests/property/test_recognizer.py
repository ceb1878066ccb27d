"""Whatever a recognizer answers, only an answer that says that it found nothing lets a request out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.decide.test_recognizers import deciding
from tests.unit.gateway.decide.test_service import Chain, call, target

from smallmodel_operator.routing.detect.decide import Reason
from smallmodel_operator.routing.detect.recognizer import Recognizer, Unusable, found

NER = Recognizer("ner", ("Names",), service="presidio", min_score=0.5)
NURSE = Recognizer("nurse", ("Phi",), model="nurse")
TEXT = "Maria called."
odd = st.none() | st.booleans() | st.integers(-3, 20) | st.floats() | st.text(max_size=8) | st.just("PERSON")
junk: st.SearchStrategy[Any] = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
findings = st.fixed_dictionaries({name: odd for name in ("entity_type", "start", "end", "score")})
answers = st.binary(max_size=64) | (junk | st.lists(findings | junk, max_size=3)).map(lambda v: json.dumps(v).encode())
choices = st.fixed_dictionaries(
    {"finish_reason": st.sampled_from(["stop", "length", None]), "message": st.dictionaries(st.just("content"), odd)}
)
chats = answers | st.lists(choices | junk, max_size=2).map(lambda c: json.dumps({"choices": c}).encode())


def says_nothing(one: Recognizer, answer: bytes) -> bool:
    try:
        return not found(one, TEXT, answer)
    except Unusable:
        return False


def may(item: Any) -> bool:
    """Written otherwise than what is tested: is this a finding of Presidio's that does not count?"""
    score, start, end = item["score"], item["start"], item["end"]
    return bool(item["entity_type"].isascii() and 0 <= start < end <= len(TEXT) and 0 <= score < 0.5)


@given(answers)
def test_only_lists_of_weak_findings_say_nothing(answer: bytes) -> None:
    if says_nothing(NER, answer):
        assert all(may(item) for item in json.loads(answer))


@given(chats)
def test_only_one_word_of_a_model_says_nothing(answer: bytes) -> None:
    if says_nothing(NURSE, answer):
        [choice] = json.loads(answer)["choices"]
        assert json.loads(choice["message"]["content"]) == {"found": False}


@given(st.lists(answers, min_size=1, max_size=3))
async def test_what_they_do_not_agree_to_never_leaves(said: list[bytes]) -> None:
    async def asked(namespace: str, wanted: object, text: str) -> tuple[Reason, ...]:
        return tuple(Reason("x") for answer in said if not says_nothing(NER, answer))

    went = target(await deciding(asked, Chain()).decide(call("Hello")))
    assert (went == "cloud") == all(says_nothing(NER, answer) for answer in said)


@pytest.mark.parametrize("answer", [b"[]", b" [ ] "])
def test_an_empty_list_says_nothing(answer: bytes) -> None:
    assert says_nothing(NER, answer)
