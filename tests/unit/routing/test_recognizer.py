"""What recognizers are sent, and what of their answers counts."""

import json
from typing import Any

import pytest

from smallmodel_operator.routing import declared
from smallmodel_operator.routing.detect import decide as detect
from smallmodel_operator.routing.detect.recognizer import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_FINDINGS,
    Recognizer,
    Unusable,
    found,
    question,
)

NER = Recognizer("ner", ("Names",), service="presidio", entities=("PERSON",), min_score=0.5)
NURSE = Recognizer("nurse", ("Phi", "Names"), model="nurse")
TEXT = "Maria called."
PERSON = {"analysis_explanation": None, "entity_type": "PERSON", "start": 0, "end": 5, "score": 0.85}


def said(*findings: dict[str, Any]) -> bytes:
    return json.dumps(findings).encode()


def chosen(content: Any = '{"found": false}', reason: str = "stop", **message: Any) -> bytes:
    return json.dumps(
        {"choices": [{"finish_reason": reason, "message": {"content": content, **message}}], "usage": {}}
    ).encode()


def test_an_analyzer_is_asked_as_presidio_wants_it() -> None:
    assert json.loads(question(NER, TEXT)) == {"text": TEXT, "language": "en", "entities": ["PERSON"]}
    plain = Recognizer("all", ("Phi",), service="presidio", language="de")
    assert json.loads(question(plain, TEXT)) == {"text": TEXT, "language": "de"}


def test_a_model_is_asked_by_one_prompt_with_a_schema() -> None:
    asked = json.loads(question(NURSE, TEXT))
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"] == TEXT
    assert "health data" in asked["messages"][0]["content"]
    assert "names of persons" in asked["messages"][0]["content"]
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["found"]
    assert (asked["model"], asked["temperature"], asked["stream"]) == ("nurse", 0, False)


def test_a_text_that_is_too_long_is_not_sent() -> None:
    question(NER, "x" * MOST_CHARACTERS)
    with pytest.raises(Unusable, match=r"^RecognizerTooLarge$"):
        question(NER, "x" * (MOST_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("findings", "counts"),
    [
        ((), False),
        ((PERSON,), True),
        (({**PERSON, "score": 0.49},), False),
        (({**PERSON, "score": 0.5},), True),
        (({**PERSON, "score": 1},), True),
        (({**PERSON, "score": 0.1}, PERSON), True),
        (({**PERSON, "entity_type": "MEDICAL_LICENSE"},), True),
    ],
)
def test_what_an_analyzer_is_sure_enough_of_counts(findings: tuple[dict[str, Any], ...], counts: bool) -> None:
    assert found(NER, TEXT, said(*findings)) is counts


def test_with_a_score_of_0_everything_counts() -> None:
    assert found(Recognizer("a", ("Phi",), service="a", min_score=0.0), TEXT, said({**PERSON, "score": 0.0}))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"{}",
        b"[[]]",
        b'{"error": "No text provided"}',
        b"[] []",
        b"\xff",
        b"[" * 100_000,
        b"[" + b" " * MOST_BYTES + b"]",
        said({**PERSON, "score": 0.1}, {}),
        *(
            said({**PERSON, **wrong})
            for wrong in (
                {"entity_type": "Maria called"}, {"entity_type": ""}, {"entity_type": None}, {"start": -1},
                {"start": 5}, {"start": True}, {"start": 0.0}, {"end": 14}, {"end": "5"}, {"score": "0.9"},
                {"score": None}, {"score": 1.01}, {"score": -0.1}, {"score": False},
            )
        ),
        said(PERSON).replace(b"0.85", b"NaN"),
        said({**PERSON, "score": 0.1}).replace(b'"score"', b'"score": 0.9, "score"'),
        said(*[{**PERSON, "score": 0.1}] * (MOST_FINDINGS + 1)),
        said({**PERSON, "score": 0.1}).replace(b"0.1", b"1e999"),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_an_analyzer_is_none(answer: bytes) -> None:
    with pytest.raises(Unusable, match=r"^Recognizer"):
        found(NER, TEXT, answer)


def test_a_models_word_counts() -> None:
    assert found(NURSE, TEXT, chosen('{"found": true}'))
    assert not found(NURSE, TEXT, chosen(' {"found":false}\n'))


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"[]",
        b'{"choices": []}',
        json.dumps({"choices": json.loads(chosen())["choices"] * 2}).encode(),
        chosen(reason="length"),
        chosen(tool_calls=[{}]),
        *map(chosen, ("", "false", "No.", '{"found": 0}', '{"found": "false"}', '{"found": null}', "{}", None, 1)),
        chosen('{"found": false, "why": "I was told"}'),
        chosen('{"found": true, "found": false}'),
        chosen('{"found": false} or not'),
    ],
)
def test_what_is_no_answer_of_a_model_is_none(answer: bytes) -> None:
    with pytest.raises(Unusable, match=r"^RecognizerFailed$"):
        found(NURSE, TEXT, answer)


def test_nothing_of_an_answer_is_told() -> None:
    with pytest.raises(Unusable) as caught:
        found(NER, TEXT, said({**PERSON, "entity_type": TEXT}))
    assert caught.value.__suppress_context__
    assert TEXT not in repr(caught.value)


# -- what they are asked about ---------------------------------------------------------------------------------------


def asked(content: Any) -> str:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    return detect.to_recognize(body, detect.compiled(detect.Policy()))


def test_they_see_what_patterns_see() -> None:
    assert "Maria" in asked("\uff2da\u200bria")
    assert "Maria Heron lives here" in asked("see TWFyaWEgSGVyb24gbGl2ZXMgaGVyZQ== there")
    parts = [{"type": "text", "text": "Mar"}, {"type": "text", "text": "ia"}]
    assert "Maria" in asked(parts)
    assert "\x00" not in asked("a\x00b")


def test_a_detector_with_a_recognizer_keeps_nothing_by_itself() -> None:
    rules = detect.compiled(detect.Policy(("Phi", "Names"), recognized=("Names",)))
    assert rules.missing == ("Phi",)


def test_they_are_read_as_declared() -> None:
    entries = [
        {"name": "ner", "detectors": ["Names"], "timeoutMilliseconds": 900,
         "service": {"name": "presidio", "language": "de", "entities": ["PERSON"], "minScore": "0.35"}},
        {"name": "nurse", "detectors": ["Phi"], "smallModelRef": {"name": "nurse"}},
        {"name": "short", "detectors": ["Phi"], "service": {"name": "a"}},
    ]  # fmt: skip
    boundary = declared.boundary("support", "desk", {"boundary": {"recognizers": entries}})
    assert boundary.recognizers == (
        Recognizer("ner", ("Names",), "presidio", "", "de", ("PERSON",), 0.35, 900),
        Recognizer("nurse", ("Phi",), "", "nurse"),
        Recognizer("short", ("Phi",), "a"),
    )
    assert boundary.recognized == ("Names", "Phi")
