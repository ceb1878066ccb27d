"""Answers on their way back: streams byte for byte and at once, tokens counted beside them."""

import http.client
import itertools
import json
import time
from typing import Any

import pytest
from tests.fakes.upstream import Engine, stream_chunks
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT

CHAT = "/v1/chat/completions"
COUNTED = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")


def ask(gateway: Gateway, **fields: Any) -> Any:
    return gateway.post(CHAT, {"model": "bot", **fields}, SUPPORT)


def counts(gateway: Gateway, answer: Any) -> tuple[Any, ...]:
    (line,) = gateway.log(answer.headers["x-request-id"])
    return tuple(line[name] for name in COUNTED)


@pytest.mark.parametrize(
    "chunks",
    [
        stream_chunks(),
        ["data: a\r\n", "\r\n", ": comment\n\n", "data: \xe4\u20ac", "\n\n", "data: [DONE]"],
        ["x" * 70_000, "\0\x01", "\n" * 5],
        list("".join(stream_chunks())),
    ],
)
def test_streams_byte_for_byte(gateway: Gateway, chunks: list[str]) -> None:
    answer = ask(gateway, stream=True, fake_chunks=chunks, fake_pause=0)
    assert answer.status == 200
    assert answer.body == "".join(chunks).encode()
    assert answer.headers["content-type"] == "text/event-stream"


def test_tokens_of_answers_and_streams(gateway: Gateway) -> None:
    assert counts(gateway, ask(gateway)) == (7, 3)
    assert counts(gateway, ask(gateway, stream=True)) == (7, 3)
    torn = list("".join(stream_chunks()))
    assert counts(gateway, ask(gateway, stream=True, fake_chunks=torn, fake_pause=0)) == (7, 3)


def test_a_models_text_cannot_count_tokens(gateway: Gateway) -> None:
    text = json.dumps({"choices": [{"delta": {"content": '"usage":{"prompt_tokens":999,"completion_tokens":999}'}}]})
    answer = ask(gateway, stream=True, fake_chunks=[f"data: {text}\n\n", *stream_chunks()])
    assert counts(gateway, answer) == (7, 3)
    assert counts(gateway, ask(gateway, stream=True, fake_chunks=[f"data: {text}\n\n"])) == (None, None)


@pytest.mark.parametrize("known", [False, True])
def test_large_answers_pass(gateway: Gateway, known: bool) -> None:
    """More than Envoy keeps of an answer (1 MiB); of unknown length, and of one that is known."""
    chunks = ["0.1234567," * 1000, '0],"usage":{"prompt_tokens":11,"completion_tokens":0}}']
    total = len(chunks[0]) * 1000 + len(chunks[1])
    answer = ask(gateway, fake_chunks=chunks, fake_repeat=1000, fake_pause=0, fake_length=total if known else None)
    assert answer.body == (chunks[0] * 1000 + chunks[1]).encode()
    assert counts(gateway, answer) == (11, 0)


def test_no_chunk_waits_for_the_next(gateway: Gateway, bot: Engine) -> None:
    """Chunks 40 ms apart arrive 40 ms apart, through the gateway as without it."""

    def arrivals(port: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        chunks = [f"data: {n}\n\n" for n in range(6)]
        body = json.dumps({"model": "bot", "stream": True, "fake_chunks": chunks, "fake_pause": 0.04})
        connection.request(
            "POST", CHAT, body, {"Authorization": f"Bearer {SUPPORT}", "Content-Type": "application/json"}
        )
        response, times = connection.getresponse(), []
        while response.read1(65536):
            times.append(time.monotonic())
        connection.close()
        return times

    seen = []
    for _ in range(5):  # a reader that is not woken for so long finds two at once: not five times in a row
        times = arrivals(gateway.port)
        assert len(times) == 6
        seen.append(min(b - a for a, b in itertools.pairwise(times)))
        if seen[-1] > 0.015:
            break
    assert seen[-1] > 0.015, seen
    assert times[-1] - times[0] > 0.15


def test_a_slow_reader_stalls_nobody(gateway: Gateway) -> None:
    slow = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    body = json.dumps({"model": "bot", "fake_pause": 0, "fake_chunks": ["x" * 1000], "fake_repeat": 30_000})
    slow.request("POST", CHAT, body, {"Authorization": f"Bearer {SUPPORT}", "Content-Type": "application/json"})
    response = slow.getresponse()
    for _ in range(20):
        assert ask(gateway).status == 200
    assert len(response.read()) == 30_000_000
    slow.close()
