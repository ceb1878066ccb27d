"""Answers that are judged, while something on the way is gone, slow, full or too large: each has its stated outcome
(docs/how-to/route.md), and no answer that was made is lost."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_judged import SURE, UNSURE, ask, judged, route, told
from tests.gateway.test_rules import CHAT, Desk, went

from smallmodel_operator.gateway.state import Endpoint, State

ROUTES = (route("desk", judged("large")), route("sparing", judged("large")))


def state(ports: Mapping[str, int]) -> State:
    wide = {"max_body_bytes": 8 << 20}
    models = (model("support/bot", **wide), model("support/large", **wide))
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def large() -> Iterator[Engine]:
    engine = Engine("large")
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine, large: Engine) -> Iterator[Desk]:
    with Gateway(folder, state({"support/bot": bot.port, "support/large": large.port})) as gateway:
        found = Desk(gateway, lambda ref: None)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Desk, bot: Engine, large: Engine) -> None:
    for kept in (desk.records, bot.asked, large.asked):
        kept.clear()


def first(answer: Answer, why: str) -> None:
    """The caller has the first answer after all."""
    assert (answer.status, told(answer)) == (200, {"x-slm-degraded": why})
    assert answer.json["choices"][0]["message"]["content"] == "t0t1t2"
    assert b"logprob" not in answer.body


def test_a_larger_one_that_takes_no_connections(desk: Desk, bot: Engine, large: Engine) -> None:
    before = desk.gateway.state
    nobody = (Endpoint("127.0.0.1", 1, ready=True),)
    desk.gateway.apply(replace(before, endpoints={**before.endpoints, "support/large": nobody}))
    try:
        answer = ask(desk, **UNSURE)
    finally:
        desk.gateway.apply(before)
    first(answer, "escalation-failing")
    assert (len(bot.asked), large.asked) == (1, [])


def test_a_larger_one_that_breaks_off_before_its_answer(desk: Desk, large: Engine) -> None:
    first(ask(desk, fake_closes=["large"], **UNSURE), "escalation-failing")
    assert len(large.asked) >= 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_each_error_of_a_larger_one(desk: Desk, status: int) -> None:
    first(ask(desk, fake_fails=["large"], fake_fails_with=status, **UNSURE), "escalation-failing")


def test_a_larger_one_that_refuses_it_says_so(desk: Desk) -> None:
    """What is wrong with a request is wrong: the small one merely did not mind."""
    answer = ask(desk, fake_fails=["large"], fake_fails_with=400, **UNSURE)
    assert (answer.status, "x-slm-escalated" in answer.headers) == (400, True)


def test_who_decides_is_gone_while_the_answer_is_made(desk: Desk, bot: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, desk, fake_delay=2, **UNSURE)
        desk.gateway._eventually(lambda: bool(bot.asked), "it is asked")
        desk.end()
        try:
            answer = asked.result(60)
        finally:
            desk.begin()
    assert (answer.status, told(answer)) == (200, {"x-slm-degraded": "unjudged"})
    assert answer.json["choices"][0]["message"]["content"] == "t0t1t2"


def test_who_decides_began_anew_while_the_answer_was_made(desk: Desk, bot: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, desk, fake_delay=2, **UNSURE)
        desk.gateway._eventually(lambda: bool(bot.asked), "it is asked")
        desk.end()
        desk.begin()
        answer = asked.result(60)
    assert (answer.status, told(answer)) == (200, {"x-slm-degraded": "unjudged"})


def test_a_second_decision_that_cannot_be_recorded_is_none(desk: Desk, bot: Engine, large: Engine) -> None:
    def failing_later() -> None:
        desk.begin(strict=True)

    with desk.otherwise(failing_later), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, desk, fake_delay=1, **UNSURE)
        desk.gateway._eventually(lambda: bool(bot.asked), "it is asked")
        desk.failing = True
        answer = asked.result(60)
    first(answer, "escalation-refused")
    assert not large.asked


def test_a_first_decision_that_cannot_be_recorded_asks_nobody(desk: Desk, bot: Engine) -> None:
    with desk.otherwise(lambda: desk.begin(strict=True)):
        desk.failing = True
        answer = ask(desk, **SURE)
    assert (answer.status, bot.asked) == (503, [])


def test_an_answer_too_large_to_be_kept_is_an_error(desk: Desk) -> None:
    chunk = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 4096}}]})
    assert len(ask(desk, fake_chunks=[chunk], fake_repeat=4500, fake_pause=0).body) > 16 << 20
    assert ask(desk, fake_chunks=[chunk], fake_repeat=9000, fake_pause=0).status == 500
    assert ask(desk, **SURE).status == 200


def test_who_sleeps_is_waited_for_at_each_attempt(desk: Desk, bot: Engine, large: Engine) -> None:
    before = desk.gateway.state
    activator = Engine("activator", activator=True).start(desk.gateway.site.agent_socket)
    try:
        for ref, engine in (("support/bot", bot), ("support/large", large)):
            activator.asked.clear()
            desk.gateway.apply(replace(before, endpoints={**before.endpoints, ref: ()}))
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(ask, desk, **UNSURE)
                desk.gateway._eventually(lambda: bool(activator.asked), "it is held")
                desk.gateway.apply(before)
                answer = asked.result(60)
            assert (answer.status, went(answer)) == (200, "large"), ref
            assert engine.asked
    finally:
        desk.gateway.apply(before)
        activator.stop()


def test_a_caller_that_leaves_ends_the_attempt(desk: Desk, bot: Engine) -> None:
    body = json.dumps({"model": "desk", "messages": [{"role": "user", "content": "Hello"}], "fake_delay": 120})
    connection = http.client.HTTPConnection("127.0.0.1", desk.gateway.port, timeout=60)
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {SUPPORT}"}
    connection.request("POST", CHAT, body, head)
    desk.gateway._eventually(lambda: bool(bot.asked), "it is asked")
    connection.close()
    request = desk.records[0]["request.id"]
    desk.gateway._eventually(lambda: len(desk.gateway.log(request)) == 2, "both lines")
    assert {line["slm.response.flags"] for line in desk.gateway.log(request)} == {"DC"}


def test_under_load_everybody_has_an_answer_while_who_decides_is_ended_again_and_again(desk: Desk) -> None:
    """Before a decision nobody is asked; after it an answer is given, at worst unjudged."""

    def one(number: int) -> tuple[int, str]:
        answer = ask(desk, fake_sure={"bot": 0.3 + number % 2 * 0.6}, fake_delay=0.02)
        return answer.status, told(answer).get("x-slm-degraded", "")

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(one, number) for number in range(300)]
        for _ in range(4):
            time.sleep(0.3)
            desk.end()
            desk.begin()
        found = [one.result(120) for one in asked]
    assert {status for status, _ in found} <= {200, 503}
    assert {why for status, why in found if status == 200} <= {"", "unjudged"}
    assert sum(status == 200 for status, _ in found) >= 200
    assert ask(desk, **UNSURE).headers["x-slm-escalated"].startswith("confidence;")


def test_two_of_one_id_and_the_same_bytes_each_get_an_answer(desk: Desk) -> None:
    body: dict[str, Any] = {"model": "desk", "messages": [{"role": "user", "content": "Hi"}], "fake_delay": 1, **UNSURE}
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(desk.gateway.post, CHAT, body, SUPPORT, **{"x-request-id": "same"}) for _ in range(2)]
        found = [one.result(60) for one in both]
    assert [answer.status for answer in found] == [200, 200]
