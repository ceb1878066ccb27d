"""Asking an engine itself, past the gateway, with its key: the one place where the operator talks to pods of models.

What is asked and answered stays with the caller. Errors name the pod and a status, never a text.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import aiohttp

TIMEOUT: Final = aiohttp.ClientTimeout(total=600, sock_connect=5)
"""A slow processor writes 256 tokens in minutes."""
LARGEST_BYTES: Final = 2**20
"""Of one answer; more is no answer of an engine to what is asked here."""
TOLD_BYTES: Final = 2**16
"""Of one line of a stream."""


class NoAnswer(Exception):  # noqa: N818 - what happened, not an error of ours
    """The engine did not answer as engines do. Tried again later."""


class NotTaken(Exception):  # noqa: N818
    """The engine refuses this request (400): too long for its context, say. Another try would end the same."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One streamed answer. Seconds since it was asked; tokens as the engine counts them."""

    prompt_tokens: int
    tokens: int
    first: float
    last: float
    asked: float
    """When it was asked, by the process's clock."""


def session() -> aiohttp.ClientSession:
    """Connections to engines: each for one request, for llama.cpp closes those that wait, at times under the next."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


class Engine:
    """The engine in one pod. `key` is what it asks for, `model` the name it serves."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str, model: str) -> None:
        self._session, self._model = session, model
        self._base = base
        self._headers = {"Authorization": f"Bearer {key}"}

    async def chat(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message of the one answer to a chat request.

        Raises:
            NotTaken: the engine refuses the request.
            NoAnswer: anything else but an answer.
        """
        said = await self._post("/v1/chat/completions", body)
        try:
            answer = json.loads(said)
            return cast(Mapping[str, Any], dict(answer["choices"][0]["message"]))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise NoAnswer(f"what {self._base} answers is no chat completion ({type(error).__name__})") from None

    async def complete(self, prompt: str, tokens: int) -> Timing:
        """How long a completion of so many tokens takes. None of it comes from or goes into the engine's cache.

        Raises:
            NotTaken: the engine refuses the request.
            NoAnswer: anything else but a stream with tokens.
        """
        body = {
            "model": self._model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
            "cache_prompt": False, "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        usage: Mapping[str, Any] = {}
        asked, first = time.monotonic(), 0.0
        try:
            async with self._session.post(
                f"{self._base}/v1/completions", json=body, headers=self._headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                self._look(response.status)
                async for line in response.content:
                    if not line.startswith(b"data: {"):
                        continue
                    first = first or time.monotonic()
                    if b'"usage"' in line[:TOLD_BYTES]:
                        usage = json.loads(line[6:]).get("usage") or usage
            counted = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"{self._base} does not answer ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoAnswer(f"{self._base} streams no completion with usage ({type(error).__name__})") from None
        if not first or counted[1] < 1:
            raise NoAnswer(f"{self._base} ended a stream without a token")
        return Timing(*counted, first - asked, time.monotonic() - asked, asked)

    async def _post(self, path: str, body: Mapping[str, Any]) -> bytes:
        try:
            async with self._session.post(
                self._base + path, json=body, headers=self._headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                self._look(response.status)
                said = b""
                async for piece in response.content.iter_any():
                    said += piece
                    if len(said) > LARGEST_BYTES:
                        raise NoAnswer(f"{self._base} answers with more than {LARGEST_BYTES} bytes")
                return said
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"{self._base} does not answer ({type(error).__name__})") from None

    def _look(self, status: int) -> None:
        if status in (400, 413, 422):
            raise NotTaken(f"{self._base} answers {status}")
        if status != 200:
            hint = ": it does not take the operator's key" if status == 401 else ""
            raise NoAnswer(f"{self._base} answers {status}{hint}")
