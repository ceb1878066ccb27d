"""The two Secrets of our own namespace: what keys are made of, and the hashes of callers' keys that gateways read."""

import asyncio
import base64
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import aiohttp

from smallmodel_operator.api.names import GATEWAY_KEYS, OPERATOR_KEYS
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.keys import ENGINE_MASTER, TABLE, Identity, Masters, dump, load

CLIENT_MASTER: Final = "client-master"
MASTER_BYTES: Final = 32
GATHER_SECONDS: Final = 0.5
"""Models come in bursts; one write serves all whose keys became known meanwhile."""
RETRY_SECONDS: Final = 5.0
LARGEST_BYTES: Final = 900_000
"""A Secret holds 1 MiB, base64 included."""

logger = logging.getLogger(__name__)


class KeyTable:
    """Collects the key hashes of all models and writes them; the one writer of both Secrets.

    `models` says which models exist, or None while that is not known: then nothing is taken out of the table.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._offered: dict[ModelKey, dict[str, Identity]] = {}
        self._changed = asyncio.Event()
        self._text = ""
        self.models: Callable[[], Iterable[ModelKey] | None] = lambda: None

    async def masters(self) -> Masters:
        """What keys are made of; made at the first start, never changed after.

        Raises:
            ApiError: the Secrets cannot be read or created.
        """
        client = await self._master(OPERATOR_KEYS, CLIENT_MASTER)
        engine = await self._master(GATEWAY_KEYS, ENGINE_MASTER)
        return Masters(client=client, engine=engine)

    async def _master(self, secret: str, entry: str) -> bytes:
        live = await self._client.get("Secret", secret, self._namespace)
        if live is None:
            try:
                live = await self._client.create(self._secret(secret))
            except ApiError as error:
                if error.status != 409:
                    raise
                live = await self._client.get("Secret", secret, self._namespace) or {}
        known = base64.b64decode((live.get("data") or {}).get(entry, ""))
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

    def offer(self, model: ModelKey, keys: Mapping[str, Identity]) -> None:
        """These keys, and no others, stand for this model from now on."""
        if self._offered.get(model) != keys:
            self._offered[model] = dict(keys)
            self._changed.set()

    def forget(self, model: ModelKey) -> None:
        if self._offered.pop(model, None) is not None:
            self._changed.set()

    async def run(self) -> None:
        """Write whenever something changed, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            try:
                await self._write()
            except NotLeader:
                return
            except (ApiError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                logger.warning("the gateways' key table could not be written, trying again: %s", error)
                self._changed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _write(self) -> None:
        live = await self._client.get("Secret", GATEWAY_KEYS, self._namespace)
        stored = base64.b64decode(((live or {}).get("data") or {}).get(TABLE, "")).decode()
        text = dump(merged(_read(stored), self._offered, self.models()))
        if text == stored:
            return
        if len(text) > LARGEST_BYTES:
            raise ValueError(f"{len(text)} bytes of key hashes do not fit into one Secret")
        data = {TABLE: base64.b64encode(text.encode()).decode()}
        await self._client.merge("Secret", GATEWAY_KEYS, self._namespace, {"data": data})


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
    kept = {
        sha: who
        for sha, who in stored.items()
        if (model := _model(who)) not in offered and (alive is None or model in alive)
    }
    given = {
        sha: who for model, keys in offered.items() if alive is None or model in alive for sha, who in keys.items()
    }
    return kept | given


def _model(who: Identity) -> ModelKey:
    namespace, _, rest = who.name.removeprefix("key:").partition("/")
    return namespace, rest.partition("/")[0]


def _read(text: str) -> dict[str, Identity]:
    try:
        return load(text) if text else {}
    except ValueError as error:
        logger.warning("%s; it is written anew", error)
        return {}
