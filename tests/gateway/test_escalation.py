"""Escalation through the real Envoy and the agent's real service of decisions: who answers, what the caller and the
record are told, and how many go at most."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_rules import Desk, went
from tests.unit.routing.test_choice import some
from tests.unit.routing.test_given import hard

from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Reference, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.choice import given

LEADS = tuple(Lead(name, f"support/{name}", int(name == "bot")) for name in ("bot", "off", "spare", "large"))
HARD = Reference("support", "hardness", "escalation.json", field=given.HARD)
PROVE = "prove the lemma for case b"
GREET = "greet for case b"


def route(name: str, escalation: Escalation, default: str = "bot") -> Route:
    access = Access(frozenset({"ns:support"}), max_body_bytes=8 << 20)
    return Route("support", name, "", access, LEADS, choice=Choice((), default, escalation=escalation))


ROUTES = (
    route("desk", Escalation(("off", "large"), HARD, 0.5, most_percent=100.0)),
    route("sparing", Escalation(("large",), HARD, most_percent=20.0)),
    route("alone", Escalation(("off",), HARD, 0.5, most_percent=100.0)),
    route("covered", Escalation(("spare", "large"), on_unavailable=True), "off"),
    route("untaught", Escalation(("large",), Reference("support", "gone", "x", field=given.HARD), 0.0)),
)


def state(ports: Mapping[str, int]) -> State:
    models = (model("support/bot"), model("support/off", off=True), model("support/large"))
    spare = model("support/spare", stalled="WeightsNotFound")
    return state_of((*models, spare), ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine) -> Iterator[Desk]:
    with Gateway(folder, state({f"support/{name}": bot.port for name in ("bot", "large")})) as gateway:
        classifier = given.read(hard(), given.HARD)
        found = Desk(gateway, lambda ref: classifier if ref == HARD else None)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Desk) -> None:
    desk.records.clear()


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name in ("x-slm-escalated", "x-slm-degraded")}


def test_what_is_hard_goes_to_the_first_that_answers_and_says_so(desk: Desk, bot: Engine) -> None:
    answer = desk.ask(PROVE)
    assert went(answer) == "large"
    (record,) = desk.records
    assert record["slm.decision"] == "Complexity"
    assert (record["slm.decision.target"], record["slm.decision.escalation"]) == ("large", "Escalated")
    score, threshold = record["slm.decision.complexity"], record["slm.decision.threshold"]
    assert float(score) >= 0.5 == float(threshold)
    assert told(answer) == {"x-slm-escalated": f"complexity;score={score};threshold={threshold}"}
    assert not [name for name in bot.asked[-1].headers if name.lower().startswith(("x-slm-esc", "x-slm-deg"))]
    (line,) = desk.gateway.log(answer.headers["x-request-id"])
    assert (line["slm.route"], line["slm.target"]) == ("support/desk/large", "support/large")


def test_what_is_not_hard_stays_and_its_answer_says_nothing(desk: Desk) -> None:
    answer = desk.ask(GREET)
    assert (went(answer), told(answer)) == ("bot", {})
    assert desk.records[0]["slm.decision.escalation"] == "BelowThreshold"


def test_who_asks_cannot_say_it_was_escalated(desk: Desk) -> None:
    body = {"model": "desk", "messages": [{"role": "user", "content": GREET}]}
    forged = {"x-slm-escalated": "complexity", "x-slm-target": "large"}
    answer = desk.gateway.post("/v1/chat/completions", body, SUPPORT, **forged)
    assert (went(answer), told(answer)) == ("bot", {})


def test_no_more_than_the_share_is_escalated(desk: Desk) -> None:
    """However the share is spent: prompts of all kinds, then hard ones alone."""
    prompts = [example.prompt for example in some(60, 2)] + [PROVE] * 60
    found: list[Any] = [went(desk.ask(prompt, "sparing")) for prompt in prompts]
    for number in range(1, len(found) + 1):
        assert found[:number].count("large") <= 0.2 * number
    assert found.count("large") >= 0.15 * len(found)
    assert "ShareSpent" in {record["slm.decision.escalation"] for record in desk.records}


def test_where_nobody_larger_answers_the_default_does_and_says_so(desk: Desk) -> None:
    answer = desk.ask(PROVE, "alone")
    assert went(answer) == "bot"
    assert told(answer).keys() == {"x-slm-degraded"}
    assert answer.headers["x-slm-degraded"].startswith("unavailable;score=")
    assert desk.records[0]["slm.decision.escalation"] == "Degraded"
    assert told(desk.ask(GREET, "alone")) == {}


def test_without_its_classifier_nothing_is_escalated(desk: Desk) -> None:
    answer = desk.ask(PROVE, "untaught")
    assert (went(answer), told(answer)) == ("bot", {})
    assert "slm.decision.escalation" not in desk.records[0]


def test_the_next_of_the_order_answers_for_one_that_cannot(desk: Desk) -> None:
    answer = desk.ask(GREET, "covered")
    assert (went(answer), told(answer)) == ("large", {"x-slm-escalated": "unavailable"})
    assert desk.records[0]["slm.decision"] == "Unavailable"
    named = desk.ask(GREET, "covered/off")
    assert (named.status, named.error["code"]) == (503, "model_off"), "who names a target gets that one"
