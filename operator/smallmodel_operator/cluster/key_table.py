"""The two Secrets of our own namespace: what keys are made of, and the hashes of callers' keys that gateways read."""

import asyncio
import base64
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import aiohttp

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import GATEWAY_KEYS, OPERATOR_KEYS
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.keys import ENGINE_MASTER, TABLE, Identity, Masters, dump, load
from smallmodel_operator.core.outcome import Refused

CLIENT_MASTER: Final = "client-master"
MASTER_BYTES: Final = 32
GATHER_SECONDS: Final = 0.5
"""Models come in bursts; one write serves all whose keys became known meanwhile."""
RETRY_SECONDS: Final = 5.0
RESYNC_SECONDS: Final = 60.0
"""How often the Secrets and the table are compared with what should be there though nobody offered anything."""
LARGEST_BYTES: Final = 900_000
"""A Secret holds 1 MiB."""

logger = logging.getLogger(__name__)


class KeyTable:
    """Collects the key hashes of all models and routes and writes them; the one writer of both Secrets.

    `models` says which of both exist and are not being deleted, or None while the watch has not told of any: then
    nothing is taken out of the table at first, and at the next resync they are listed.
    """

    def __init__(self, client: Client, namespace: str, places: Sequence[str | None] = (None,)) -> None:
        """`places`: the namespaces models are served in; (None,): everywhere."""
        self._client = client
        self._namespace = namespace
        self._places = places
        self._masters = Masters(b"", b"")
        self._offered: dict[ModelKey, dict[str, Identity]] = {}
        self._by: dict[ModelKey, str] = {}
        """Who offered them: a SmallModel and a ModelRoute of one name are two."""
        self._written: dict[str, Identity] = {}
        """What the Secret held when it could last be read, should it be lost."""
        self._left_out: dict[ModelKey, int] = {}
        self.size = 0
        """Bytes of the table as last compared."""
        self.compared = 0.0
        """When the table was last known to be as it should be, in seconds since 1970; 0: never."""
        self._changed = asyncio.Event()
        self._patient_until = float("inf")
        """Until when a lost table waits for all models to offer their keys again."""
        self._awaited: set[ModelKey] | None = None
        self.models: Callable[[], Iterable[ModelKey] | None] = lambda: None

    async def masters(self) -> Masters:
        """What keys are made of; made at the first start, never changed after. To be asked before `run`.

        Raises:
            ApiError: the Secrets cannot be read or created.
        """
        client = await self._master(OPERATOR_KEYS, CLIENT_MASTER)
        engine = await self._master(GATEWAY_KEYS, ENGINE_MASTER)
        self._masters = Masters(client=client, engine=engine)
        return self._masters

    async def _master(self, secret: str, entry: str) -> bytes:
        live = await self._client.get("Secret", secret, self._namespace)
        if live is None:
            try:
                live = await self._client.create(self._secret(secret))
            except ApiError as error:
                if error.status != 409:
                    raise
                live = await self._client.get("Secret", secret, self._namespace) or {}
        known = _entry(live, entry)
        if len(known) >= MASTER_BYTES:
            return known
        made = secrets.token_bytes(MASTER_BYTES)
        version = live["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {entry: base64.b64encode(made).decode()}}
        await self._client.merge("Secret", secret, self._namespace, patch)
        return made

    def _secret(self, name: str) -> Object:
        meta = {"name": name, "namespace": self._namespace, "labels": {"app.kubernetes.io/part-of": "smallmodel"}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {}}

    def offer(self, model: ModelKey, keys: Mapping[str, Identity], by: str = "") -> None:
        """These keys, and no others, stand for this model from now on. `by`: uid of who has the name."""
        self._by[model] = by
        if self._offered.get(model) != keys:
            self._offered[model] = dict(keys)
            self._changed.set()

    def forget(self, model: ModelKey, by: str = "") -> None:
        """Whoever offered them is gone; somebody else's of the same name stay."""
        if self._by.get(model, by) != by:
            return
        self._by.pop(model, None)
        if self._offered.pop(model, None) is not None:
            self._changed.set()

    def problem(self, model: ModelKey) -> Refused | None:
        """Why not all keys of a model are in force; it is known a moment after they were offered."""
        count = self._left_out.get(model, 0)
        if not count:
            return None
        return Refused(
            Reason.QUOTA_EXCEEDED,
            f"{count} of this model's keys do not fit into the gateways' table any more ({LARGEST_BYTES} bytes for all "
            "models) and open nothing. Remove entries of `spec.access.apiKeys` here or in other models.",
            recheck_seconds=RESYNC_SECONDS,
        )

    async def run(self) -> None:
        """Write at the start, whenever something changed and what is not right at a resync, until cancelled."""
        first = True
        self._patient_until = time.monotonic() + RESYNC_SECONDS
        while True:
            self._changed.clear()
            try:
                await self._settle(await self._alive(ask=not first))
            except (ApiError, aiohttp.ClientError, TimeoutError, ValueError, NotLeader) as error:
                # Not the leader: the process ends, or a late renewal arrives, and then this must still be here.
                logger.warning("the gateways' key table could not be written, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            first = False
            with suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_SECONDS):
                    await self._changed.wait()
                await asyncio.sleep(GATHER_SECONDS)

    async def _alive(self, *, ask: bool) -> set[ModelKey] | None:
        """The models there are. The watch tells with the first one: with none left only a list knows that."""
        told = self.models()
        if told is not None or not ask:
            return None if told is None else set(told)
        return await self._listed()

    async def _listed(self) -> set[ModelKey]:
        kinds = [(kind, place) for kind in ("SmallModel", "ModelRoute") for place in self._places]
        found = [one for kind, place in kinds for one in await self._client.list(kind, place)]
        metas = [m["metadata"] for m in found if not m["metadata"].get("deletionTimestamp")]
        return {(m["namespace"], m["name"]) for m in metas}

    async def _unheard(self) -> bool:
        """Is there a model that has still to offer its keys? Not asked for ever: one may be held for long."""
        if time.monotonic() > self._patient_until:
            return False
        if self._awaited is None:
            self._awaited = await self._listed()
        return bool(self._awaited - set(self._offered))

    async def _settle(self, alive: set[ModelKey] | None) -> None:
        callers = await self._client.get("Secret", OPERATOR_KEYS, self._namespace)
        await self._write(OPERATOR_KEYS, callers, {CLIENT_MASTER: self._masters.client})
        live = await self._client.get("Secret", GATEWAY_KEYS, self._namespace)
        stored = _read(_entry(live, TABLE))
        before = self._written if stored is None else stored
        if not before and stored is None and await self._unheard():
            # Gateways go on with the table they have until this one can take its place.
            await self._write(GATEWAY_KEYS, live, {ENGINE_MASTER: self._masters.engine})
            return
        wanted = merged(before, self._offered, alive)
        table = fitting(wanted, before, LARGEST_BYTES)
        self._tell_left_out([one for sha, who in wanted.items() if sha not in table for one in _apart(who)])
        text = dump(table)
        await self._write(GATEWAY_KEYS, live, {ENGINE_MASTER: self._masters.engine, TABLE: text.encode()})
        self._written, self.size, self.compared = table, len(text), time.time()

    def _tell_left_out(self, who: Iterable[Identity]) -> None:
        now = dict(Counter(map(_model, who)))
        if now != self._left_out:
            names = ", ".join(f"{namespace}/{name}" for namespace, name in sorted(now)[:10])
            logger.warning("%d keys do not fit into the gateways' table: %s", sum(now.values()), names or "none")
        self._left_out = now

    async def _write(self, name: str, live: Object | None, wanted: Mapping[str, bytes]) -> None:
        """Make these entries of a Secret what they should be; nothing is sent when they are."""
        data = {entry: base64.b64encode(value).decode() for entry, value in wanted.items()}
        if live is None:
            logger.warning("Secret %s is gone, it is made again", name)
            await self._client.create({**self._secret(name), "data": data})
            return
        have = live.get("data") or {}
        wrong = {entry: value for entry, value in data.items() if have.get(entry) != value}
        if wrong:
            await self._client.merge("Secret", name, self._namespace, {"data": wrong})


def merged(
    stored: Mapping[str, Identity],
    offered: Mapping[ModelKey, Mapping[str, Identity]],
    models: Iterable[ModelKey] | None,
) -> dict[str, Identity]:
    """The table to write: what was offered, and of what is stored the keys of models that still have to offer.

    Args:
        stored: the table as it is.
        offered: keys by model; they replace all of that model's.
        models: those that exist; None: not known yet, so nothing is taken out.
    """
    alive = None if models is None else set(models)
    found: dict[str, set[Identity]] = {}
    for sha, shared in stored.items():
        for who in _apart(shared):
            if (model := _model(who)) not in offered and (alive is None or model in alive):
                found.setdefault(sha, set()).add(who)
    for model, keys in offered.items():
        if alive is None or model in alive:
            for sha, who in keys.items():
                found.setdefault(sha, set()).add(who)
    return {sha: _together(identities) for sha, identities in found.items()}


def _apart(shared: Identity) -> list[Identity]:
    return [replace(shared, also=()), *(Identity("", name) for name in shared.also)]


def _together(identities: Iterable[Identity]) -> Identity:
    """Whose a key is that several models give: a model's own before those somebody brings, then always the same."""
    first, *others = sorted(identities, key=lambda who: (not who.namespace, who.name))
    return replace(first, also=tuple(who.name for who in others))


def fitting(table: dict[str, Identity], before: Mapping[str, Identity], most: int) -> dict[str, Identity]:
    """As much of a table as there is room for, so that a full one stops neither rotation nor revocation.

    Models' own keys come first, then those brought that are there already, then new ones; each model's first before
    any model's second, so that who brings many loses first.
    """
    if len(dump(table)) <= most:
        return table
    brought: Counter[ModelKey] = Counter()
    ranked: list[tuple[tuple[bool, bool, int, str], str]] = []
    for sha, who in sorted(table.items(), key=lambda item: (item[0] not in before, item[1].name)):
        if not who.namespace:
            brought[_model(who)] += 1
        turn = brought[_model(who)] if not who.namespace else 0
        ranked.append(((not who.namespace, sha not in before, turn, who.name), sha))
    empty = len(dump({}))
    found, left = {}, most - empty + 1
    for _, sha in sorted(ranked):
        left -= len(dump({sha: table[sha]})) - empty + 1  # and a comma, but before the first
        if left < 0:
            break
        found[sha] = table[sha]
    return found


def _model(who: Identity) -> ModelKey:
    namespace, _, rest = who.name.removeprefix("key:").partition("/")
    return namespace, rest.partition("/")[0]


def _entry(secret: Object | None, entry: str) -> bytes:
    return base64.b64decode(((secret or {}).get("data") or {}).get(entry, ""))


def _read(text: bytes) -> dict[str, Identity] | None:
    """The table as it stands; None: there is none that can be read."""
    try:
        return load(text.decode()) if text else None
    except ValueError as error:
        logger.warning("%s; it is written anew", error)
        return None
