"""What the access log says takes the place of what was reserved, once."""

import json
from pathlib import Path
from typing import Any

import pytest

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.journal import Granted, Reserved
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import Reservation, key
from smallmodel_operator.budget.window import Window
from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.budget.journal import Journal
from smallmodel_operator.gateway.budget.settling import Settling, used

REQUESTS = Counter("desk/front", Unit.REQUESTS, Window("2026-11-22"))
TOKENS = Counter("desk/front", Unit.TOKENS, Window("2026-11"))
MONEY = Counter("desk/front", Unit.MONEY, Window("2026-11"), currency="EUR")
PRICE = Price(150_000, 600_000, "EUR")
EACH = 20 * 150_000 + 5 * 600_000
LEFT = {"route": ">desk/front/cloud"}
BOT = "desk/front/bot"
CHAT = {"http.response.status_code": 200, "slm.attempts": 1, "gen_ai.operation.name": "chat"}
SAID = {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5}


def line(request: str = "r", **more: Any) -> bytes:
    fields = {name.replace("__", "."): value for name, value in more.items()}
    return json.dumps({**CHAT, "slm.route": BOT, "request.id": request, **fields}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("fields", "requests", "tokens"),
    [
        (SAID, 1, 25),
        ({"slm.engine.input_tokens": 3, "slm.engine.cached_tokens": 4, "slm.engine.output_tokens": 2}, 1, 9),
        ({}, 1, None),
        ({"gen_ai.usage.input_tokens": 20}, 1, None),
        ({"http.response.status_code": 0, "slm.response.flags": "DC"}, 1, None),
        ({"slm.response.flags": "UC"}, 1, None),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 20}, 1, 20),
        ({"gen_ai.operation.name": "embeddings"}, 1, None),
        ({"http.response.status_code": 400, "slm.cause": "engine"}, 1, 0),
        ({"http.response.status_code": 500, "slm.cause": "engine"}, 1, 0),
        ({"http.response.status_code": 503, "slm.cause": "queue-full"}, 0, 0),
        ({"http.response.status_code": 429, "slm.attempts": 0}, 0, 0),
        ({"http.response.status_code": 503, "slm.attempts": 0, "slm.cause": "undecided"}, 0, 0),
    ],
)
def test_what_a_request_used(fields: dict[str, Any], requests: int, tokens: int | None) -> None:
    found = used(parse(json.dumps({**CHAT, **fields}).encode()))
    assert found.get(Unit.REQUESTS, 0) == requests
    assert found.get(Unit.TOKENS, 0) == tokens


class Gateway:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.folder)
        self.journal.open()
        self.settling = Settling(self.folder / "access.log", self.journal)

    async def reserve(self, *requests: str) -> None:
        for request in requests:
            await self.journal.keep(Reserved(key(request, BOT), Reservation(0.0, {REQUESTS: 1, TOKENS: 100})))

    def log(self, *lines: bytes) -> None:
        with (self.folder / "access.log").open("ab") as file:
            file.writelines(text + b"\n" for text in lines)

    async def read(self) -> tuple[int, int, int]:
        """Requests and tokens used, and tokens still reserved."""
        while self.settling.step():
            pass
        await self.journal.keep(Granted({}))
        parts = self.journal.kept.purse.parts
        return parts[REQUESTS].used, parts[TOKENS].used, parts[TOKENS].reserved


