"""Budgets of routes through the real Envoy and the agent's own parts: what goes, what is refused, and what counts."""

import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.counted import CHAT, Counted
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import PARTNER, SUPPORT, model, state_of

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.window import Period
from smallmodel_operator.gateway.budget import part
from smallmodel_operator.gateway.routed import Choice, Lead, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.policy import Match, Need, Rule

LEADS = (Lead("small", "support/bot", 1), Lead("large", "support/llm", 1), Lead("off", "support/off", 0))
MONTH = Period.MONTH
REQUESTS = Limit(Per.ROUTE, MONTH, Unit.REQUESTS, 3)
TOKENS = Limit(Per.CALLER, MONTH, Unit.TOKENS, 5000)
MANY = Limit(Per.ROUTE, MONTH, Unit.REQUESTS, 1000)
TOOLS = Choice((Rule("tools", Match(requires=(Need.TOOLS,)), "large"),), "small")


def route(name: str, *budgets: Limit, **fields: Any) -> Route:
    access = Access(frozenset({"ns:support", "key:support/bot/partner"}), max_body_bytes=8 << 20)
    return Route("support", name, "2026-11-20T10:00:00Z", access, LEADS, budgets=budgets, **fields)


ROUTES = (
    route("desk", REQUESTS),
    route("tokens", TOKENS, MANY),
    route("small", Limit(Per.ROUTE, MONTH, Unit.TOKENS, 500)),
    route("ruled", MANY, choice=TOOLS),
    route("mixed", MANY),
    route("away", MANY),
    route("plain"),
)


def state(bot: Engine) -> State:
    models = (model("support/bot", context_tokens=2048), model("support/llm"), model("support/off", off=True))
    ports = {"support/bot": bot.port, "support/llm": bot.port}
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine) -> Iterator[Counted]:
    with Gateway(folder, state(bot)) as gateway:
        found = Counted(gateway, folder)
        found.begin()
        gateway._eventually(lambda: found.budgets.counting is not None, "it counts")
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Counted, bot: Engine) -> None:
    desk.records.clear()
    bot.asked.clear()


def over(answer: Answer) -> str:
    """A refusal for a budget: its message."""
    assert (answer.status, answer.headers["x-slm-cause"]) == (429, "budget"), answer
    error = answer.error
    assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exhausted")
    return str(error["message"])


def test_a_budget_is_used_up_to_its_last_request_and_then_refused(desk: Counted, bot: Engine) -> None:
    assert [desk.ask("desk").status for _ in range(3)] == [200] * 3
    assert "is held for requests that are under way" in over(desk.ask("desk")), "the log was not read yet"
    assert desk.part(REQUESTS, "desk").used == 3
    time.sleep(1.1)  # so long a refusal stands without another question
    answer = desk.ask("desk")
    window = datetime.now(UTC).strftime("%Y-%m")
    assert over(answer).startswith(f"The budget of 3 requests of route support/desk for {window} is used up")
    assert answer.headers["x-should-retry"] == "false"
    assert 0 < int(answer.headers["retry-after"]) <= 31 * 86400
    assert len(bot.asked) == 3, "what is refused reaches nobody"
    assert over(desk.ask("desk/small")), "who names a target is counted, too"
    used = desk.part(REQUESTS, "desk")
    assert (used.used, used.reserved, used.granted) == (3, 0, 3)


def test_the_record_says_what_it_was_refused_for(desk: Counted) -> None:
    answer = desk.ask("desk/large")
    (record,) = desk.records
    said = {k: v for k, v in record.items() if k.startswith("slm.decision") and k != "slm.decision.policy"}
    assert record["request.id"] == answer.headers["x-request-id"]
    assert (said["slm.decision"], said["slm.decision.target"]) == ("Named", "large")
    assert (said["slm.decision.budget"], said["slm.decision.limit"]) == ("Exhausted", "Route/Month/Requests")
    (line,) = desk.gateway.log(record["request.id"])
    assert (line["http.response.status_code"], line["slm.cause"]) == (429, "budget")


def test_tokens_count_as_the_engine_says_for_each_caller(desk: Counted) -> None:
    for _ in range(4):
        assert desk.ask("tokens/small", max_tokens=20).status == 200
    assert desk.ask("tokens", PARTNER, max_tokens=20).status == 200
    assert desk.part(TOKENS, "tokens").used == 4 * 10
    assert desk.part(TOKENS, "tokens", "key:support/bot/partner").used == 10
    assert desk.part(MANY, "tokens").used == 5


def test_a_request_that_may_need_more_than_the_limit_is_told_how(desk: Counted, bot: Engine) -> None:
    assert "This request may need 2048 tokens" in over(desk.ask("small/small"))
    assert "Ask for fewer tokens with max_tokens." in over(desk.ask("small/large"))
    assert desk.ask("small/small", max_tokens=5).status == 200
    large = desk.ask("small/small", padding="x" * (1 << 20), max_tokens=5)
    assert (large.status, large.error["code"]) == (400, "not_countable")
    assert len(bot.asked) == 1


def test_what_the_gateway_refuses_and_what_the_engine_refuses(desk: Counted) -> None:
    before = desk.part(TOKENS, "tokens").used, desk.part(MANY, "tokens").used
    assert desk.ask("tokens/off", max_tokens=5).error["code"] == "model_off"
    assert desk.ask("tokens/small", max_tokens=5, fake_status=400).status == 400
    assert (desk.part(TOKENS, "tokens").used, desk.part(MANY, "tokens").used) == (before[0], before[1] + 1)


