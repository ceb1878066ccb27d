"""Requests whose answers are judged: whose they are, who is asked next, what is recorded, and that a first answer is
not lost."""

import json
import logging
import math
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.clock import Clock
from tests.fakes.deciding import labels
from tests.unit.gateway.decide.test_service import SECRET, Chain, call

from smallmodel_operator.gateway.decide import kept
from smallmodel_operator.gateway.decide.answer import Answer, Withheld, refusal
from smallmodel_operator.gateway.decide.kept import AllKept, Doubt, Kept
from smallmodel_operator.gateway.decide.service import Call, Deciding, NotRecorded, Route
from smallmodel_operator.gateway.decide.turns import Turns
from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.policy import (
    Boundary,
    Confidence,
    Escalate,
    External,
    Measure,
    RoutePolicy,
    Target,
    compiled,
)
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Can, Decision, decide

KIND = "application/json"
TARGETS = (Target("small", "support/bot"), Target("large", "support/llm"), Target("cloud", "big-1", inside=False))
OPEN = Boundary(External.WHEN_CLEAN, deny_terms=("project nightingale",))


def policy(*order: str, below: float = 0.8, percent: float = 100.0, measure: Measure = Measure.MEAN) -> RoutePolicy:
    escalation = Escalate(order, 0.0, "", most_percent=percent, confidence=Confidence(below, measure))
    return RoutePolicy("support", "assistant", TARGETS, "small", boundary=OPEN, escalation=escalation)


def route(*order: str, **more: Any) -> Route:
    ready = compiled(policy(*order or ("large",), **more), {})
    return Route(ready, {target.name: Can() for target in TARGETS}, turns=Turns.of(ready, None))


def deciding(found: Route | None = None, record: Any = None, **more: Any) -> Deciding:
    where = found or route()

    def sign(asked: Call, decision: Decision) -> str:
        return "signed" if decision.target and not decision.target.inside else ""

    return Deciding(lambda name: where, labels, record or Chain(), sign=sign, **more)


def said(*probable: float) -> bytes:
    tokens = [{"token": "t", "logprob": math.log(one)} for one in probable]
    choice = {"index": 0, "message": {"content": "first"}, "logprobs": {"content": tokens}}
    return json.dumps({"choices": [choice]}).encode()


async def first(service: Deciding, **more: Any) -> str:
    """The token of a request that was asked at the inner door."""
    asked = call(**more)
    assert (await service.decide(asked)).headers == {"x-slm-judged": "1"}
    answer, whose = await service.judging.attempt("id-1", asked.request.body)
    assert (answer.status, answer.headers["x-slm-target"], whose is not None) == (200, "small", True)
    assert answer.headers["x-slm-ask"] == '"logprobs":true'
    how, token = answer.headers["x-slm-judge"].split(" ")
    assert how == "answer"
    return token


async def again(service: Deciding, **more: Any) -> Answer:
    return (await service.judging.attempt("id-1", call(**more).request.body))[0]


async def test_nothing_is_counted_or_recorded_before_somebody_is_asked() -> None:
    chain = Chain()
    service = deciding(record=chain)
    await service.decide(call())
    assert chain.records == []
    await service.judging.attempt("id-1", call().request.body)
    (record,) = chain.records
    assert (record["slm.decision"], record["slm.decision.judged"]) == ("Default", "Confidence")


async def test_sure_enough_goes_to_its_caller_and_is_forgotten() -> None:
    service = deciding()
    token = await first(service)
    found = await service.judging.judge(token, KIND, said(0.9, 0.8))
    assert found is not None
    assert (found.doubt, dict(found.headers)) == (False, {})
    assert json.loads(found.body) == {"choices": [{"index": 0, "message": {"content": "first"}}]}
    assert len(service.judging.kept) == 0
    assert await service.judging.judge(token, KIND, said(0.9)) is None


