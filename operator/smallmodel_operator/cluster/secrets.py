"""Secrets: read by name, never listed, never watched; written only when they differ. Values never reach a message.

A settled model has a pass every ten minutes only, so the ones we publish are looked at beside the passes, one after the
other, each once a minute in a second of its own. What is gone or changed wakes its model.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import aiohttp

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import digest
from smallmodel_operator.cluster.children import ModelKey, owned
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Note
from smallmodel_operator.core.pod import owner_reference

READ_SECONDS: Final = 60
"""How long what was written answers for. Each is looked at as often."""
EVENT: Final = "SecretRestored"
NEVER: Final = float("-inf")
GIVEN_SECONDS: Final = 15.0
"""How long what users gave answers for: passes come in bursts, and none of them needs to ask again."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    """One that we published: a digest of what it should be, and its version when it was that."""

    content: str
    version: str
    since: float


class Secrets:
    """Reads the Secrets users name and keeps the ones we publish."""

    def __init__(
        self,
        client: Client,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        kind: str = "SmallModel",
    ) -> None:
        """`kind`: of the owners."""
        self._client = client
        self._kind = kind
        self._clock, self._sleep = clock, sleep
        self._published: dict[ModelKey, dict[str, _Kept]] = {}
        self._read: dict[ModelKey, dict[str, tuple[Object | None, float]]] = {}

    async def read(self, model: ModelKey, names: Iterable[str]) -> dict[str, Object | None]:
        """The Secrets of these names in the model's namespace, at most GIVEN_SECONDS old; None: there is none."""
        kept = self._read.setdefault(model, {})
        found: dict[str, Object | None] = {}
        for name in names:
            secret, since = kept.get(name, (None, NEVER))
            # One that is missing is looked for each time: its creation is what the model waits for.
            if secret is None or self._clock() - since >= GIVEN_SECONDS:
                secret = await self._client.get("Secret", name, model[0])
                kept[name] = (secret, self._clock())
            found[name] = secret
        return found

    async def publish(self, model: ModelKey, uid: str, wanted: Iterable[Object], *, fresh: bool) -> tuple[Note, ...]:
        """Make our Secrets of a model what they should be. What was made again is worth a note.

        Args:
            model: namespace and name.
            uid: of the model, their owner.
            wanted: the Secrets.
            fresh: the model has no children yet, so that creating comes before looking.

        Raises:
            Refused: a name is taken by a Secret that is not ours.
            NotYet: it is being deleted, or moved under us.
        """
        done = self._published.setdefault(model, {})
        notes: list[Note] = []
        for secret in wanted:
            name, content = secret["metadata"]["name"], digest([uid, secret])
            before = done.get(name)
            if before and before.content == content and self._clock() - before.since <= READ_SECONDS:
                continue
            live, made = await self._settle(
                secret, owner_reference(model[1], uid, self._kind), fresh=fresh and not before
            )
            done[name] = _Kept(content, str(live["metadata"]["resourceVersion"]), self._clock())
            if made and before and before.content == content:
                notes.append(Note(EVENT, f"Secret {name!r} was gone; it is made again, with the same key."))
        return tuple(notes)

    async def watch(self, poke: Callable[[ModelKey], None]) -> None:
        """Look at each of ours once in READ_SECONDS, until cancelled. `poke` is told of models that have lost one."""
        second = int(self._clock())
        while True:
            for model, name in self.due(second):
                try:
                    if not await self.holds(model, name):
                        poke(model)
                except (ApiError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                    logger.debug("Secret %s/%s could not be read: %s", model[0], name, type(error).__name__)
            second = max(second + 1, int(self._clock()) - READ_SECONDS)  # late: one after the other, none twice
            await self._sleep(max(0.0, second - self._clock()))

    def due(self, second: int) -> list[tuple[ModelKey, str]]:
        """Those that are looked at in this second: each has its own in the minute, by its name."""
        ours = [(model, name) for model, kept in self._published.items() for name in kept]
        return [(m, name) for m, name in ours if (crc32(f"{m[0]}/{name}".encode()) - second) % READ_SECONDS == 0]

    async def holds(self, model: ModelKey, name: str) -> bool:
        """Is one of ours as it was written? If not, the next pass makes it what it should be.

        Raises:
            ApiError, aiohttp.ClientError, TimeoutError: it could not be read.
        """
        before = self._published.get(model, {}).get(name)
        live = await self._client.get("Secret", name, model[0])
        kept = self._published.get(model, {})
        if before is None or kept.get(name) is not before:
            return True  # forgotten or written meanwhile
        same = live is not None and live["metadata"]["resourceVersion"] == before.version
        kept[name] = replace(before, since=self._clock() if same else NEVER)
        if not same and before.since != NEVER:
            logger.info("%s/%s: Secret %s was %s", *model, name, "changed" if live else "deleted")
        return same

    async def _settle(self, wanted: Object, owner: Mapping[str, object], *, fresh: bool) -> tuple[Object, bool]:
        """Make it so: as it is then, and whether it was made."""
        meta = wanted["metadata"]
        made = {**wanted, "metadata": {**meta, "ownerReferences": [owner]}}
        live = None if fresh else await self._client.get("Secret", meta["name"], meta["namespace"])
        if live is None:
            try:
                return await self._client.create(made), True
            except ApiError as error:
                if error.status != 409:
                    raise
                live = await self._client.get("Secret", meta["name"], meta["namespace"])
        if live is None or live["metadata"].get("deletionTimestamp"):
            raise NotYet(
                Reason.PROGRESSING, f"Secret {meta['name']!r} is being deleted; it is made again.", after_seconds=1
            )
        if not owned(live, str(owner["uid"])):
            raise Refused(
                Reason.NAME_TAKEN,
                f"Secret {meta['name']!r} exists in this namespace and does not belong to this {self._kind}; it is "
                f"left untouched. Rename the {self._kind} or remove that Secret.",
                recheck_seconds=15,
            )
        if live.get("data") != wanted["data"] or not _labelled(live, wanted):
            return await self._correct(wanted, live), False
        return live, False

    async def _correct(self, wanted: Object, live: Object) -> Object:
        """On exactly this state, so that what a stranger made in between is never changed."""
        meta = live["metadata"]
        gone = {k: None for k in live.get("data") or {} if k not in wanted["data"]}
        patch = {
            "metadata": {"labels": wanted["metadata"]["labels"], "resourceVersion": meta["resourceVersion"]},
            "data": {**wanted["data"], **gone},
        }
        try:
            return await self._client.merge("Secret", meta["name"], meta["namespace"], patch)
        except ApiError as error:
            if error.status in (404, 409):
                raise NotYet(Reason.PROGRESSING, "A Secret moved while it was written.", after_seconds=1) from error
            raise

    def forget(self, model: ModelKey) -> None:
        self._published.pop(model, None)
        self._read.pop(model, None)


def _labelled(live: Object, wanted: Object) -> bool:
    have = live["metadata"].get("labels") or {}
    return all(have.get(k) == v for k, v in wanted["metadata"]["labels"].items())
