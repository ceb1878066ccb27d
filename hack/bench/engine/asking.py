"""Completions of a known size, one after the other or several at once, and how long they take."""

import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from hack.true_size.measure import FIRST_TOKEN, TOKENS

ANSWER_SECONDS = 1800
IN_A_ROW = 2
"""Requests of each caller whose speed is compared."""
_NUMBERS = count(1)
"""Each prompt of a run is another, so that no cache holds it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the engine itself, or the gateway in front of it."""

    name: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: seconds of wall time, those of them the engine says it computed, and its tokens a second."""

    seconds: float
    computed: float
    tokens: int
    read: float
    write: float


def ask(target: Target, prompt_tokens: int, tokens: int) -> Told:
    """One completion of exactly so many tokens.

    Raises:
        SystemExit: it was refused, or is of another size.
    """
    start = next(_NUMBERS) * 997
    prompt = [FIRST_TOKEN + (start + i * 31) % TOKENS for i in range(prompt_tokens)]
    body = {
        "model": "bot", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
        "cache_prompt": False,
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=ANSWER_SECONDS)
    began = time.monotonic()
    try:
        headers = {"Content-Type": "application/json", **target.headers}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    seconds = time.monotonic() - began
    if answer.status != 200:
        raise SystemExit(f"{target.name} answers {answer.status}: {said.decode(errors='replace')[:300]}")
    value = json.loads(said)
    usage, timings = value["usage"], value["timings"]
    if (usage["prompt_tokens"], usage["completion_tokens"]) != (prompt_tokens, tokens):
        raise SystemExit(f"{target.name} was asked {prompt_tokens} + {tokens} tokens and says {usage}")
    computed = (timings["prompt_ms"] + timings["predicted_ms"]) / 1000
    return Told(seconds, computed, tokens, timings["prompt_per_second"], timings["predicted_per_second"])


def speed(target: Target, at_once: int, prompt_tokens: int, tokens: int) -> tuple[float, float]:
    """Callers that each ask a few times in a row: tokens a second by the wall clock, and the share of the requests'
    time in which the engine computed.

    They begin apart from each other. Requests that come in the same millisecond share a batch from their first token
    on, and a proxy that takes a millisecond would be blamed for the second that waits until the first was read.
    """
    first = ask(target, prompt_tokens, tokens)

    def caller(number: int) -> list[Told]:
        time.sleep(first.seconds * number / at_once)
        return [ask(target, prompt_tokens, tokens) for _ in range(IN_A_ROW)]

    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        done = [told for asked in pool.map(caller, range(at_once)) for told in asked]
    taken = time.monotonic() - began
    return sum(told.tokens for told in done) / taken, sum(t.computed for t in done) / sum(t.seconds for t in done)