async def test_doubted_goes_to_the_larger_and_its_record_says_why() -> None:
    chain = Chain()
    service = deciding(record=chain)
    found = await service.judging.judge(await first(service), KIND, said(0.2))
    assert found is not None
    assert (found.doubt, found.body) == (True, b"")
    answer = await again(service)
    assert answer.headers["x-slm-target"] == "large"
    assert answer.headers["x-slm-escalated"] == "confidence;score=0.2000;threshold=0.8000"
    assert answer.headers["x-slm-judge"].startswith("error ")
    assert "x-slm-ask" not in answer.headers
    _, second = chain.records
    assert (second["slm.decision"], second["slm.decision.confidence"]) == ("Confidence", "0.2000")
    assert SECRET not in repr(chain.records)


async def test_at_the_third_time_the_first_answer_is_given_once() -> None:
    service = deciding()
    await service.judging.judge(await first(service), KIND, said(0.2))
    await again(service)
    answer = await again(service)
    assert (answer.status, answer.headers["x-slm-degraded"]) == (203, "escalation-failing")
    assert json.loads(answer.body)["choices"][0] == {"index": 0, "message": {"content": "first"}}
    assert (await again(service)).status == 503


async def test_the_outside_is_asked_only_with_what_may_leave() -> None:
    outside = route("cloud")
    for text, goes in (("hello", True), ("project nightingale", False)):
        service, asked = deciding(outside), replace(call(text), caller="labelled")
        answer = await service.decide(asked)
        assert ("x-slm-judged" in answer.headers) == goes, "nobody else may: nothing is judged"
        if not goes:
            assert (answer.headers["x-slm-target"], "x-slm-pass" in answer.headers) == ("small", False)
            continue
        token = (await service.judging.attempt("id-1", asked.request.body))[0].headers["x-slm-judge"].split(" ")[1]
        await service.judging.judge(token, KIND, said(0.2))
        found, _ = await service.judging.attempt("id-1", asked.request.body)
        assert (found.headers["x-slm-target"], found.headers["x-slm-pass"]) == ("cloud", "signed")
        assert "x-slm-instead" not in found.headers, "what fails there is answered by what was said first"


async def test_a_recognizer_that_finds_something_keeps_the_second_attempt_inside() -> None:
    service = deciding(route("cloud", "large"))
    asked = replace(call(), caller="labelled")
    await service.decide(asked)
    token = (await service.judging.attempt("id-1", asked.request.body))[0].headers["x-slm-judge"].split(" ")[1]
    await service.judging.judge(token, KIND, said(0.2))

    async def may(where: Route, of: Any, decision: Any) -> bool:
        return decision.target is not None and decision.target.inside

    service.may = may  # type: ignore[method-assign]
    found, _ = await service.judging.attempt("id-1", asked.request.body)
    assert (found.headers["x-slm-target"], "x-slm-pass" in found.headers) == ("large", False)


async def test_another_id_other_bytes_or_a_restart_are_nobodys() -> None:
    service = deciding()
    asked = call()
    await service.decide(asked)
    for request, body in (("id-2", asked.request.body), ("id-1", asked.request.body + b" ")):
        answer, whose = await service.judging.attempt(request, body)
        assert (answer.status, whose) == (503, None)
    assert (await deciding().judging.attempt("id-1", asked.request.body))[0].status == 503
    assert await deciding().judging.judge("00", KIND, said(0.5)) is None


async def test_the_second_of_one_id_and_the_same_bytes_is_answered_without_a_judge() -> None:
    service = deciding()
    await service.decide(call())
    assert (await service.decide(call())).headers["x-slm-target"] == "small"


async def test_what_is_refused_at_the_first_attempt_is_over() -> None:
    async def withhold(*_: Any) -> Withheld:
        return Withheld(refusal(429, "budget", "No more.", "over"), {})

    service = deciding(withhold=withhold)
    await service.decide(call())
    answer, _ = await service.judging.attempt("id-1", call().request.body)
    assert (answer.status, len(service.judging.kept)) == (429, 0)


