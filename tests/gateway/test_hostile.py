"""Requests nobody should send, by the hundred: an OpenAI error or the right answer, never another namespace's model."""

import json
import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import PARTNER, SUPPORT

HOSTS = [
    *["smallmodel-gateway", "bot.support"] * 6,
    "notes.crm.svc.cluster.local",
    "bot",
    "notes",
    "[::1",
    "a" * 300,
    "..",
    "%00",
]
PATHS = [
    *["/v1/chat/completions", "/support/v1/completions"] * 6, "/crm/v1/chat/completions", "/v1/embeddings?x=%00",
    "//v1//chat/completions", "/v1/chat/completions/../../slots", "/v1/chat%2fcompletions", "/%2e%2e/slots", "*",
    "/support/../crm/v1/chat/completions", "/v1/models/../slots", "/crm/v1/models", "/v1/rerank", "/v1/responses",
]  # fmt: skip
BODIES = [
    *[b'{"model":"bot"}', b'{"model":"notes"}'] * 4, b'{"model":"crm/notes"}', b'{"model":"../crm/notes"}', b"",
    b"null",
    b'{"model":"bot","model":"notes"}', b'{"model":"notes","model":"bot"}', b'{"model":["notes"]}', b'{"model":{}}',
    b'{"mod\\u0065l":"notes"}', b'\xef\xbb\xbf{"model":"bot"}', b'{"model":"bot\\u0000"}', b'{"model":"b\\u006ft"}',
    b'{"model":"' + b"a" * 100_000 + b'"}', b"{" * 3000, b'{"model":1e999}', b"\x00\xff",
    b'{"model":"bot"}{"model":"x"}',
    b'{"model":"x\\r\\nx-slm-target: crm/notes\\r\\n"}', b'{"a":' * 2000 + b"1" + b"}" * 2000,
]  # fmt: skip
HEADERS = [
    b"x-slm-target: crm/notes", b"X-SLM-Caller: key:crm/notes", b"x-slm-caller-namespace: crm", b"x-slm-address: crm/",
    b"x-slm-body-model: notes", b"x-slm-activated: 1", b"x-envoy-retry-on: 5xx", b"x-envoy-original-path: /slots",
    b"Content-Encoding: gzip", b"Content-Type: text/plain", b"Content-Type: application/json; charset=x",
    b"Expect: 100-continue", b"x_slm_target: crm/notes", b"Connection: x-slm-target", b"Authorization: Bearer wrong",
    b"X-Forwarded-Host: notes.crm", b"Transfer-Encoding: chunked", b"Content-Length: 3", b"x: " + b"y" * 70_000,
    b": empty", b"Upgrade: websocket", b"TE: trailers", b"Host: notes.crm",
]  # fmt: skip
KEYS = [*[SUPPORT] * 6, PARTNER, "wrong", "", "a.b.c", "x" * 9000]
COUNT = 5000
PATIENCE = 0.4


def requests(seed: int, count: int) -> Iterator[bytes]:
    """Whole requests, each a mixture; some are no HTTP at all."""
    chance = random.Random(seed)
    for _ in range(count):
        body = chance.choice(BODIES)
        lines = [
            f"{chance.choice(['POST'] * 8 + ['GET', 'PUT', 'BREW'])} {chance.choice(PATHS)} HTTP/1.1".encode(),
            f"Host: {chance.choice(HOSTS)}".encode(),
            b"Content-Length: " + str(len(body)).encode(),
            b"Connection: close",
        ]
        if chance.random() < 0.9:
            lines.append(b"Content-Type: application/json")
        if key := chance.choice(KEYS):
            lines.append(b"Authorization: Bearer " + key.encode())
        lines += chance.sample(HEADERS, chance.choice([0, 0, 1, 1, 2, 4]))
        whole = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        if chance.random() < 0.1:
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        yield bytes(whole)


def whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if end and head.startswith(b"HTTP/1.1 100"):
        return whole(body)
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end and length and len(body) >= int(length[1]))


def send(port: int, request: bytes) -> bytes:
    """The whole answer; nothing when none came, because the gateway waits for more of the request."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        received = b""
        try:
            connection.sendall(request)
            connection.settimeout(PATIENCE)
            while not whole(received) and (part := connection.recv(65536)):
                received += part
        except (ConnectionError, TimeoutError):
            pass  # Envoy closes on what it cannot read
        return received


def judge(request: bytes, answer: bytes) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if not answer:
        return ""  # said with the number of them, below
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if status == 100:
        return judge(request, body) if body else ""
    if status < 400:
        return "" if status == 200 else f"status {status}"
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"status {status} without an OpenAI error: {body[:100]!r}"
    return "" if set(error) == {"message", "type", "param", "code"} else f"error {error}"


@pytest.mark.parametrize("seed", [1, 2])
def test_mixed_requests(gateway: Gateway, bot: Engine, notes: Engine, seed: int) -> None:
    before, asked = len(notes.asked), len(bot.asked)
    everything = list(requests(seed, COUNT))
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda request: send(gateway.port, request), everything))
    wrong = [(w, r[:600]) for r, a in zip(everything, answers, strict=True) if (w := judge(r, a))]
    assert wrong[:5] == []
    assert sum(not a for a in answers) < COUNT / 10
    kinds = {a[9:12] for a in answers}
    assert {b"200", b"400", b"401", b"403", b"404", b"405", b"415", b"431"} <= kinds, kinds
    assert len(notes.asked) == before, "support's keys reached crm's model"
    assert not [r for r in bot.asked if SUPPORT in str(r.headers) or "x-slm-asked" in str(r.headers).lower()]
    assert len(bot.asked) > asked, "none of them was right: the mixture tries too little"
    assert {r.path.split("?")[0] for r in bot.asked} <= {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/responses"
    }  # fmt: skip
    assert gateway.post("/v1/chat/completions", {"model": "bot"}, SUPPORT).status == 200
    assert "assert" not in gateway.errors().lower()
    assert "script log" not in gateway.errors()


def test_an_answer_does_not_depend_on_what_was_asked_before(gateway: Gateway) -> None:
    """The door remembers what headers meant: a second time, after everything else, they mean the same."""
    everything = [r for r in requests(3, 1500) if b"y" * 1000 not in r]

    def outcomes() -> list[tuple[bytes, bytes | None]]:
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda request: send(gateway.port, request), everything))
        causes = [re.search(rb"x-slm-cause: (\S+)", answer) for answer in answers]
        return [(a[9:12], cause and cause[1]) for a, cause in zip(answers, causes, strict=True)]

    first, second = outcomes(), outcomes()
    other = [(a, b, r[:400]) for a, b, r in zip(first, second, everything, strict=True) if a != b and a[0] and b[0]]
    assert other == []
    assert sum(status == b"200" for status, _ in first) > 10


def test_eight_megabytes_of_brackets(gateway: Gateway) -> None:
    for body in (b"[" * (8 << 20), b'{"model":"bot","x":' + b"[" * (4 << 20) + b"]" * ((4 << 20) - 20) + b"}"):
        answer = gateway.post("/v1/chat/completions", body[: 8 << 20], SUPPORT)
        assert answer.status in (400, 413), answer
        assert answer.error
