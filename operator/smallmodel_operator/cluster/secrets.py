"""Secrets: read by name, never listed, never watched; written only when they differ. Values never reach a message."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import digest
from smallmodel_operator.cluster.children import ModelKey, owned
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.pod import owner_reference

READ_SECONDS: Final = 60.0
"""How long what was written answers for."""
GIVEN_SECONDS: Final = 15.0
"""How long what users gave answers for: passes come in bursts, and none of them needs to ask again."""


class Secrets:
    """Reads the Secrets users name and keeps the ones we publish."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._published: dict[ModelKey, dict[str, tuple[str, float]]] = {}
        self._read: dict[ModelKey, dict[str, tuple[Object | None, float]]] = {}

    async def read(self, model: ModelKey, names: Iterable[str]) -> dict[str, Object | None]:
        """The Secrets of these names in the model's namespace, at most GIVEN_SECONDS old; None: there is none."""
        kept = self._read.setdefault(model, {})
        found: dict[str, Object | None] = {}
        for name in names:
            secret, since = kept.get(name, (None, float("-inf")))
            # One that is missing is looked for each time: its creation is what the model waits for.
            if secret is None or self._clock() - since >= GIVEN_SECONDS:
                secret = await self._client.get("Secret", name, model[0])
                kept[name] = (secret, self._clock())
            found[name] = secret
        return found

    async def publish(self, model: ModelKey, uid: str, wanted: Iterable[Object], *, fresh: bool) -> None:
        """Make our Secrets of a model what they should be.

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
        for secret in wanted:
            name, content = secret["metadata"]["name"], digest([uid, secret])
            before, since = done.get(name, ("", float("-inf")))
            if before == content and self._clock() - since <= READ_SECONDS:
                continue
            await self._settle(secret, owner_reference(model[1], uid), fresh=fresh and not before)
            done[name] = (content, self._clock())

    async def _settle(self, wanted: Object, owner: Mapping[str, object], *, fresh: bool) -> None:
        meta = wanted["metadata"]
        made = {**wanted, "metadata": {**meta, "ownerReferences": [owner]}}
        live = None if fresh else await self._client.get("Secret", meta["name"], meta["namespace"])
        if live is None:
            try:
                await self._client.create(made)
                return
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
                f"Secret {meta['name']!r} exists in this namespace and does not belong to this SmallModel; it is left "
                "untouched. Rename the SmallModel or remove that Secret.",
                recheck_seconds=15,
            )
        if live.get("data") != wanted["data"] or not _labelled(live, wanted):
            await self._correct(wanted, live)

    async def _correct(self, wanted: Object, live: Object) -> None:
        """On exactly this state, so that what a stranger made in between is never changed."""
        meta = live["metadata"]
        gone = {k: None for k in live.get("data") or {} if k not in wanted["data"]}
        patch = {
            "metadata": {"labels": wanted["metadata"]["labels"], "resourceVersion": meta["resourceVersion"]},
            "data": {**wanted["data"], **gone},
        }
        try:
            await self._client.merge("Secret", meta["name"], meta["namespace"], patch)
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
