"""Answers that are judged before anybody sees them, through the real Envoy and the agent's real service of decisions:
who answers in the end, what its caller, the record and the log are told, and that no answer is lost."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_rules import Desk, went

from smallmodel_operator.gateway.record.count import TOTAL
from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.policy import Confidence, Match, Measure, Need, Rule

LEADS = tuple(Lead(name, f"support/{name}", int(name == "bot")) for name in ("bot", "off", "large"))
SURE, UNSURE = {"fake_sure": {"bot": 0.95}}, {"fake_sure": {"bot": 0.3, "large": 0.1}}


def route(name: str, escalation: Escalation, rules: tuple[Rule, ...] = ()) -> Route:
    access = Access(frozenset({"ns:support"}), max_body_bytes=8 << 20)
    return Route("support", name, "", access, LEADS, choice=Choice(rules, "bot", escalation=escalation))


def judged(*order: str, percent: float = 100.0) -> Escalation:
    return Escalation(order, most_percent=percent, confidence=Confidence(0.8, Measure.MEAN))


ROUTES = (
    route("desk", judged("off", "large"), (Rule("tools", Match(requires=(Need.TOOLS,)), "bot"),)),
    route("sparing", judged("large", percent=20.0)),
    route("alone", judged("off")),
)


def state(ports: Mapping[str, int]) -> State:
    wide = {"max_body_bytes": 8 << 20}
    models = (model("support/bot", **wide), model("support/off", off=True), model("support/large", **wide))
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine) -> Iterator[Desk]:
    with Gateway(folder, state({f"support/{name}": bot.port for name in ("bot", "large")})) as gateway:
        found = Desk(gateway, lambda ref: None)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Desk, bot: Engine) -> None:
    desk.records.clear()
    bot.asked.clear()


def ask(desk: Desk, name: str = "desk", **more: Any) -> Answer:
    body = {"model": name, "messages": [{"role": "user", "content": "Say hello"}], **more}
    return desk.gateway.post("/v1/chat/completions", body, SUPPORT)


def told(answer: Answer) -> dict[str, str]:
    return {n: v for n, v in answer.headers.items() if n in ("x-slm-escalated", "x-slm-degraded", "x-slm-doubt")}


def test_an_answer_that_is_sure_is_the_callers_as_if_nobody_had_looked(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, **SURE)
    assert (answer.status, went(answer), told(answer)) == (200, "bot", {})
    (choice,) = answer.json["choices"]
    assert choice == {"index": 0, "message": {"role": "assistant", "content": "t0t1t2"}}
    (asked,) = bot.asked
    assert json.loads(asked.body)["logprobs"] is True
    assert not {"x-slm-judge", "x-slm-judged", "x-slm-ask"} & {name.lower() for name in asked.headers}
    (record,) = desk.records
    assert (record["slm.decision"], record["slm.decision.judged"]) == ("Default", "Confidence")


def test_a_doubted_answer_is_nobodys_and_a_larger_model_answers(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, **UNSURE)
    assert (answer.status, went(answer)) == (200, "large")
    assert told(answer) == {"x-slm-escalated": "confidence;score=0.3000;threshold=0.8000"}
    first, second = bot.asked
    assert "logprobs" not in json.loads(second.body), "who answers in its place is asked as the caller asked"
    assert json.loads(first.body)["messages"] == json.loads(second.body)["messages"]
    before, after = desk.records
    assert (before["slm.decision"], after["slm.decision"]) == ("Default", "Confidence")
    assert (after["slm.decision.target"], after["slm.decision.confidence"]) == ("large", "0.3000")
    assert (after["slm.decision.threshold"], after["slm.decision.escalation"]) == ("0.8000", "Escalated")
    assert before["request.id"] == after["request.id"] == answer.headers["x-request-id"]


def test_each_attempt_has_its_line_and_the_request_one_without_a_target(desk: Desk) -> None:
    request = ask(desk, **UNSURE).headers["x-request-id"]
    desk.gateway._eventually(lambda: len(desk.gateway.log(request)) == 3, "three lines")
    lines = sorted(desk.gateway.log(request), key=lambda line: line["slm.target"] or "")
    assert [line["slm.target"] for line in lines] == [None, "support/bot", "support/large"]
    assert [line["slm.route"] for line in lines] == ["support/desk", "support/desk/bot", "support/desk/large"]
    assert [line["gen_ai.usage.output_tokens"] for line in lines[1:]] == [3, 3]
    assert {line["slm.caller"] for line in lines} == {"key:support/bot"}
    assert {line["http.response.status_code"] for line in lines} == {200}
    assert lines[1]["slm.digest"] == "sha256:bot"


def test_envoys_count_of_requests_is_that_of_lines(desk: Desk) -> None:
    import re

    def total() -> int:
        stats = json.loads(desk.gateway.admin("/stats?format=json"))["stats"]
        return sum(stat["value"] for stat in stats if re.search(TOTAL, stat.get("name", "")))

    before, lines = total(), len(desk.gateway.log())
    ask(desk, **UNSURE), ask(desk, **SURE)
    desk.gateway._eventually(lambda: len(desk.gateway.log()) == lines + 5, "five lines")
    assert total() == before + 5


@pytest.mark.parametrize("sure", [0.95, 0.3])
def test_a_stream_is_judged_whole(desk: Desk, sure: float) -> None:
    answer = ask(desk, stream=True, fake_sure={"bot": sure})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"logprob" not in answer.body
    chunks = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
    text = "".join(choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"])
    assert text == "t0t1t2"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert bool(told(answer)) == (sure < 0.8)


def test_who_asks_for_probabilities_gets_them(desk: Desk) -> None:
    (choice,) = ask(desk, logprobs=True, **SURE).json["choices"]
    assert len(choice["logprobs"]["content"]) == 3


def test_where_the_larger_one_fails_the_first_answer_is_given_and_says_so(desk: Desk) -> None:
    for stream in (False, True):
        answer = ask(desk, fake_fails=["large"], stream=stream, **UNSURE)
        assert (answer.status, told(answer)) == (200, {"x-slm-degraded": "escalation-failing"})
        assert b"t0" in answer.body
        assert b"logprob" not in answer.body
        assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")


def test_where_nobody_larger_is_there_the_first_answer_is_given_at_once(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, "alone", **UNSURE)
    assert (went(answer), len(bot.asked)) == ("bot", 1)
    assert told(answer)["x-slm-degraded"].startswith("unavailable;score=0.3")


def test_no_more_than_the_share_is_escalated(desk: Desk) -> None:
    found = [went(ask(desk, "sparing", fake_sure={"bot": 0.2 + 0.001 * (37 * n % 60)})) for n in range(60)]
    for number in range(1, len(found) + 1):
        assert found[:number].count("large") <= 0.2 * number
    assert found.count("large") >= 8


def test_an_answer_that_says_nothing_of_itself_is_given_and_says_so(desk: Desk) -> None:
    chunks = ['{"choices":[{"index":0,"message":{"role":"assistant","content":"x"}}]}']
    answer = ask(desk, fake_chunks=chunks)
    assert told(answer) == {"x-slm-degraded": "unjudged"}
    assert answer.body == chunks[0].encode()


def test_an_error_of_the_first_is_its_callers(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, fake_status=500)
    assert (answer.status, told(answer), len(bot.asked)) == (500, {}, 1)


@pytest.mark.parametrize("name", ["desk/bot", "desk/large"])
def test_who_names_a_target_gets_its_answer_whatever_it_is(desk: Desk, bot: Engine, name: str) -> None:
    answer = ask(desk, name, **UNSURE)
    assert (answer.status, told(answer), len(bot.asked)) == (200, {}, 1)


def test_what_a_rule_sends_somewhere_is_not_judged(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, tools=[{"type": "function", "function": {"name": "f"}}], **UNSURE)
    assert (went(answer), told(answer), len(bot.asked)) == ("bot", {}, 1)


def test_callers_cannot_say_a_word_of_it(desk: Desk, bot: Engine) -> None:
    forged = {
        "x-slm-judge": "error 00",
        "x-slm-judged": "1",
        "x-slm-doubt": "x",
        "x-slm-ask": '"n":9',
        "x-slm-route": "?",
    }
    body = {"model": "desk/bot", "messages": [{"role": "user", "content": "Say hello"}], **UNSURE}
    answer = desk.gateway.post("/v1/chat/completions", body, SUPPORT, **forged)
    assert (answer.status, told(answer), len(bot.asked)) == (200, {}, 1)
    assert json.loads(bot.asked[0].body) == {**body, "model": "bot"}


def test_a_large_request_goes_whole_to_both(desk: Desk, bot: Engine) -> None:
    said = "ab " * 200_000
    body = {"model": "desk", "messages": [{"role": "user", "content": said}], **UNSURE}
    answer = desk.gateway.post("/v1/chat/completions", body, SUPPORT)
    assert (answer.status, went(answer)) == (200, "large")
    assert [json.loads(one.body)["messages"][0]["content"] == said for one in bot.asked] == [True, True]
    assert bot.asked[1].body == json.dumps(body).encode().replace(b'"desk"', b'"large"')


def test_while_nobody_decides_nobody_is_asked(desk: Desk, bot: Engine) -> None:
    with desk.otherwise(lambda: None):
        answer = ask(desk, **SURE)
    assert (answer.status, answer.error["code"], bot.asked) == (503, "unavailable", [])