async def test_a_line_settles_its_request_once_over_restarts(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    await gateway.reserve("r", "s", "t")
    gateway.log(line("other", **SAID), line("r", **SAID), b"garbage", line("r", **SAID))
    assert await gateway.read() == (1, 25, 200)
    gateway.journal.close()
    gateway.log(line("s"))
    gateway.start()
    assert await gateway.read() == (2, 125, 100)
    gateway.journal.close()


async def test_a_log_that_is_read_again_settles_nothing_twice(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    await gateway.reserve("r", "s")
    gateway.log(line("r", **SAID))
    assert await gateway.read() == (1, 25, 100)
    # The disk lost the end of the log, and Envoy goes on: all of it is read from the beginning.
    content = (tmp_path / "access.log").read_bytes()
    (tmp_path / "access.log").write_bytes(content[:10])
    await gateway.read()
    (tmp_path / "access.log").write_bytes(content)
    gateway.log(line("s", **SAID))
    assert await gateway.read() == (2, 50, 0)
    gateway.journal.close()


async def test_one_id_may_have_two_requests(tmp_path: Path) -> None:
    """Callers choose them."""
    gateway = Gateway(tmp_path)
    await gateway.reserve("r", "r")
    gateway.log(line("r", **SAID))
    assert await gateway.read() == (1, 25, 100)
    gateway.log(line("r", **SAID))
    assert await gateway.read() == (2, 50, 0)
    gateway.journal.close()


@pytest.mark.parametrize(
    ("fields", "money"),
    [
        (SAID, EACH),
        ({}, None),
        ({"gen_ai.usage.output_tokens": 5}, None),
        ({"gen_ai.usage.input_tokens": 20}, None),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 20}, 20 * 150_000),
        ({"http.response.status_code": 0, "slm.response.flags": "DC"}, None),
        ({"http.response.status_code": 400, "slm.cause": "engine"}, 0),
        ({"http.response.status_code": 500, "slm.cause": "engine"}, 0),
        ({"http.response.status_code": 503, "slm.cause": "outside-unreachable"}, 0),
        ({"http.response.status_code": 503, "slm.cause": "outside-unreachable", "slm.response.flags": "UF"}, 0),
        ({"http.response.status_code": 503, "slm.cause": "outside-unreachable", "slm.response.flags": "UC"}, None),
        ({"http.response.status_code": 503, "slm.cause": "outside-broken"}, None),
        ({"http.response.status_code": 504, "slm.cause": "outside-silent"}, None),
        ({"http.response.status_code": 504, "slm.cause": "engine-silent", "slm.response.flags": "UT"}, None),
        ({"http.response.status_code": 503, "slm.cause": "engine-unreachable", "slm.response.flags": "UC"}, None),
        ({"http.response.status_code": 503, "slm.cause": "engine-unreachable", "slm.response.flags": "UF,URX"}, 0),
        ({"http.response.status_code": 403, "slm.cause": "not-allowed"}, 0),
        ({**SAID, "slm.attempts": 0}, 0),
        ({**SAID, "route": "|||"}, 0),
    ],
)
def test_what_a_request_outside_cost(fields: dict[str, Any], money: int | None) -> None:
    found = used(parse(json.dumps({**CHAT, **LEFT, **fields}).encode()), PRICE)
    assert found.get(Unit.MONEY, 0) == money
    assert Unit.MONEY not in used(parse(json.dumps({**CHAT, **LEFT, **fields}).encode()))


async def test_what_stayed_inside_settles_nothing_of_what_left_by_the_same_id(tmp_path: Path) -> None:
    """Callers choose ids: one that sends two requests by one, the first of them inside, would pay nothing outside."""
    gateway, out = Gateway(tmp_path), "desk/front/cloud"
    await gateway.reserve("r")
    await gateway.journal.keep(Reserved(key("r", out), Reservation(0.0, {MONEY: 10**12}, PRICE)))
    gateway.log(
        line("r", **SAID), line("r", slm__route="desk/front/other", **SAID), line("r", slm__route=out, **SAID, **LEFT)
    )
    assert await gateway.read() == (1, 25, 0)
    part = gateway.journal.kept.purse.parts[MONEY]
    assert (part.used, part.reserved) == (EACH, 0)
    gateway.journal.close()


@pytest.mark.parametrize("route", ["desk/front", ""])
async def test_what_nobody_was_told_where_to_send_went_nowhere(tmp_path: Path, route: str) -> None:
    """An agent that is killed with a reservation made and no answer given: Envoy's line has no target."""
    gateway = Gateway(tmp_path)
    await gateway.reserve("r", "rr", "s")
    lost = {"http.response.status_code": 503, "slm.attempts": 0, "slm.cause": "undecided", "slm.route": route}
    gateway.log(line("r", **lost), line("x", **lost))
    assert await gateway.read() == (0, 0, 200)
    gateway.log(line("rr", **SAID), line("s", **lost))
    assert await gateway.read() == (1, 25, 0)
    gateway.journal.close()


async def test_each_request_costs_what_its_target_asked_for_when_it_went(tmp_path: Path) -> None:
    """Prices change while requests are under way, agents restart, and callers give two requests one id."""
    gateway = Gateway(tmp_path)
    for price in (PRICE, Price(1, 2, "EUR"), Price(5, 5, "EUR")):
        await gateway.journal.keep(Reserved(key("r", BOT), Reservation(0.0, {MONEY: 10**12}, price)))
    gateway.log(line("r", **SAID, **LEFT), line("r", **SAID, **LEFT))
    gateway.journal.close()
    gateway.start()
    while gateway.settling.step():
        pass
    await gateway.journal.keep(Granted({}))
    part = gateway.journal.kept.purse.parts[MONEY]
    assert (part.used, part.reserved) == (EACH + 20 * 1 + 5 * 2, 10**12)
    gateway.journal.close()
    gateway.start()
    assert gateway.journal.kept.purse.price(key("r", BOT)) == Price(5, 5, "EUR")
    gateway.journal.close()
