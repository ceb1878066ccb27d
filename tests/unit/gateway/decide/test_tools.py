"""Bounds of tools at the agent: who is refused, what is recorded of calls, and what happens where nobody can look."""

import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.conversations import call as called
from tests.fakes.conversations import tool
from tests.fakes.deciding import POLICY, ROUTES
from tests.gateway.states import MASTER

from smallmodel_operator.core.keys import request_key, request_key_name
from smallmodel_operator.gateway.decide import service
from smallmodel_operator.gateway.decide.answer import Answer
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.decide.tools import MOST_CALLS, Guarded
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import Need
from smallmodel_operator.routing.tools.check import Bounds
from smallmodel_operator.routing.verdict import Can

FIND = tool("find_order")
CAN = {"small": Can(frozenset({Need.TOOLS}))}
ROUTE = replace(
    ROUTES[POLICY.route], can=CAN, tools=Guarded(Bounds(frozenset({"find_order"}), 200, 50_000), {"small": 3})
)


class Agent:
    """Decides, and keeps what was recorded."""

    def __init__(self, fails: BaseException | None = None, *, strict: bool = False, master: bytes = MASTER) -> None:
        self.records: list[Mapping[str, Any]] = []
        self._fails = fails
        self.deciding = Deciding(
            {POLICY.route: ROUTE}.get, lambda _: (), self._record, master=lambda: master, strict=strict
        )

    async def _record(self, body: Mapping[str, Any], content: bytes) -> None:
        if self._fails:
            raise self._fails
        self.records.append(body)

    async def ask(self, *messages: Any, chosen: str = "", text: str = "Hello", **more: Any) -> Answer:
        said = [{"role": "user", "content": text}, *messages]
        body = json.dumps({"model": "assistant", "messages": said, **more}).encode()
        return await self.deciding.decide(
            Call(POLICY.route, "key:x/y", "id-1", Request("/v1/chat/completions", body), chosen)
        )


def error(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["error"]
    return found


def calls(*arguments: str) -> list[dict[str, Any]]:
    made = [called("find_order", number, text) for number, text in enumerate(arguments)]
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "shipped"} for one in made]
    return [{"role": "assistant", "tool_calls": made}, *results]


async def test_a_tool_that_is_not_allowed_is_refused_and_the_refusal_recorded_without_its_name() -> None:
    agent = Agent()
    answer = await agent.ask(tools=[FIND, tool("drop_table")])
    assert (answer.status, answer.headers["x-slm-cause"]) == (403, "tools")
    assert (error(answer)["code"], error(answer)["param"]) == ("tool_not_allowed", "tools[1].function.name")
    assert "'drop_table'" in error(answer)["message"]
    (record,) = agent.records
    assert (record["slm.decision"], record["slm.decision.target"]) == ("ToolsRefused", "")
    assert (record["slm.tools.refused"], record["slm.tools.field"]) == ("tool_not_allowed", "tools[1].function.name")
    assert "drop_table" not in json.dumps(record)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"tools": [FIND], "tool_choice": "sometimes"}, 400, "invalid_tools"),
        ({"tool_choice": "required"}, 400, "invalid_tools"),
        ({"functions": [{"name": "find_order"}]}, 400, "invalid_tools"),
        ({"text": "word " * 50_000}, 400, "conversation_too_long"),
    ],
)
async def test_what_breaks_a_bound_or_cannot_be_read(more: dict[str, Any], status: int, code: str) -> None:
    answer = await Agent().ask(**more)
    assert (answer.status, error(answer)["code"]) == (status, code)


async def test_a_loop_ends() -> None:
    agent = Agent()
    assert (await agent.ask(*calls(*(["{}"] * 200)), chosen="Named/small")).status == 200
    answer = await agent.ask(*calls(*(["{}"] * 201)), chosen="Named/small")
    assert (answer.status, error(answer)["code"]) == (403, "too_many_tool_calls")


@pytest.mark.parametrize("chosen", ["", "Named/small", "Share/small"])
async def test_who_names_a_target_is_asked_for_too(chosen: str) -> None:
    agent = Agent()
    assert (await agent.ask(tools=[tool("drop_table")], chosen=chosen)).status == 403
    answer = await agent.ask(tools=[FIND], chosen=chosen)
    assert answer.headers["x-slm-target"] == "small"
    assert agent.records[-1]["slm.decision"] == (chosen.partition("/")[0] or "Instead")


async def test_each_call_is_recorded_by_name_and_hmac_of_its_arguments() -> None:
    agent = Agent()
    await agent.ask(*calls('{"order": 17}', '{"order": "ü"}'), tools=[FIND], chosen="Named/small")
    (record,) = agent.records
    key = request_key(MASTER, "support", 3)
    made = [hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for text in ('{"order": 17}', '{"order": "ü"}')]
    assert record["slm.tools.calls"] == ",".join(f"find_order:{one}" for one in made)
    assert (record["slm.tools.called"], record["slm.tools.key"]) == ("2", request_key_name(key, 3))
    assert "17" not in json.dumps({k: v for k, v in record.items() if not k.startswith("slm.tools")})


async def test_of_many_calls_the_last_ones_are_told() -> None:
    agent = Agent()
    await agent.ask(*calls(*(f"{n}" for n in range(MOST_CALLS + 10))), chosen="Named/small")
    (record,) = agent.records
    told = record["slm.tools.calls"].split(",")
    last = hmac.new(request_key(MASTER, "support", 3), str(MOST_CALLS + 9).encode(), hashlib.sha256).hexdigest()
    assert (len(told), told[-1], record["slm.tools.called"]) == (MOST_CALLS, f"find_order:{last}", "74")


async def test_without_the_key_nothing_with_calls_goes_on() -> None:
    answer = await Agent(master=b"").ask(*calls("{}"), chosen="Named/small")
    assert (answer.status, error(answer)["code"]) == (503, "unavailable")
    assert (await Agent(master=b"").ask(tools=[FIND], chosen="Named/small")).status == 200


async def test_where_nobody_can_look_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(service, "check", lambda *_: gate.wait())
    answer = await Agent().ask(text="word " * service.SMALL_BYTES, chosen="Named/small")
    gate.set()
    assert (answer.status, error(answer)["code"]) == (503, "unavailable")


async def test_a_refusal_that_cannot_be_recorded_is_one() -> None:
    bad = {"tools": [tool("drop_table")]}
    assert (await Agent(OSError("full")).ask(**bad)).status == 403
    assert (await Agent(OSError("full"), strict=True).ask(**bad)).status == 503


async def test_a_target_that_is_gone_is_not_gone_to() -> None:
    for chosen in ("Named/gone", "Share/gone"):
        assert (await Agent().ask(chosen=chosen)).status == 503
