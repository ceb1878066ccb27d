"""Values that several processes keep in one object each, changed on the state they were made of (compare-and-swap)."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import NotLeader

TRIES: Final = 12
"""Somebody else wrote in between so often, and it is given up."""
FIRST_PAUSE: Final = 0.01
LAST_PAUSE: Final = 0.3
"""Seconds before the next try, at most; each is drawn from 0 to twice the one before."""
ANSWER_SECONDS: Final = 2.0
"""A change that takes longer has failed: a request waits for it."""

T = TypeVar("T")


class Away(Exception):  # noqa: N818 - says what is the matter
    """A value cannot be read or changed now. A change may have been made all the same, or be made yet; it never is
    after a later one that succeeded."""


class TooLarge(Exception):  # noqa: N818 - says what is the matter
    """A value does not fit into its object."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a value stands in an object.

    Args:
        kind: ConfigMap or Secret.
        load: the value in `data` of the object; raises ValueError: there is none that can be read.
        dump: what replaces of `data`; raises TooLarge.
    """

    kind: str
    load: Callable[[dict[str, str]], T]
    dump: Callable[[T], dict[str, str]]


class Shared(Generic[T]):
    """Reads and changes them, by the names of their objects. One that does not exist is not made."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        form: Form[T],
        *,
        drawn: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`drawn`: numbers from 0 to 1."""
        self._client, self._namespace, self._form = client, namespace, form
        self._drawn, self._sleep = drawn, sleep
        self._known: dict[str, tuple[str, T]] = {}
        """Version and content as last read or written."""

    async def read(self, name: str) -> T:
        """One value as it is now.

        Raises:
            Away: it cannot be read.
        """
        async with self._answered(name):
            self._known[name] = await self._read(name)
            return self._known[name][1]

    async def change(self, name: str, change: Callable[[T], T]) -> T:
        """Change one value; what it is then. `change` is called again when somebody else was first.

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
        raise Away(f"{self._called(name)} was changed by others {TRIES} times in a row")

    def _called(self, name: str) -> str:
        return f"{self._form.kind} {self._namespace}/{name}"

    async def _read(self, name: str) -> tuple[str, T]:
        found: dict[str, Any] | None = await self._client.get(self._form.kind, name, self._namespace)
        if found is None:
            raise Away(f"{self._called(name)} is missing")
        try:
            value = self._form.load(found.get("data") or {})
        except ValueError as error:
            raise Away(f"{self._called(name)}, {error}") from error
        return found["metadata"]["resourceVersion"], value

    async def _write(self, name: str, version: str, value: T) -> T:
        patch = {"metadata": {"resourceVersion": version}, "data": self._form.dump(value)}
        answer = await self._client.merge(self._form.kind, name, self._namespace, patch)
        self._known[name] = answer["metadata"]["resourceVersion"], value
        return value

    @asynccontextmanager
    async def _answered(self, name: str) -> AsyncIterator[None]:
        """Within ANSWER_SECONDS, or it is away."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                yield
        except (ApiError, NotLeader, aiohttp.ClientError, OSError, TooLarge) as error:  # TimeoutError is one
            self._known.pop(name, None)
            why = str(error) or type(error).__name__
            raise Away(f"{self._called(name)} cannot be read or written: {why}") from error
