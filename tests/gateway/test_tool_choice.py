"""A tool call that a request demands, through the real Envoy: an answer without one is asked for again under a schema,
then of a larger model, and is refused in the end; it is never passed off as done."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_rules import CHAT, Desk, went

from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.policy import Confidence
from smallmodel_operator.routing.tools.check import Bounds

LEADS = (Lead("bot", "support/bot", 1), Lead("large", "support/large", 0))
VERIFIED = Bounds(verify_choice=True)
TOOLS = [
    {"type": "function", "function": {"name": "find-order", "parameters": {"type": "object", "properties": {"é": {}}}}},
    {"type": "function", "function": {"name": "refund"}},
]
CALL = {"name": "find-order", "arguments": {"order": 17}}


def route(name: str, escalation: Escalation | None = None, tools: Bounds = VERIFIED) -> Route:
    choice = Choice((), "bot", escalation=escalation)
    return Route("support", name, "", Access(frozenset({"ns:support"})), LEADS, choice=choice, tools=tools)


LARGER = Escalation(("large",), on_unavailable=True)
ROUTES = (
    route("desk", LARGER),
    route("alone"),
    route("sure", Escalation(("large",), most_percent=100.0, confidence=Confidence(0.8))),
    route("loose", tools=Bounds(most_calls=9)),
)


def state(ports: Mapping[str, int]) -> State:
    return state_of((model("support/bot"), model("support/large")), ports, routes={r.path: r for r in ROUTES})


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


def ask(desk: Desk, does: str = "always", large: str = "always", name: str = "desk", **more: Any) -> Answer:
    messages = [{"role": "user", "content": "Where is order 17?"}]
    body = {"model": name, "messages": messages, "tools": TOOLS, "tool_choice": "required", **more}
    return desk.gateway.post(CHAT, {**body, "fake_calls": {"bot": does, "large": large}}, SUPPORT)


def called(answer: Answer) -> dict[str, Any]:
    """The one call of an answer, streamed or not."""
    assert answer.status == 200, answer
    if answer.headers["content-type"].startswith("application/json"):
        (choice,) = answer.json["choices"]
        (call,) = choice["message"]["tool_calls"]
        function = call["function"]
    else:
        parts = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
        calls = [c for p in parts for ch in p["choices"] for c in ch["delta"].get("tool_calls", ())]
        function = {key: "".join(c["function"].get(key, "") for c in calls) for key in ("name", "arguments")}
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert sum("usage" in part for part in parts) == 1
    return {**function, "arguments": json.loads(function["arguments"])}


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_calls_it_is_asked_once(desk: Desk, bot: Engine, stream: bool) -> None:
    answer = ask(desk, stream=stream)
    assert (called(answer), went(answer), len(bot.asked)) == (CALL, "bot", 1)
    (record,) = desk.records
    assert record["slm.decision.judged"] == "ToolChoice"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find-order"}}])
def test_who_talks_instead_writes_it_under_a_schema(desk: Desk, bot: Engine, choice: Any, stream: bool) -> None:
    answer = ask(desk, "by schema", tool_choice=choice, stream=stream)
    assert (called(answer), went(answer)) == (CALL, "bot")
    _, again = (json.loads(asked.body) for asked in bot.asked)
    assert again["tool_choice"] == "none"
    schema = again["response_format"]["json_schema"]["schema"]
    calls = schema["anyOf"] if choice == "required" else [schema]
    assert [call["properties"]["name"]["const"] for call in calls] == ["find-order", "refund"][: len(calls)]
    assert calls[0]["properties"]["arguments"] == TOOLS[0]["function"]["parameters"]  # type: ignore[index]
    first, second = desk.records
    assert (first["slm.decision.target"], second["slm.decision.target"]) == ("bot", "bot")
    assert second["slm.tools.retried"] == "Schema"
    if not stream:
        assert answer.json["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("does", ["never", "refuse", "{", '{"name": "drop", "arguments": {}}', '{"name": "refund"}'])
def test_what_is_no_call_even_then_a_larger_one_answers(desk: Desk, bot: Engine, does: str) -> None:
    answer = ask(desk, does)
    assert (called(answer), went(answer), len(bot.asked)) == (CALL, "large", 3)
    assert answer.headers["x-slm-escalated"] == "tool-choice"
    assert [r["slm.decision.target"] for r in desk.records] == ["bot", "bot", "large"]
    assert (desk.records[-1]["slm.decision"], desk.records[-1]["slm.tools.retried"]) == ("ToolChoice", "Larger")


@pytest.mark.parametrize("stream", [False, True])
def test_what_nobody_does_is_refused_and_recorded(desk: Desk, bot: Engine, stream: bool) -> None:
    answer = ask(desk, "never", "never", stream=stream)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        502,
        "tool_choice_not_honoured",
        "tool_choice",
    )
    assert answer.headers["x-should-retry"] == "false"
    assert "find-order" not in answer.body.decode()
    assert len(bot.asked) == 3
    refused = desk.records[-1]
    assert (refused["slm.decision"], refused["slm.tools.refused"]) == ("ToolsRefused", "tool_choice_not_honoured")


def test_a_larger_one_that_fails_is_no_answer_either(desk: Desk) -> None:
    answer = ask(desk, "never", fake_fails=["large"])
    assert (answer.status, answer.error["code"]) == (502, "tool_choice_not_honoured")


def test_without_a_larger_one_the_schema_is_the_last_word(desk: Desk, bot: Engine) -> None:
    assert called(ask(desk, "by schema", name="alone")) == CALL
    assert ask(desk, "never", name="alone").status == 502
    assert len(bot.asked) == 4


def test_who_names_a_target_gets_that_ones_call_or_none(desk: Desk, bot: Engine) -> None:
    assert called(ask(desk, "by schema", name="desk/bot")) == CALL
    assert ask(desk, "never", name="desk/bot").status == 502
    assert {json.loads(asked.body)["model"] for asked in bot.asked} == {"bot"}


def test_an_error_of_the_first_is_its_callers(desk: Desk, bot: Engine) -> None:
    answer = ask(desk, fake_status=500)
    assert (answer.status, len(bot.asked)) == (500, 1)


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_what_demands_nothing_is_not_looked_at(desk: Desk, bot: Engine, choice: Any) -> None:
    answer = ask(desk, "never", tool_choice=choice)
    assert (answer.status, len(bot.asked), len(desk.records)) == (200, 1, 1)
    assert "slm.decision.judged" not in desk.records[0]


def test_routes_that_do_not_verify_pass_it_on(desk: Desk, bot: Engine) -> None:
    assert (ask(desk, "never", name="loose").status, len(bot.asked)) == (200, 1)


def test_beside_confidence_a_demand_is_judged_as_one(desk: Desk, bot: Engine) -> None:
    assert called(ask(desk, "by schema", name="sure")) == CALL
    assert "logprobs" not in json.loads(bot.asked[0].body)
    bot.asked.clear()
    body = {"model": "sure", "messages": [{"role": "user", "content": "Hello"}], "fake_sure": {"bot": 0.3}}
    assert desk.gateway.post(CHAT, body, SUPPORT).headers["x-slm-escalated"].startswith("confidence;")


def test_tools_too_long_for_a_schema_go_to_a_larger_one(desk: Desk, bot: Engine) -> None:
    long = replace_first(TOOLS, {"type": "object", "description": "x" * 20_000})
    assert went(ask(desk, "by schema", tools=long)) == "large"
    assert len(bot.asked) == 2


def replace_first(tools: list[dict[str, Any]], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    first = {**tools[0], "function": {**tools[0]["function"], "parameters": parameters}}
    return [first, *tools[1:]]


def test_who_decides_is_gone_while_the_answer_is_made(desk: Desk, bot: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, desk, "never", fake_delay=2)
        desk.gateway._eventually(lambda: bool(bot.asked), "it is asked")
        desk.end()
        try:
            answer = asked.result(60)
        finally:
            desk.begin()
    assert (answer.status, answer.headers["x-slm-degraded"]) == (200, "unjudged")


def test_a_route_that_verifies_has_its_door(bot: Engine) -> None:
    assert state({}).judges
    assert not replace(state({}), routes={"support/loose": ROUTES[3]}).judges
