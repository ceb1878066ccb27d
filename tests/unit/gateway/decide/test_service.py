"""What goes wrong around a decision: too large, too slow, too many, crashed, not recorded. Never outside for it."""

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.deciding import POLICY, ROUTES, labels

from smallmodel_operator.gateway.decide import service, writing
from smallmodel_operator.gateway.decide.answer import Answer, Stays, Withheld
from smallmodel_operator.gateway.decide.service import Call, Deciding, NotRecorded, Route
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import compiled
from smallmodel_operator.routing.verdict import Can, Decision

SECRET = "the words of the prompt"


class Chain:
    """Records, or what comes instead."""

    def __init__(self, *fails: BaseException) -> None:
        self.records: list[Mapping[str, Any]] = []
        self._fails = list(fails)

    async def __call__(self, body: Mapping[str, Any], content: bytes = b"") -> None:
        if self._fails:
            raise self._fails.pop(0)
        self.records.append(body)


def call(text: str = SECRET, route: str = POLICY.route, caller: str = "labelled", **more: Any) -> Call:
    body = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": text}], **more}).encode()
    return Call(route, caller, "id-1", Request("/v1/chat/completions", body))


def target(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.headers["x-slm-target"]


async def test_a_decision_is_recorded_before_it_is_told() -> None:
    chain = Chain()
    recorded, go_on = asyncio.Event(), asyncio.Event()

    async def record(body: Mapping[str, Any], content: bytes) -> None:
        await chain(body)
        recorded.set()
        await go_on.wait()

    asked = asyncio.create_task(Deciding(ROUTES.get, labels, record).decide(call()))
    await recorded.wait()
    assert not asked.done()
    go_on.set()
    assert target(await asked) == "cloud"
    assert chain.records[0]["slm.decision.target"] == "cloud"


async def test_a_large_body_holds_up_nobody_and_is_looked_at() -> None:
    deciding = Deciding(ROUTES.get, labels, Chain())
    large = "word " * service.SMALL_BYTES
    assert target(await deciding.decide(call(large))) == "cloud"
    assert target(await deciding.decide(call(f"{large} DE89 3704 0044 0532 0130 00"))) == "small"
    deciding.close()


async def test_a_look_that_takes_too_long_is_inside_and_its_thread_counts_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, chain = threading.Event(), Chain()
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(service, "MOST_WAITING", 2)
    monkeypatch.setattr(service.verdict, "decide", lambda *_: gate.wait())
    deciding = Deciding(ROUTES.get, labels, chain)
    large = call("word " * service.SMALL_BYTES)
    assert {target(a) for a in await asyncio.gather(*(deciding.decide(large) for _ in range(5)))} == {"small"}
    said = sorted(record["slm.decision.reasons"] for record in chain.records)
    assert said == ["Busy", "Busy", "Busy", "TimedOut", "TimedOut"]
    gate.set()
    deciding.close()


@pytest.mark.parametrize("error", [OSError("disk full"), NotRecorded("no key")])
async def test_what_is_not_recorded_stays_inside(error: Exception) -> None:
    deciding = Deciding(ROUTES.get, labels, Chain(error))
    assert target(await deciding.decide(call())) == "small"
    assert target(await deciding.decide(call())) == "cloud"


async def test_what_is_not_recorded_is_refused_where_that_is_asked_for() -> None:
    answer = await Deciding(ROUTES.get, labels, Chain(OSError("disk full")), strict=True).decide(call(caller=""))
    assert (answer.status, answer.headers["x-slm-cause"]) == (503, "not-recorded")


async def test_a_record_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SECONDS", 0.01)

    async def never(_: Mapping[str, Any], content: bytes) -> None:
        await asyncio.Event().wait()

    assert target(await Deciding(ROUTES.get, labels, never).decide(call())) == "small"


async def test_an_unknown_route_is_refused() -> None:
    answer = await Deciding(ROUTES.get, labels, Chain()).decide(call(route="crm/assistant"))
    assert (answer.status, answer.headers["x-slm-cause"]) == (503, "route-new")


async def test_a_crash_is_refused_and_quotes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def crash(_: Call) -> tuple[str, ...]:
        raise ValueError(SECRET)

    with caplog.at_level(logging.DEBUG):
        answer = await Deciding(ROUTES.get, crash, Chain()).decide(call())
    assert answer.status == 503
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text + answer.body.decode()


async def test_an_answer_to_a_caller_names_kinds_and_no_text() -> None:
    route = Route(compiled(POLICY, {}), {"cloud": Can()})
    answer = await Deciding(lambda _: route, labels, Chain()).decide(call("Pay DE89 3704 0044 0532 0130 00"))
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (403, "kept_inside")
    assert "Found" in error["message"]
    assert "3704" not in error["message"]


async def test_what_may_not_go_is_recorded_with_its_reason_and_answered_with_it() -> None:
    chain, asked = Chain(), list[tuple[str, str]]()
    over = Withheld(Answer(429, {"x-slm-cause": "budget"}), {"slm.decision.budget": "Exhausted"})

    async def withhold(call: Call, decision: Decision) -> Withheld | Stays | None:
        asked.append((call.id, decision.target.name if decision.target else ""))
        return over

    deciding = Deciding(ROUTES.get, labels, chain, withhold=withhold)
    assert await deciding.decide(call()) == over.answer
    assert asked == [("id-1", "cloud")]
    (record,) = chain.records
    assert (record["slm.decision.target"], record["slm.decision.budget"]) == ("cloud", "Exhausted")
    nobody = call("Pay DE89 3704 0044 0532 0130 00", tools=[{"type": "function"}])
    assert (await deciding.decide(nobody)).status == 403
    assert len(asked) == 1, "who goes nowhere needs nothing"


@pytest.mark.parametrize(("chosen", "because"), [("Named/small", "Named"), ("Share/small", "Share")])
async def test_a_target_that_is_known_already_stays(chosen: str, because: str) -> None:
    chain = Chain()
    deciding = Deciding(ROUTES.get, labels, chain)
    assert target(await deciding.decide(replace(call(), chosen=chosen))) == "small"
    assert chain.records[0]["slm.decision"] == because


async def test_a_target_outside_is_decided_on_though_it_is_named() -> None:
    """With a budget the listener says which target it would be; what must stay goes nowhere all the same."""
    deciding = Deciding(ROUTES.get, labels, Chain())
    assert target(await deciding.decide(replace(call(), chosen="Named/cloud"))) == "cloud"
    iban = replace(call("Pay DE89 3704 0044 0532 0130 00"), chosen="Named/cloud")
    assert (await deciding.decide(iban)).status == 403


@pytest.mark.parametrize("chosen", ["Share/gone", "Named/gone", "Named/"])
async def test_one_that_is_not_there_any_more_is_not_gone_to(chosen: str) -> None:
    answer = await Deciding(ROUTES.get, labels, Chain()).decide(replace(call(), chosen=chosen))
    assert (answer.status, answer.headers["x-slm-cause"]) == (503, "route-new")


async def test_what_may_not_leave_any_more_goes_inside_and_is_asked_for_again() -> None:
    chain, asked = Chain(), list[str]()

    async def withhold(call: Call, decision: Decision) -> Withheld | Stays | None:
        assert decision.target is not None
        asked.append(decision.target.name)
        return None if decision.target.inside else Stays("BudgetExhausted")

    assert target(await Deciding(ROUTES.get, labels, chain, withhold=withhold).decide(call())) == "small"
    assert asked == ["cloud", "small"]
    assert chain.records[0]["slm.decision.reasons"] == "BudgetExhausted"