def test_an_answer_that_is_cut_counts_with_all_that_was_held(desk: Counted) -> None:
    before = desk.part(TOKENS, "tokens").used
    assert desk.ask("tokens/small", max_tokens=5, fake_chunks=["{"]).status == 200
    used = desk.part(TOKENS, "tokens").used - before
    assert 256 < used < 500, "bytes of the body, and max_tokens"


def test_a_stream_counts(desk: Counted) -> None:
    before = desk.part(TOKENS, "tokens").used
    assert desk.ask("tokens/small", max_tokens=5, stream=True).status == 200
    assert desk.part(TOKENS, "tokens").used == before + 10


def test_rules_and_weights_go_on_as_they_are(desk: Counted) -> None:
    tools = desk.ask("ruled", tools=[{"type": "function"}])
    assert tools.headers["x-slm-model-digest"] == "sha256:llm"
    assert desk.ask("ruled").headers["x-slm-model-digest"] == "sha256:bot"
    went = {desk.ask("mixed").headers["x-slm-model-digest"] for _ in range(40)}
    assert went == {"sha256:bot", "sha256:llm"}
    because = {r["slm.decision"] for r in desk.records}
    assert because == {"Rule", "Default", "Share"}
    assert (desk.part(MANY, "ruled").used, desk.part(MANY, "mixed").used) == (2, 40)
    (line,) = desk.gateway.log(tools.headers["x-request-id"])
    assert line["slm.route"] == "support/ruled/large"


def test_a_caller_cannot_choose_how_it_is_counted(desk: Counted, bot: Engine) -> None:
    forged = {"x-slm-chosen": "Named/large", "x-request-id": "one"}
    body = {"model": "ruled", "messages": []}
    ids = {desk.gateway.post(CHAT, body, SUPPORT, **forged).headers["x-request-id"] for _ in range(2)}
    assert len(ids - {"one"}) == 2, "an id of its own, or one request could settle another"
    assert {r["slm.decision.target"] for r in desk.records} == {"small"}
    assert not [name for asked in bot.asked for name in asked.headers if name.lower() == "x-slm-chosen"]


def test_where_nobody_can_count_nothing_goes_and_all_else_does(desk: Counted, bot: Engine) -> None:
    assert desk.ask("tokens/small", max_tokens=5).status == 200, "which grants a block"
    desk.api.refuse("GET", "configmaps", 500, "InternalError", "etcd is away")
    desk.api.refuse("PATCH", "configmaps", 500, "InternalError", "etcd is away")
    try:
        assert desk.ask("tokens/small", max_tokens=5).status == 200, "what was granted may be used"
        bot.asked.clear()
        answer = desk.ask("away")
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
        assert answer.headers["x-slm-cause"] == "budget-unknown"
        assert "cannot be counted against its budgets now" in answer.error["message"]
        assert not bot.asked
        assert desk.ask("plain").status == 200
        assert "etcd is away" in desk.budgets.problem
    finally:
        desk.api.heal()
    time.sleep(1.1)  # so long a refusal stands without another question
    assert desk.ask("away").status == 200


def test_without_an_agent_routes_without_budgets_are_served(desk: Counted, bot: Engine) -> None:
    desk.nobody_decides()
    try:
        for name in ("tokens", "tokens/small", "ruled"):
            assert desk.ask(name).status == 503
        assert not bot.asked
        assert desk.ask("plain").status == 200
        assert desk.ask("plain/large").status == 200
        assert not desk.records
    finally:
        desk.gateway._on_loop(desk.serve)
    assert desk.ask("mixed").status == 200


def test_what_an_envoy_takes_to_its_grave_counts_in_full(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent outlives it, and the next Envoy says when it began."""
    monkeypatch.setattr(part, "DEAD_SECONDS", 0.05)
    data = tmp_path_factory.mktemp("d")
    with Gateway(tmp_path_factory.mktemp("e"), state(bot), data=data) as gateway:
        first = Counted(gateway, data)
        first.begin()
        gateway._eventually(lambda: first.budgets.counting is not None, "it counts")
        assert first.ask("tokens/small", max_tokens=5).status == 200
        assert first.part(TOKENS, "tokens").used == 10
        lost = threading.Thread(target=_unanswered, args=(first,))
        lost.start()
        gateway._eventually(lambda: len(bot.asked) == 2, "it is under way")
        first.end()
        assert gateway._process is not None
        gateway._process.send_signal(signal.SIGKILL)
        lost.join(10)
    with Gateway(tmp_path_factory.mktemp("f"), state(bot), data=data) as gateway:
        second = Counted(gateway, data)
        second.begin()
        gateway._eventually(lambda: second.budgets.counting is not None, "it counts")
        used = second.part(TOKENS, "tokens").used
        assert 10 + 256 < used < 10 + 500, "bytes of the body, and max_tokens"
        assert second.part(MANY, "tokens").used == 2
        assert second.ask("tokens/small", max_tokens=5).status == 200
        assert second.part(TOKENS, "tokens").used == used + 10, "and nobody else's is"
        second.end()


def _unanswered(counted: Counted) -> None:
    with pytest.raises((OSError, EOFError)):
        counted.ask("tokens/small", max_tokens=5, fake_delay=30)