async def test_what_is_refused_at_the_second_is_answered_with_the_first() -> None:
    async def withhold(asked: Any, decision: Any) -> Withheld | None:
        if decision.target.name == "small":
            return None
        return Withheld(refusal(429, "budget", "No more.", "over"), {})

    service = deciding(withhold=withhold)
    await service.judging.judge(await first(service), KIND, said(0.2))
    answer = await again(service)
    assert (answer.status, answer.headers["x-slm-degraded"]) == (203, "escalation-refused")


@pytest.mark.parametrize("strict", [True, False])
async def test_a_second_decision_without_a_record_does_not_leave(strict: bool) -> None:
    chain = Chain()
    service = deciding(route("cloud"), chain, strict=strict)
    asked = replace(call(), caller="labelled")
    await service.decide(asked)
    token = (await service.judging.attempt("id-1", asked.request.body))[0].headers["x-slm-judge"].split(" ")[1]
    await service.judging.judge(token, KIND, said(0.2))
    chain._fails.append(NotRecorded("full"))
    answer, _ = await service.judging.attempt("id-1", asked.request.body)
    assert (answer.status, answer.headers["x-slm-degraded"]) == (203, "escalation-refused")
    assert "x-slm-pass" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"{", b'{"choices": []}', said(0.5)[:-5]])
async def test_what_cannot_be_judged_is_given_as_it_is(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    service = deciding()
    with caplog.at_level(logging.INFO):
        found = await service.judging.judge(await first(service), KIND, body)
    assert found is not None
    assert (found.body, dict(found.headers), found.doubt) == (body, {"x-slm-degraded": "unjudged"}, False)
    assert "first" not in caplog.text


async def test_an_attempt_that_crashes_is_refused_and_quotes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    service = deciding()
    await service.decide(call())

    async def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError(SECRET)

    service.effect = crash  # type: ignore[method-assign]
    answer, whose = await service.judging.attempt("id-1", call().request.body)
    assert (answer.status, whose) == (503, None)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"path": f"/v1/{path}"} for path in ("embeddings", "completions", "responses")]
    + [{"adapter": "hr"}, {"named": "small"}, {"whole": False}],
)
async def test_which_requests_are_not_judged(change: dict[str, Any]) -> None:
    asked = call()
    answer = await deciding().decide(replace(asked, request=replace(asked.request, **change)))
    assert "x-slm-judged" not in answer.headers


def entry(number: int) -> Kept:
    ready = route().ready
    asked = replace(call(), id=f"id-{number}")
    decision = decide(ready, asked.request, (), {"small": Can()}, Clock(), None)
    return Kept(asked, decision, Conversation(), ("large",), asks=False)


def test_only_so_many_are_kept_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    clock = Clock()
    found = AllKept(clock)
    for number in range(5):
        assert found.keep(entry(number))
    assert len(found) == 3
    assert found.again("id-0", call().request.body) is None
    clock.forward(kept.SECONDS + 1)
    assert found.keep(entry(9))
    assert len(found) == 1


def test_only_so_many_bytes_of_answers_are_kept_the_latest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_ANSWERS", 100)
    found = AllKept(Clock())
    ones = []
    for number in range(3):
        assert found.keep(entry(number))
        one = found.again(f"id-{number}", call().request.body)
        assert one is not None
        found.doubted(one, Doubt(("large",), 0.1, Turn(escalate=True, threshold=0.2), KIND, b"x" * 60))
        ones.append(one)
    assert [len(one.doubt.answer) for one in ones if one.doubt] == [0, 0, 60]
    for one in ones:
        found.forget(one)
    assert (len(found), found._answers, found._tokens) == (0, 0, {})


def test_a_policy_without_it_has_the_hash_it_had() -> None:
    plain = replace(policy("large"), escalation=Escalate(("large",), 0.0, "", on_unavailable=True))
    assert plain.escalation is not None
    assert "confidence" not in plain.said()["escalation"]
    assert policy("large").hash() != policy("large", below=0.7).hash() != plain.hash()
