"""Bounds of tools through the real Envoy: nobody gets past them, whatever the bytes, the target or the address."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.fakes.conversations import ALLOWED, EVIL, call, made, mutated, tool
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import MASTER, SUPPORT, model, state_of
from tests.gateway.test_rules import CHAT, Desk, went

from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.server import serve
from smallmodel_operator.gateway.decide.service import Deciding
from smallmodel_operator.gateway.routed import Choice, Lead, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.policy import Match, Need, Rule
from smallmodel_operator.routing.tools.check import Bounds

BOUNDS = Bounds(frozenset(ALLOWED), most_calls=6, most_tokens=100_000)
LEADS = (Lead("one", "support/bot", 1), Lead("two", "support/notes", 1), Lead("none", "support/gone", 0))
RULES = Choice((Rule("tools", Match(requires=(Need.TOOLS,)), "two"),), "one")


def route(name: str, **fields: Any) -> Route:
    access = Access(frozenset({"ns:support"}), max_body_bytes=8 << 20)
    return Route("support", name, "2026-11-20T10:00:00Z", access, LEADS, **fields)


ROUTES = (route("desk", tools=BOUNDS), route("ruled", tools=BOUNDS, choice=RULES), route("free"))


def state(ports: Mapping[str, int]) -> State:
    models = (model("support/bot", max_body_bytes=8 << 20), model("support/notes", request_key=2))
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


class Bounded(Desk):
    """A gateway whose agent knows the key of HMACs."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway, None)  # type: ignore[arg-type]
        self._policies = Policies(lambda: gateway.state, lambda _: None)

    def begin(self, *, strict: bool = False) -> None:
        async def begun() -> None:
            deciding = Deciding(self._policies.route, lambda _: (), self._record, master=lambda: MASTER, strict=strict)
            await self._stack.enter_async_context(serve(deciding, Path(self.gateway.site.decide_socket)))
            self._stack.callback(deciding.close)

        self.gateway._on_loop(begun)


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine, notes: Engine) -> Iterator[Bounded]:
    with Gateway(folder, state({"support/bot": bot.port, "support/notes": notes.port})) as gateway:
        found = Bounded(gateway)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Bounded, bot: Engine, notes: Engine) -> None:
    desk.records.clear()
    bot.asked.clear()
    notes.asked.clear()


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_mutated_conversations_reach_no_model(desk: Bounded, bot: Engine, notes: Engine, count: int) -> None:
    random, statuses = Random(88), set()
    for _ in range(count):
        request = mutated(random)
        answer = desk.gateway.post(request.path, request.body, SUPPORT)
        statuses.add(answer.status)
        assert 400 <= answer.status < 500, (answer, request.body)
        assert answer.error["code"], answer
    assert (bot.asked, notes.asked) == ([], [])
    assert {400, 403} <= statuses


def test_what_is_allowed_arrives_as_it_was_sent(desk: Bounded, bot: Engine, notes: Engine) -> None:
    random = Random(89)
    for _ in range(100):
        request = made(random)
        name = went(desk.gateway.post(request.path, request.body, SUPPORT))
        (arrived,) = bot.asked or notes.asked
        assert arrived.body == request.body.replace(b'"desk"', f'"{name}"'.encode())
        bot.asked.clear()
        notes.asked.clear()


@pytest.mark.parametrize("name", ["desk", "desk/one", "desk/two", "ruled", "ruled/one"])
def test_all_ways_to_a_route_are_bounded(desk: Bounded, bot: Engine, notes: Engine, name: str) -> None:
    answer = desk.ask(name=name, tools=[tool(EVIL)])
    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        403, "tool_not_allowed", "tools[0].function.name",
    )  # fmt: skip
    assert EVIL in answer.error["message"]
    assert (bot.asked, notes.asked) == ([], [])
    assert went(desk.ask(name=name, tools=[tool(ALLOWED[0])])) == ("bot" if name.endswith("one") else went_to(name))
    because = "Named" if "/" in name else "Rule" if name == "ruled" else "Share"
    assert [r["slm.decision"] for r in desk.records] == ["ToolsRefused", because]


def went_to(name: str) -> Any:
    """The model that a name leads to; either where it is drawn."""
    return Either("bot", "notes") if name == "desk" else "notes"


class Either(str):
    """Equal to each of two."""

    _both: tuple[str, ...]

    def __new__(cls, *both: str) -> "Either":
        found = super().__new__(cls, "|".join(both))
        found._both = both
        return found

    def __eq__(self, other: object) -> bool:
        return other in self._both

    __hash__ = str.__hash__


def test_shares_hold_where_each_request_is_asked_for(desk: Bounded) -> None:
    found = [went(desk.ask()) for _ in range(60)]
    assert {"bot", "notes"} == set(found)
    assert 12 <= found.count("bot") <= 48  # half of 60, four and a half standard deviations to each side


def test_a_route_without_bounds_asks_nobody(desk: Bounded) -> None:
    assert desk.ask(name="free", tools=[tool(EVIL)]).status == 200
    assert desk.records == []


def test_a_loop_ends_and_its_calls_are_in_the_record(desk: Bounded) -> None:
    history: list[dict[str, Any]] = []
    answer: Answer | None = None
    for number in range(7):
        one = call(ALLOWED[0], number, '{"city": "Bern"}')
        history += [{"role": "assistant", "tool_calls": [one]}, {"role": "tool", "tool_call_id": one["id"]}]
        body = {"model": "desk/two", "messages": history, "tools": [tool(ALLOWED[0])]}
        answer = desk.gateway.post(CHAT, body, SUPPORT)
        if number < 6:
            assert went(answer) == "notes"
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (403, "too_many_tool_calls")
    assert [r.get("slm.tools.called") for r in desk.records] == [*map(str, range(1, 7)), None]
    told = desk.records[5]["slm.tools.calls"].split(",")
    assert (len(told), len(set(told)), desk.records[5]["slm.tools.key"][:2]) == (6, 1, "2-")
    assert "Bern" not in str(desk.records)


def test_too_long_for_a_look_is_refused(desk: Bounded, bot: Engine, notes: Engine) -> None:
    answer = desk.ask("x" * 1_100_000)
    assert (answer.status, answer.error["code"]) == (400, "conversation_too_long")
    assert (bot.asked, notes.asked) == ([], [])


def test_a_caller_cannot_choose_by_header(desk: Bounded, bot: Engine, notes: Engine) -> None:
    forged = {"x-slm-chosen": "Named/two", "x-slm-target": "two", "x-slm-route": "support/notes|notes"}
    body = {"model": "desk/one", "messages": [{"role": "user", "content": "x"}]}
    assert went(desk.gateway.post(CHAT, body, SUPPORT, **forged)) == "bot"
    assert "x-slm-chosen" not in {name.lower() for name in bot.asked[-1].headers}


def test_embeddings_know_no_tools_and_raw_prompts_cannot_be_checked(desk: Bounded) -> None:
    assert desk.gateway.post("/v1/embeddings", {"model": "desk/one", "input": "x"}, SUPPORT).status == 200
    answer = desk.gateway.post("/v1/completions", {"model": "desk/one", "prompt": "x"}, SUPPORT)
    assert (answer.status, answer.error["code"]) == (400, "invalid_tools")


def test_where_nobody_decides_nothing_goes(desk: Bounded, bot: Engine, notes: Engine) -> None:
    with desk.otherwise(lambda: None):
        for name in ("desk", "desk/one"):
            assert desk.ask(name=name).status == 503
        assert (bot.asked, notes.asked) == ([], [])
        assert desk.ask(name="free").status == 200
