"""A request that failed outside is decided on again, once, for who sent it, and recorded before it takes effect."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.clock import Clock
from tests.fakes.deciding import POLICY, ROUTES, labels
from tests.unit.gateway.decide.test_service import SECRET, Chain, call

from smallmodel_operator.gateway.decide import let_out, service
from smallmodel_operator.gateway.decide.answer import Answer, Withheld
from smallmodel_operator.gateway.decide.let_out import AllLetOut
from smallmodel_operator.gateway.decide.passes import renamed
from smallmodel_operator.gateway.decide.service import Call, Deciding, NotRecorded
from smallmodel_operator.routing.verdict import Decision


def placed(**more: Any) -> Call:
    """With where its body names the model."""
    asked = call(**more)
    first = asked.request.body.index(b'"assistant"')
    return replace(asked, place=f"{first},{first + len('assistant') + 2}", namespace="crm")


def sent(asked: Call) -> bytes:
    """The body as it is outside."""
    return renamed(asked.request.body, asked.place, "big-1")


def deciding(record: Any, routes: Any = ROUTES.get, **more: Any) -> Deciding:
    return Deciding(routes, labels, record, sign=lambda *_: "signed", **more)


async def let(found: Deciding, asked: Call) -> Answer:
    answer = await found.decide(asked)
    assert (answer.headers["x-slm-target"], answer.headers["x-slm-pass"]) == ("cloud", "signed")
    return answer


def refused(answer: Answer) -> bool:
    return (answer.status, answer.headers["x-slm-cause"]) == (421, "outside-unreachable")


async def test_it_is_answered_inside_once_and_recorded_as_its_own_decision() -> None:
    chain, failed = Chain(), list[str]()
    found = deciding(chain, failed=failed.append)
    asked = placed()
    assert (await let(found, asked)).headers["x-slm-instead"] == "1"
    answer, whose = await found.instead("id-1", sent(asked))
    assert (answer.status, answer.headers["x-slm-target"]) == (200, "small")
    assert answer.headers["x-slm-degraded"] == "outside-failing"
    assert "x-slm-pass" not in answer.headers
    assert whose is not None
    assert (whose.call.caller, whose.call.namespace, whose.call.route) == ("labelled", "crm", POLICY.route)
    assert whose.name == "assistant"
    first, second = chain.records
    assert (second["slm.decision.target"], second["slm.decision.failed"]) == ("small", "cloud")
    assert first["request.id"] == second["request.id"] == "id-1"
    assert SECRET not in repr(second)
    assert failed == [f"{POLICY.route}/cloud"]
    answer, whose = await found.instead("id-1", sent(asked))
    assert (refused(answer), whose, len(chain.records)) == (True, None, 2)


async def test_another_id_or_other_bytes_are_nobodys() -> None:
    chain = Chain()
    found = deciding(chain)
    asked = placed()
    await let(found, asked)
    for request, body in (("id-2", sent(asked)), ("id-1", sent(asked) + b" "), ("id-1", asked.request.body)):
        answer, whose = await found.instead(request, body)
        assert (refused(answer), whose, len(chain.records)) == (True, None, 1)


async def test_two_of_one_id_and_the_same_bytes_cannot_be_told_apart() -> None:
    found = deciding(Chain())
    asked = placed()
    await let(found, asked)
    await let(found, replace(asked, namespace="hr"))
    assert refused((await found.instead("id-1", sent(asked)))[0])


async def test_who_names_the_outside_does_not_come_back() -> None:
    found = deciding(Chain())
    asked = placed()
    answer = await let(found, replace(asked, chosen="Named/cloud"))
    assert "x-slm-instead" not in answer.headers
    assert refused((await found.instead("id-1", sent(asked)))[0])


async def test_where_nothing_is_inside_nothing_comes_back() -> None:
    """What is outside is then answered with its own error."""
    route = ROUTES[POLICY.route]
    alone = replace(route, can={"cloud": route.can["cloud"]})
    found = deciding(Chain(), {POLICY.route: alone}.get)
    assert "x-slm-instead" not in (await let(found, placed())).headers


async def test_the_only_one_inside_went_away_meanwhile() -> None:
    routes = dict(ROUTES)
    found, asked = deciding(Chain(), routes.get), placed()
    await let(found, asked)
    routes[POLICY.route] = replace(ROUTES[POLICY.route], can={"cloud": ROUTES[POLICY.route].can["cloud"]})
    assert refused((await found.instead("id-1", sent(asked)))[0])
    await let(found, asked)
    del routes[POLICY.route]
    assert refused((await found.instead("id-1", sent(asked)))[0])


@pytest.mark.parametrize("strict", [False, True])
async def test_without_a_record_it_is_answered_inside_unless_there_must_be_one(strict: bool) -> None:
    times = 0

    async def record(_: Mapping[str, Any], content: bytes) -> None:
        nonlocal times
        times += 1
        if times > 1:
            raise NotRecorded("the disk is full")

    found, asked = deciding(record, strict=strict), placed()
    await let(found, asked)
    answer, _ = await found.instead("id-1", sent(asked))
    assert (answer.status, times) == (503 if strict else 200, 2)


async def test_a_budget_may_refuse_it_and_its_record_says_so() -> None:
    async def withhold(_: Call, decision: Decision) -> Withheld | None:
        assert decision.target is not None
        return Withheld(Answer(429), {"slm.decision.budget": "Exhausted"}) if decision.target.inside else None

    chain = Chain()
    found, asked = deciding(chain, withhold=withhold), placed()
    await let(found, asked)
    assert (await found.instead("id-1", sent(asked)))[0].status == 429
    assert chain.records[-1]["slm.decision.budget"] == "Exhausted"


async def test_a_crash_is_an_error_and_says_nothing_of_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError(SECRET)

    found, asked = deciding(Chain()), placed()
    await let(found, asked)
    monkeypatch.setattr(service.verdict, "degraded", crash)
    with caplog.at_level(logging.ERROR):
        assert refused((await found.instead("id-1", sent(asked)))[0])
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_large_one_is_looked_at_in_a_thread() -> None:
    found, asked = deciding(Chain()), placed(text="word " * service.SMALL_BYTES)
    await let(found, asked)
    answer, _ = await found.instead("id-1", sent(asked))
    assert answer.headers["x-slm-target"] == "small"
    found.close()


def test_what_is_remembered_is_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(let_out, "MOST", 3)
    clock = Clock()
    kept = AllLetOut(clock)
    route, asked = ROUTES[POLICY.route], placed()
    decision = service.verdict.decide(route.ready, asked.request, ("public",), route.can, clock)
    for number in range(5):
        kept.keep(replace(asked, id=f"id-{number}"), decision)
    assert len(kept) == 3
    assert kept.back("id-0", sent(asked)) is None
    clock.forward(let_out.SECONDS + 1)
    kept.keep(asked, decision)
    assert len(kept) == 1
    back = kept.back("id-1", sent(asked))
    assert back is not None
    assert back.call.request.body == b"", "bodies are not kept"
