"""Gateways of a thousand models in memory: what they count grows with the clock, and they say it as text, as real ones.

Every model is asked for prompts and answers of lengths of its own, so that no two share what is reckoned of them.
"""

import json
import math
from typing import Any, Final

from smallmodel_operator.autoscaling.prompts import bin_of
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.signals import Signals

GATEWAYS: Final = ("g-0", "g-1")
SHARES: Final = ((0.4, 10), (0.7, 25), (1.0, 30), (1.4, 25), (2.5, 10))
"""Lengths as parts of the usual one, and how many of a hundred have them."""
COLD_START: Final = {"schedule": 0.4, "container": 1.1, "load": 6.0}


class Gateways:
    """In place of real ones.

    Args:
        rates: requests a second of each model, by names that end in its number.
        bound: seconds to the first token that are good.
        jitter: seconds by which what is counted of a model is late at most, each time by others.
    """

    def __init__(self, rates: dict[ModelKey, float], bound: float, jitter: float = 0.0) -> None:
        self.rates, self.bound, self.jitter = rates, bound, jitter
        self.now = 0.0
        self.until = math.inf
        """Nobody asks after this."""
        self._signals = self._usage = b""

    def signals(self) -> Signals:
        """The operator's own, which asks these."""
        found = Signals(None, "bench", {name: f"http://{name}" for name in GATEWAYS}, lambda: self.now)  # type: ignore[arg-type]
        found._session = _Session(self)  # type: ignore[assignment]
        return found

    def move(self, now: float) -> None:
        """To a time in seconds. The words are made here, so that who measures what it takes to read them need not
        measure that."""
        self.now = now
        told = {"/".join(m): self._told(int(m[1].rpartition("-")[2]), m) for m in self.rates}
        self._signals = json.dumps({"gateway": "g", "synced": True, "models": told, "routes": []}).encode()
        used = {target: _used(words["objective"]) for target, words in told.items()}
        self._usage = json.dumps({"epoch": 1, "models": used}).encode()

    def answer(self, path: str) -> bytes:
        return self._usage if path == "usage" else self._signals

    def _told(self, number: int, model: ModelKey) -> dict[str, Any]:
        rate = self.rates[model] / len(GATEWAYS)
        late = (number * 7919 + int(self.now) * 10_469) % 1000 / 1000 * self.jitter
        quiet = max(0.0, self.now - self.until)
        asked = self.now - late if not quiet else self.until  # what was late has come
        n, prompt, answer = int(rate * asked), 40 + number * 37 % 400, 20 + number * 13 % 100
        objective = {
            "epoch": "a",
            "firstTokenSeconds": self.bound,
            **dict.fromkeys(("ended", "counted", "good", "whole"), n),
            "interToken": {"seconds": 0.0, "counted": 0, "good": 0},
            "endToEnd": {"seconds": 0.0, "counted": 0, "good": 0},
            "promptTokens": prompt * n,
            "generatedTokens": answer * n,
            "decodeSeconds": round(0.05 * answer * n, 4),
            "decodeTokens": answer * n,
            "prompts": _bins(prompt, n),
            "written": _bins(answer, n),
        }
        at_once = 0 if quiet else int(rate * answer * 0.05)
        words = {"inFlight": at_once, "held": 0, "idleSeconds": quiet or 0.1, "coldStarts": [COLD_START] * 5}
        return {**words, "objective": objective, "endpoints": 2, "requests": n}


def _bins(usual: int, count: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for part, percent in SHARES:
        place = str(bin_of(round(usual * part)))
        found[place] = found.get(place, 0) + count * percent // 100
    return found


def _used(counted: dict[str, Any]) -> list[int]:
    return [counted["ended"], counted["promptTokens"], counted["generatedTokens"]]


class _Session:
    """In place of an HTTP client."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def get(self, url: str) -> "_Answer":
        return _Answer(self._gateways.answer(url.rpartition("/")[2]))

    async def close(self) -> None:
        pass


class _Answer:
    """An answer that has come."""

    status = 200

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def __aenter__(self) -> "_Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return self._text

    async def json(self) -> Any:
        return json.loads(self._text)
