"""With the real Envoy: the HMAC of a request's body, of the bytes the caller sent, for models that want it."""

import hashlib
import hmac
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.clock import until
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import CRM, MASTER, SUPPORT, model, state_of
from tests.gateway.test_record import recording, verified

from smallmodel_operator.audit.request import FIELD, LARGEST_BYTES, RequestKey
from smallmodel_operator.cli import audit_match
from smallmodel_operator.gateway.state import Model, State
from smallmodel_operator.gateway.xds import Site, files
from smallmodel_operator.gateway.xds.scripts import HMAC, TARGET

CHAT = "/v1/chat/completions"
HOST = "bot.support.svc.cluster.local"
"""The address names the model, so that its route is found without Lua's help; without it Lua looks for it."""
OURS, OLDER, THEIRS = (RequestKey.made(MASTER, *of) for of in (("support", 2), ("support", 1), ("crm", 1)))
MODELS = (
    model("support/bot", request_key=2),
    model("support/older", request_key=1),
    model("support/plain"),
    model("support/tight", request_key=2, requests_per_minute=1),
    model("support/off", request_key=2, off=True),
    model("crm/notes", request_key=1, max_body_bytes=2 * LARGEST_BYTES),
)


def state(port: int) -> State:
    return state_of(MODELS, dict.fromkeys((m.target for m in MODELS if not m.off), port))


@pytest.fixture(scope="module")
def gateway(folder: Path, bot: Engine) -> Iterator[Gateway]:
    with Gateway(folder, state(bot.port)) as running:
        yield running
        assert "lua" not in running.errors().lower()


def expected(key: RequestKey, body: bytes) -> str:
    return f"{key.name}:{hmac.new(key.key, body, hashlib.sha256).hexdigest()}"


def sized(size: int, name: str = "bot") -> bytes:
    """A body of so many bytes, not all of them ASCII, never the same twice."""
    start, end = f'{{"model": "{name}", "text": "'.encode(), b'"}\r\n'
    rest = size - len(start) - len(end)
    text = "".join(random.choices("abcdefgh éß€", k=rest)).encode()[:rest].decode(errors="ignore").encode()
    return start + text + b"." * (rest - len(text)) + end


def said(gateway: Gateway, *requests: Any) -> list[str | None]:
    """What the log has of each of these answers."""
    ids = [answer.headers["x-request-id"] for answer in requests]
    gateway.log(ids[-1])
    lines = {line["request.id"]: line[FIELD] for line in gateway.log()}
    return [lines[request] for request in ids]


def test_nothing_of_it_is_attached_where_it_is_not_wanted() -> None:
    def brought(*models: Model) -> tuple[bool, list[str]]:
        made = files(state_of(models, {}), Site())["xds/rds.json"]["resources"][0]["virtual_hosts"][0]["matcher"]
        ways = [made["on_no_match"], *made["matcher_tree"]["exact_match_map"]["map"].values()]
        dispatch, *own = (way["action"]["typed_config"]["typed_per_filter_config"][TARGET] for way in ways)
        return "hmac" in dispatch["source_code"]["inline_string"], [route.get("name", "") for route in own]

    assert brought(model("support/a"), model("support/b")) == (False, ["", ""])
    assert brought(model("support/a"), model("support/b", request_key=1)) == (True, ["", HMAC])


def test_it_is_python_s_for_every_size_around_the_blocks(gateway: Gateway, bot: Engine) -> None:
    sizes = [*range(40, 210), *(64 * n + d for n in (4, 15, 16, 17, 128) for d in (-9, -8, -1, 0, 1)), LARGEST_BYTES]
    bodies = [sized(size) for size in sizes]
    assert list(map(len, bodies)) == sizes
    bot.asked.clear()
    answers = [gateway.post(CHAT, body, SUPPORT, HOST) for body in bodies]
    assert {answer.status for answer in answers} == {200}
    assert said(gateway, *answers) == [expected(OURS, body) for body in bodies]
    assert [asked.body for asked in bot.asked] == bodies


@pytest.mark.parametrize("host", [HOST, "", "bot"])
@pytest.mark.parametrize("pieces", [1, 3, 0])
def test_it_is_of_the_bytes_that_were_sent(gateway: Gateway, host: str, pieces: int) -> None:
    """Whichever way the model is found, and with a length or in chunks: those are no part of the body."""
    body = b' {"messages":[ ],\t"model" : "bot", "n":1.0e2, "s":"\\u00e9\xc3\xa9"}\n'
    cut = len(body) // pieces + 1 if pieces else 0
    sent = iter([body[at : at + cut] for at in range(0, len(body), cut)]) if pieces else body
    answer = gateway.post(CHAT, sent, SUPPORT, host)
    assert answer.status == 200, answer
    assert said(gateway, answer) == [expected(OURS, body)]


