"""Doubted answers whose larger model is outside, through both real Envoys: what may leave is asked there, what must
stay never is, and what fails there is answered by what was said first."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.gateway import outward as outwards
from tests.gateway.outward import LABELLED, MODEL, SAYING, Outward, outward
from tests.gateway.outward import route as leading
from tests.gateway.running import Answer
from tests.gateway.test_instead import FAILURES
from tests.gateway.test_judged import told

from smallmodel_operator.audit.leaving import Leaving
from smallmodel_operator.gateway.routed import Choice, Escalation
from smallmodel_operator.routing.policy import Confidence

IBAN = "DE89 3704 0044 0532 0130 00"
JUDGED = Choice((), "small", escalation=Escalation(("cloud",), most_percent=100.0, confidence=Confidence(0.8)))
UNSURE: dict[str, Any] = {"fake_sure": {"bot": 0.3}}


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outwards, "ROUTES", (leading("desk", JUDGED),))
        with outward(tmp_path_factory.mktemp("j")) as running:
            yield running


@pytest.fixture(autouse=True)
def forget(way: Outward) -> None:
    way.outside.does.clear()
    way.rested()
    way.forget()


def first(answer: Answer, why: str) -> None:
    assert (answer.status, told(answer)) == (200, {"x-slm-degraded": why})
    assert answer.json["choices"][0]["message"]["content"] == "t0t1t2"


def test_a_doubted_answer_is_asked_for_outside_once_with_the_callers_words(way: Outward) -> None:
    answer = way.ask(**UNSURE)
    assert told(answer) == {"x-slm-escalated": "confidence;score=0.3000;threshold=0.8000"}
    assert (len(way.bot.asked), len(way.outside.asked)) == (1, 1)
    body = json.loads(way.outside.asked[0].body)
    assert body == {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **UNSURE}
    before, after = way.records
    assert (before["slm.decision.target"], after["slm.decision.target"]) == ("small", "cloud")
    assert (after["slm.decision"], after["slm.decision.boundary"]) == ("Confidence", "MayLeave")


def test_what_is_sure_of_itself_does_not_leave(way: Outward) -> None:
    assert way.ask(fake_sure={"bot": 0.9}).status == 200
    assert (way.outside.bytes, len(way.bot.asked)) == (0, 1)


@pytest.mark.parametrize(
    ("key", "said"),
    [(LABELLED, f"pay to {IBAN}"), (LABELLED, "TICKET-123456"), (SAYING, "Hello")],
)
def test_what_must_stay_never_leaves_however_doubtful(way: Outward, key: str, said: str) -> None:
    answer = way.ask(said, key=key, **UNSURE)
    assert (answer.status, way.outside.bytes, way.outside.asked) == (200, 0, [])
    assert "x-slm-escalated" not in answer.headers


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_outside_is_answered_by_what_was_said_first(way: Outward, kind: str) -> None:
    way.outside.does |= FAILURES[kind]
    first(way.ask(**UNSURE), "escalation-failing")
    assert (len(way.bot.asked), len(way.outside.asked)) == (1, 1)


def test_while_nobody_takes_connections_outside(way: Outward) -> None:
    with way.outside.refusing():
        first(way.ask(**UNSURE), "escalation-failing")


def test_every_witness_of_what_left_agrees(way: Outward) -> None:
    for does in (*FAILURES.values(), {}):
        way.outside.does.clear()
        way.outside.does |= does
        way.rested()
        assert way.ask(**UNSURE).status == 200
    requests = {record["request.id"] for record in way.records}
    way.gateway._eventually(lambda: sum(one["request.id"] in requests for one in way.gateway.log()) == 19, "all lines")
    assert sum(line["slm.route"] is None for line in way.gateway.log() if line["request.id"] in requests) == 4
    leaving = Leaving()
    for record in way.records:
        leaving.decided(record)
    for line in way.gateway.log():
        record = {name: value for name, value in line.items() if value is not None}  # as the chain has it
        leaving.answered(record, line["request.id"] in requests)
    for line in way.egress.log():
        leaving.sent(line, line.get("request.id") in requests)
    said = leaving.statement()
    assert (said["unmatched"], said["egress"]["sent"]) == (0, 5), said


def test_under_load_nothing_sensitive_leaves_and_everybody_has_an_answer(way: Outward) -> None:
    def one(number: int) -> tuple[int, str]:
        said = f"pay {number} to {IBAN}" if number % 2 else f"Hello {number}"
        return way.ask(said, **UNSURE).status, said

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(200)))
    assert {status for status, _ in found} == {200}
    assert all(IBAN.encode() not in one.body for one in way.outside.asked)
    left = {json.loads(one.body)["messages"][0]["content"] for one in way.outside.asked}
    assert left == {said for _, said in found if IBAN not in said}
    assert len(way.outside.asked) == len(left), "none twice"
