"""Keys of subjects as one gateway has them: those it has used in memory, the others in the gateways' Secrets.

A key that was destroyed elsewhere is forgotten at the next look. Until then content may still be sealed under it: it is
erased from the beginning, for nobody has the key any more.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from smallmodel_operator.audit.content.keyring import Keyring, Random, SubjectKey, Tombstone
from smallmodel_operator.audit.content.shards import SHARDS, joined, scoped, secret_name, shard_of
from smallmodel_operator.cluster.shared import Away

MOST_CACHED: Final = 20_000
"""Keys in memory; of more subjects the Secrets are asked again."""


class Rings(Protocol):
    """See cluster/subject_keys.py."""

    async def read(self, name: str) -> Keyring | None: ...

    async def change(self, name: str, change: Callable[[Keyring | None], Keyring | None]) -> Keyring | None: ...


class Keys:
    """Of one gateway. Raises `Away` (cluster/shared.py) where a key cannot be had now."""

    def __init__(self, rings: Rings, random: Random = secrets.token_bytes) -> None:
        self._rings, self._random = rings, random
        self._empty: Keyring | None = None
        """A ring without keys, of the pepper that is in force; None: it is not known yet."""
        self._known: dict[str, SubjectKey] = {}
        """By pseudonym."""
        self._turn = [asyncio.Lock() for _ in range(SHARDS)]
        self.erased: Mapping[str, Tombstone] = {}
        """Keys that are known to be destroyed, by their names."""
        self.subjects = 0
        """Who has a key, as of the last look."""

    async def of(self, namespace: str, subject: str) -> SubjectKey:
        """The key of a subject, made where it has none.

        Raises:
            Away: it cannot be had.
            ValueError: it is no name of a subject.
        """
        name = scoped(namespace, subject)
        pseudonym = (await self._begun()).pseudonym(name)
        if (known := self._known.get(pseudonym)) is not None:
            return known
        shard = shard_of(pseudonym)
        async with self._turn[shard]:  # who comes first makes it, for all who wait
            if (known := self._known.get(pseudonym)) is not None:
                return known
            found = await self._made(shard, pseudonym)
        while len(self._known) >= MOST_CACHED:
            del self._known[next(iter(self._known))]
        self._known[pseudonym] = found
        return found

    async def look(self) -> None:
        """Which keys are destroyed? Nothing is made.

        Raises:
            Away: that cannot be told.
            ValueError: the Secrets contradict each other.
        """
        before = set(self._known.values())  # a key that is made while this looks may be in a piece that was read
        whole = joined({number: await self._rings.read(secret_name(number)) for number in range(SHARDS)})
        if whole is None:
            return  # nothing was ever kept
        self._empty = Keyring(whole.pepper)
        self.erased, self.subjects = whole.erased, len(whole.keys)
        self._known = {p: key for p, key in self._known.items() if key.name in whole.keys or key not in before}

    async def _begun(self) -> Keyring:
        """The pepper; the first of all gateways makes it."""
        if self._empty is None:
            first = await self._rings.read(secret_name(0))
            if first is None and (other := await self._first_of_the_others()) is not None:
                first = await self._rings.read(secret_name(0))  # another gateway may have made it meanwhile
                if first is None:
                    raise Away(f"Secret {secret_name(0)} is empty and {secret_name(other)} is not: put it back")
            if first is None:
                first = await self._rings.change(secret_name(0), lambda found: found or Keyring.new(self._random))
            assert first is not None
            self._empty = Keyring(first.pepper)
        return self._empty

    async def _first_of_the_others(self) -> int | None:
        """A piece that is not empty, which none is before the first piece was made."""
        for number in range(1, SHARDS):
            if await self._rings.read(secret_name(number)) is not None:
                return number
        return None

    async def _made(self, shard: int, pseudonym: str) -> SubjectKey:
        empty = await self._begun()
        after = await self._rings.change(
            secret_name(shard), lambda found: (found or empty).keyed(pseudonym, self._random)[0]
        )
        key = after.of(pseudonym) if after is not None else None
        assert key is not None
        return key
