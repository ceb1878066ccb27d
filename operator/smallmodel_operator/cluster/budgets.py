"""Registers of budgets in ConfigMaps, each changed on the state it was made of (compare-and-swap)."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from smallmodel_operator.budget import text
from smallmodel_operator.budget.register import Register
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import NotLeader

ENTRY: Final = "register.json"
TRIES: Final = 12
"""Somebody else wrote in between so often, and it is given up."""
FIRST_PAUSE: Final = 0.01
LAST_PAUSE: Final = 0.3
"""Seconds before the next try, at most; each is drawn from 0 to twice the one before."""
ANSWER_SECONDS: Final = 2.0
"""A change that takes longer has failed: a request waits for it."""


class Away(Exception):  # noqa: N818 - says what is the matter
    """A register cannot be read or changed now. A change may have been made all the same, or be made yet; it never is
    after a later one that succeeded."""


class Registers:
    """Reads and changes them, by the names of their ConfigMaps. One that does not exist is not made."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        *,
        drawn: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`drawn`: numbers from 0 to 1."""
        self._client, self._namespace = client, namespace
        self._drawn, self._sleep = drawn, sleep
        self._known: dict[str, tuple[str, Register]] = {}
        """Version and content as last read or written."""

    async def read(self, name: str) -> Register:
        """One register as it is now.

        Raises:
            Away: it cannot be read.
        """
        async with self._answered(name):
            self._known[name] = await self._read(name)
            return self._known[name][1]

    async def change(self, name: str, change: Callable[[Register], Register]) -> Register:
        """Change one register; what it is then. `change` is called again when somebody else was first.

        Raises:
            Away: it cannot be read or written, or did not come to rest.
            Whatever `change` raises; then nothing was written.
        """
        async with self._answered(name):
            for tried in range(TRIES):
                known = self._known.pop(name, None)  # until the next answer it is not known
                version, before = known or await self._read(name)
                after = change(before)
                if after == before:
                    if known is None:
                        return before
                    continue  # that nothing is to be done, an old state cannot say
                try:
                    return await self._write(name, version, after)
                except ApiError as error:
                    if error.status != 409:
                        raise
                await self._sleep(self._drawn() * min(LAST_PAUSE, FIRST_PAUSE * 2**tried))
        raise Away(f"ConfigMap {self._namespace}/{name} was changed by others {TRIES} times in a row")

    async def _read(self, name: str) -> tuple[str, Register]:
        found = await self._client.get("ConfigMap", name, self._namespace)
        if found is None:
            raise Away(f"ConfigMap {self._namespace}/{name} is missing")
        try:
            register = text.read((found.get("data") or {}).get(ENTRY, ""))
        except ValueError as error:
            raise Away(f"ConfigMap {self._namespace}/{name}, entry {ENTRY}: {error}") from error
        return found["metadata"]["resourceVersion"], register

    async def _write(self, name: str, version: str, register: Register) -> Register:
        patch = {"metadata": {"resourceVersion": version}, "data": {ENTRY: text.write(register)}}
        answer = await self._client.merge("ConfigMap", name, self._namespace, patch)
        self._known[name] = answer["metadata"]["resourceVersion"], register
        return register

    @asynccontextmanager
    async def _answered(self, name: str) -> AsyncIterator[None]:
        """Within ANSWER_SECONDS, or it is away."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                yield
        except (ApiError, NotLeader, aiohttp.ClientError, OSError, text.TooLarge) as error:  # TimeoutError is one
            self._known.pop(name, None)
            why = str(error) or type(error).__name__
            raise Away(f"ConfigMap {self._namespace}/{name} cannot be read or written: {why}") from error