@pytest.mark.parametrize("chunked", [False, True])
def test_of_a_larger_body_it_says_that_there_is_none(gateway: Gateway, chunked: bool) -> None:
    bodies = [sized(LARGEST_BYTES), sized(LARGEST_BYTES + 1), sized(10 * LARGEST_BYTES)]
    answers = [gateway.post(CHAT, iter([body]) if chunked else body, SUPPORT, HOST) for body in bodies]
    assert {answer.status for answer in answers} == {200}
    too_large = f"{OURS.name}:too-large"
    assert said(gateway, *answers) == [expected(OURS, bodies[0]), too_large, too_large]


def test_namespaces_and_generations_have_keys_of_their_own(gateway: Gateway) -> None:
    bodies = {name: sized(200, name) for name in ("bot", "older", "notes")}
    answers = [
        gateway.post(f"/{'crm' if name == 'notes' else 'support'}{CHAT}", body, CRM if name == "notes" else SUPPORT)
        for name, body in bodies.items()
    ]
    keys = (OURS, OLDER, THEIRS)
    assert said(gateway, *answers) == [expected(k, b) for k, b in zip(keys, bodies.values(), strict=True)]
    assert len({key.name for key in keys}) == len({key.key for key in keys}) == 3


def test_who_does_not_want_it_or_is_refused_has_none(gateway: Gateway) -> None:
    asked = [gateway.post(CHAT, {"model": name}, SUPPORT) for name in ("plain", "off", "nobody")]
    asked += [gateway.post(CHAT, {"model": "bot"}), gateway.post(CHAT, b"no JSON", SUPPORT), gateway.get("/v1/models")]
    assert [answer.status for answer in asked] == [200, 503, 404, 401, 400, 401]
    assert said(gateway, *asked) == [None] * 6


@pytest.mark.parametrize("host", ["tight.support.svc.cluster.local", ""])
def test_one_too_many_has_it_all_the_same(gateway: Gateway, host: str) -> None:
    """The model was right, and the body was there: the record can tell it."""
    body = b'{"model": "tight"}'
    asked = [gateway.post(CHAT, body, SUPPORT, host) for _ in range(2)]
    assert asked[1].status == 429
    assert said(gateway, *asked) == [expected(OURS, body)] * 2


def test_its_key_reaches_neither_the_engine_nor_the_caller_nor_the_log(gateway: Gateway, bot: Engine) -> None:
    answer = gateway.post(CHAT, {"model": "bot"}, SUPPORT, HOST, **{"x-slm-hmac": "forged"})
    seen = f"{bot.asked[-1].headers}{answer.headers}{answer.body!r}{gateway.log(answer.headers['x-request-id'])}"
    assert OURS.key.hex() not in seen
    assert "forged" not in seen
    assert said(gateway, answer) == [expected(OURS, b'{"model": "bot"}')]


async def test_a_record_tells_which_body_was_sent(tmp_path_factory: pytest.TempPathFactory, bot: Engine) -> None:
    folder = tmp_path_factory.mktemp("r")
    sent, large = sized(1000), sized(LARGEST_BYTES + 1)
    with Gateway(folder, state(bot.port)) as gateway:
        async with recording(folder) as agent:
            agent.writer.given.append(state(bot.port).models)
            asked = [gateway.post(CHAT, body, SUPPORT, HOST) for body in (sent, large)]
            asked.append(gateway.post(CHAT, {"model": "plain"}, SUPPORT))
            await until(lambda: verified(folder).answers == 3, 10)
    report = verified(folder)
    assert (report.faults, report.warnings) == ([], [])
    first, second, third = (answer.headers["x-request-id"] for answer in asked)
    for name, content in (("sent", sent), ("other", sent.rstrip()), ("large", large)):
        (folder / name).write_bytes(content)
    for key in (OURS, OLDER, THEIRS):
        (folder / key.name).write_text(key.dump())

    async def match(request: str, body: str, *keys: RequestKey) -> int:
        named = [str(folder / key.name) for key in keys]
        return await audit_match.match(request, [str(folder / "audit")], str(folder / body), named, "", "text")

    assert await match(first, "sent", THEIRS, OURS) == 0
    assert await match(first, "other", OURS) == 1
    assert await match(first, "sent", OLDER) == 2
    assert await match(second, "large", OURS) == 2
    assert await match(third, "sent", OURS) == 2
    forged(folder, expected(OURS, sent), expected(OURS, sent.rstrip()))
    assert [fault.kind for fault in verified(folder).faults] == ["edited"]
    assert await match(first, "other", OURS) == 2


def forged(folder: Path, before: str, after: str) -> None:
    """Somebody writes the HMAC of another body into the record."""
    changed = 0
    for path in (folder / "audit").glob("*.jsonl"):
        text = path.read_text()
        changed += text.count(before)
        path.write_text(text.replace(before, after))
    assert changed == 1
