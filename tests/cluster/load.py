"""Steady load on a model: short answers from several clients, no retries, every failure kept."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import aiohttp

QUESTION = {"messages": [{"role": "user", "content": "When do you open?"}], "max_tokens": 4, "temperature": 0}


@dataclass(slots=True)
class Background:
    """Runs `_run` in a thread of its own from the start of a `with` to its end, when `_end` is set."""

    _end: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join(90)

    async def _run(self) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class Load(Background):
    """`clients` workers ask one after the other until stopped. `keep`: connections are reused, as most clients do.

    `address` is a gateway's, `host` the model's own name, `key` what its Secret says.
    """

    address: str
    host: str
    key: str
    model: str = "bot"
    clients: int = 3
    keep: bool = False
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Host": self.host, "Authorization": f"Bearer {self.key}"}

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(force_close=not self.keep, limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
            await asyncio.gather(*(self._ask(session) for _ in range(self.clients)))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        while not self._end.is_set():
            started = time.strftime("%H:%M:%S")
            try:
                url = f"http://{self.address}/v1/chat/completions"
                async with session.post(url, json={"model": self.model, **QUESTION}, headers=self._headers) as answer:
                    body = await answer.text()
                    if answer.status != 200:
                        self.failures.append(f"{started} {answer.status} {body[:200]}")
                    else:
                        self.answered += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.failures.append(f"{started} {error!r}")
            await asyncio.sleep(0.05)

    def check(self, least: int = 10) -> None:
        """No request failed, and there was load to speak of."""
        assert not self.failures, f"{len(self.failures)} of {self.answered + len(self.failures)}: {self.failures[:5]}"
        assert self.answered >= least
