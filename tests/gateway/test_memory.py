"""Bodies that are kept whole cost memory: one caller's must not end everybody's streams."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, SUPPORT, model, state_of

from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES

CHAT = "/v1/chat/completions"
MEMORY = 768 << 20
"""What this Envoy may use, bytes."""
BODIES = 35
LENGTH = 30_000_000
ASK = {"model": "notes", "messages": []}


@pytest.fixture(scope="module")
def small(folder: Path, bot: Engine, notes: Engine) -> Iterator[Gateway]:
    """support/bot takes the largest bodies there are, crm/notes small ones; with little memory."""
    models = (model("support/bot", max_body_bytes=LARGEST_BODY_BYTES), model("crm/notes", max_body_bytes=2048))
    state = state_of(models, {"support/bot": bot.port, "crm/notes": notes.port})
    with Gateway(folder, state, concurrency=2, memory=MEMORY) as running:
        yield running


def peak(gateway: Gateway) -> int:
    """Most memory Envoy had so far, bytes."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def held(gateway: Gateway, length: int) -> socket.socket:
    """A request whose body lacks its last bytes; its end may have been refused already."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SUPPORT}\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
    left = length - 100
    try:
        while left > 0:
            left -= connection.send(b" " * min(left, 1 << 16))
            time.sleep(0.004)  # as fast as a fast network, not as loopback
    except OSError:
        pass
    return connection


@pytest.mark.timeout(120)
def test_bodies_that_never_end_take_no_more_than_there_is(small: Gateway) -> None:
    answers: list[Answer] = []
    chunks = [f"data: {n}\n\n" for n in range(40)]
    with ThreadPoolExecutor(BODIES + 1) as pool:
        stream = {"model": "notes", "stream": True, "fake_chunks": chunks, "fake_pause": 0.1}
        other = pool.submit(small.post, CHAT, stream, CRM)
        time.sleep(0.3)
        sending = [pool.submit(held, small, LENGTH) for _ in range(BODIES)]
        until = time.monotonic() + 3
        while time.monotonic() < until or not all(s.done() for s in sending):
            answers.append(small.post(CHAT, ASK, CRM))
            time.sleep(0.02)
        connections = [s.result() for s in sending]
        assert other.result().body == "".join(chunks).encode(), "another's stream was cut"
    for connection in connections:
        connection.close()
    print(f"\n{BODIES} bodies of {LENGTH >> 20} MiB: at most {peak(small) >> 20} MiB of {MEMORY >> 20}")
    assert peak(small) < MEMORY
    refused = [a for a in answers if a.status != 200]
    # For moments only: bodies that are cut give their memory back.
    assert {(a.status, a.error["code"], a.headers["retry-after"]) for a in refused} <= {(503, "overloaded", "1")}
    assert len(refused) < len(answers) / 2
    until = time.monotonic() + 60  # Envoy writes its log in a thread of its own
    while not (cut := [line for line in small.log() if line["slm.cause"] == "overloaded"]):
        assert time.monotonic() < until, "there was no want of memory: the test tries too little"
        time.sleep(0.1)
    assert {line["http.response.status_code"] for line in cut} == {503}
    until = time.monotonic() + 60
    while (answer := small.post(CHAT, {"model": "bot"}, SUPPORT)).status != 200:
        assert time.monotonic() < until, answer
        time.sleep(0.1)


def test_a_large_body_that_ends_is_passed_on(small: Gateway, bot: Engine) -> None:
    body = json.dumps({"model": "bot", "x": "y" * LENGTH}).encode()
    assert small.post(CHAT, body, SUPPORT).status == 200
    assert bot.asked[-1].body == body


@pytest.mark.parametrize(
    ("host", "length"), [("notes.crm", 2049), ("", LARGEST_BODY_BYTES + 1)], ids=["addressed", "any"]
)
def test_refused_before_a_byte_of_it(small: Gateway, host: str, length: int) -> None:
    answer = small.request("POST", CHAT, None, asking(CRM, length), host)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert str(length - 1) in answer.error["message"]


def test_no_more_than_the_model_that_takes_most(gateway: Gateway) -> None:
    most = max(m.access.max_body_bytes for m in gateway.state.models.values())
    assert most < LARGEST_BODY_BYTES
    assert gateway.request("POST", CHAT, None, asking(CRM, most + 1)).status == 413
    blanks = (b" " * (1 << 20) for _ in range((most >> 20) + 2))
    answer = gateway.post(CHAT, blanks, SUPPORT)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def asking(key: str, length: int) -> dict[str, str]:
    """Headers that announce a body."""
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Content-Length": str(length)}


def test_an_endless_credential_is_not_hashed(small: Gateway) -> None:
    answer = small.post(CHAT, ASK, "x" * 20_000)
    assert (answer.status, answer.headers["x-slm-cause"]) == (401, "bad-credential")
