"""Answers that are judged, on routes with budgets: each attempt is reserved, settled and billed as what it was, and
where the second may not be paid for the first answer is given."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.counted import Counted
from tests.gateway.running import Gateway
from tests.gateway.states import model, state_of
from tests.gateway.test_judged import SURE, UNSURE, judged, route, told

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.window import Period
from smallmodel_operator.gateway.state import State

REQUESTS = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 1000)
TOKENS = Limit(Per.CALLER, Period.MONTH, Unit.TOKENS, 1_000_000)
THREE = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 3)
EACH = 10
"""Tokens of each answer of the fake engine."""
ROUTES = (
    replace(route("desk", judged("large")), budgets=(REQUESTS, TOKENS)),
    replace(route("few", judged("large")), budgets=(THREE,)),
    replace(route("killed", judged("large")), budgets=(REQUESTS,)),
)


def state(ports: Mapping[str, int]) -> State:
    return state_of((model("support/bot"), model("support/large")), ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine) -> Iterator[Counted]:
    with Gateway(folder, state({f"support/{name}": bot.port for name in ("bot", "large")})) as gateway:
        found = Counted(gateway, folder)
        found.begin()
        gateway._eventually(lambda: found.budgets.counting is not None, "it counts")
        yield found
        found.end()


def ask(desk: Counted, name: str = "desk", **more: Any) -> Any:
    return desk.ask(name, max_tokens=20, **more)


def test_each_attempt_is_counted_as_what_it_used(desk: Counted) -> None:
    before = desk.part(REQUESTS, "desk").used, desk.part(TOKENS, "desk").used
    for more, requests in ((SURE, 1), (UNSURE, 2), ({**UNSURE, "stream": True}, 2), ({"fake_chunks": ["x"]}, 1)):
        assert ask(desk, **more).status == 200
        part = desk.part(REQUESTS, "desk")
        assert (part.used, part.reserved) == (before[0] + requests, 0), more
        if "fake_chunks" not in more:
            assert desk.part(TOKENS, "desk").used == before[1] + EACH * requests, more
        before = part.used, desk.part(TOKENS, "desk").used


def test_where_the_second_may_not_be_paid_the_first_answer_is_given(desk: Counted) -> None:
    assert "x-slm-escalated" in ask(desk, "few", **UNSURE).headers
    answer = ask(desk, "few", **UNSURE)
    assert (answer.status, told(answer)) == (200, {"x-slm-degraded": "escalation-refused"})
    assert ask(desk, "few", **UNSURE).status == 429
    part = desk.part(THREE, "few")
    assert (part.used, part.reserved) == (3, 0)


def test_who_decides_is_ended_under_load_and_nothing_stays_reserved_or_is_invented(desk: Counted, bot: Engine) -> None:
    bot.asked.clear()

    def one(number: int) -> int:
        more = SURE if number % 2 else UNSURE
        status: int = ask(desk, "killed", fake_delay=0.02, **more).status
        return status

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(one, number) for number in range(120)]
        for _ in range(3):
            desk.gateway._eventually(lambda: len(bot.asked) > 10, "some are asked")
            desk.nobody_decides()
            desk.gateway._on_loop(desk.serve)
            bot.asked.clear()
        found = [one.result(120) for one in asked]
    assert set(found) <= {200, 503}
    part = desk.part(REQUESTS, "killed")
    lines = [line for line in desk.gateway.log() if str(line["slm.route"]).startswith("support/killed/")]
    assert part.reserved == 0
    assert part.used == sum(line["http.response.status_code"] == 200 for line in lines)
