"""The egress as it should be: made of what all routes offer, changed where it differs, gone where nothing may leave.

Its own objects say what it is made of, so an operator that starts goes on from there and not from nothing. What the
ClusterBoundary forbids is read anew in every pass, never remembered.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from smallmodel_operator.api.names import BOUNDARY, EGRESS, LABEL_MANAGED_BY, OPERATOR, digest
from smallmodel_operator.boundary.declared import Declared
from smallmodel_operator.boundary.egress_build import CREDENTIALS, Wish, objects, reachable
from smallmodel_operator.boundary.offers import Offer, Way, fitting, merged, owner, stored
from smallmodel_operator.boundary.passes import Signer
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.facts import Object, ObjectKey
from smallmodel_operator.core.keys import Masters, egress_seed
from smallmodel_operator.core.plan import key_of

RESYNC_SECONDS: Final = 60.0
"""How often it is compared with what it should be though nobody offered anything."""
RETRY_SECONDS: Final = 5.0
GATHER_SECONDS: Final = 0.2
"""Routes come in bursts, and each change starts it anew."""
FIRST_LOOK_SECONDS: Final = 2.0
"""After it was changed, until it is looked whether it runs; twice as long each time."""
_DENY: Final = f"{EGRESS}-default-deny"
_ENDS: Final[tuple[ObjectKey, ...]] = (
    ("Deployment", EGRESS),
    ("NetworkPolicy", EGRESS),
    ("Secret", CREDENTIALS),
    ("Service", EGRESS),
    ("ConfigMap", EGRESS),
    ("ServiceAccount", EGRESS),
)
"""What goes, in this order: first what is open, then what it was made of."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EgressSite:
    """Where it is made: the gateway's image, the ConfigMap there with authorities, and the operator's own namespace."""

    image: str
    authorities: str
    release_namespace: str
    cluster_networks: tuple[str, ...] = ()
    places: tuple[str | None, ...] = (None,)
    """Namespaces that are served; (None,): all."""


class Egress:
    """Collects what routes offer; the one writer of the egress's namespace.

    Args:
        site: None where the chart did not install it: then nothing is written and `way` says so.
        masters: what keys are made of.
        changed: called when `way` did.
    """

    def __init__(self, client: Client, site: EgressSite | None, masters: Masters, changed: Callable[[], None]) -> None:
        self._client, self._site, self._changed = client, site, changed
        self._keys = (Signer(egress_seed(masters.engine)).public,)
        self._master = masters.client
        self._offered: dict[ModelKey, tuple[Offer, ...]] = {}
        self._by: dict[ModelKey, str] = {}
        self._standing: frozenset[ModelKey] = frozenset()
        """Routes of which the egress has a host, as last seen."""
        self._settled: dict[ObjectKey, tuple[str, str, str]] = {}
        """What was sent last, and what uid and version that made: what the server keeps differently is sent once."""
        self._wake = asyncio.Event()
        self.way = Way(installed=site is not None)

    def offer(self, route: ModelKey, offers: Sequence[Offer], by: str) -> None:
        """These hosts, and no others, are the route's from now on. `by`: its uid."""
        self._by[route] = by
        before, self._offered[route] = self._offered.get(route), tuple(offers)
        if before != self._offered[route] and (before or offers or route in self._standing):
            self._wake.set()

    def forget(self, route: ModelKey, by: str) -> None:
        """The route is gone; a successor's of the same name stay."""
        if self._by.get(route, by) != by:
            return
        self._by.pop(route, None)
        if self._offered.pop(route, ()) or route in self._standing:
            # What stands of it must not count as that of one that has still to offer.
            self._offered[route] = ()
            self._wake.set()

    def heard(self) -> None:
        """The ClusterBoundary changed."""
        self._wake.set()

    async def run(self) -> None:
        """Make it what it should be, whenever something changed and at each resync, until cancelled."""
        if self._site is None:
            return
        look = FIRST_LOOK_SECONDS
        while True:
            self._wake.clear()
            try:
                runs = await self._settle(self._site)
                wait = look = RESYNC_SECONDS if runs else min(look * 2, RESYNC_SECONDS)
            except (ApiError, aiohttp.ClientError, TimeoutError, NotLeader) as error:
                # Not the leader: the process ends, or a late renewal arrives, and then this must still be here.
                logger.warning("the egress could not be brought up to date, trying again: %s", error)
                wait = RETRY_SECONDS
            except Exception as error:  # a bug: the error may quote a credential, so its kind alone is told
                logger.error("the egress could not be brought up to date, trying again: %s", type(error))
                wait = RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                look = FIRST_LOOK_SECONDS
                await asyncio.sleep(GATHER_SECONDS)

    async def _settle(self, site: EgressSite) -> bool:
        """One pass; True: there is nothing to wait for."""
        declared = await self._client.get("ClusterBoundary", BOUNDARY)
        boundary = Boundary.of(declared) if declared else Boundary()
        live = await self._live()
        before = stored(live.get(("ConfigMap", EGRESS)), live.get(("Secret", CREDENTIALS)))
        self._standing = frozenset(map(owner, before))
        for key in self._offered.keys() - self._by.keys() - self._standing:
            self._offered.pop(key)  # gone, and nothing stands of it
        wanted = merged(before, self._offered, await self._alive(site))
        chosen = fitting(wanted, before)
        hosts = reachable([offer.host for offer in chosen.values()], boundary)
        if not hosts:
            await self._end(live)
            self._say(Way(installed=True))
            return True
        data = {h.file: chosen[h.name].credential for h in hosts if h.credential}
        for obj in (*([_secret(data)] if data else []), *objects(self._wish(site, hosts, data, boundary))):
            live[key_of(obj)] = await self._made(obj, live.get(key_of(obj)))
        if not data:
            await self._delete(("Secret", CREDENTIALS), live)
        runs = _runs(live[("Deployment", EGRESS)])
        serving = frozenset(host.name for host in hosts) if runs else frozenset()
        self._say(Way(True, serving, frozenset(wanted.keys() - chosen.keys())))
        return runs

    def _wish(self, site: EgressSite, hosts: tuple[Declared, ...], data: Mapping[str, str], boundary: Boundary) -> Wish:
        word = hmac.new(self._master, json.dumps(data, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:16]
        return Wish(
            site.image,
            hosts,
            self._keys,
            site.authorities,
            site.release_namespace,
            word,
            site.cluster_networks,
            boundary,
        )

    def _say(self, way: Way) -> None:
        if way != self.way:
            self.way = way
            logger.info("the egress leads to: %s", ", ".join(sorted(way.serving)) or "nothing")
            self._changed()

    async def _alive(self, site: EgressSite) -> set[ModelKey] | None:
        """The routes there are; asked only while something stands of one that has not offered."""
        if self._standing <= self._offered.keys():
            return None
        found = [one["metadata"] for place in site.places for one in await self._client.list("ModelRoute", place)]
        return {(m["namespace"], m["name"]) for m in found if not m.get("deletionTimestamp")} | self._offered.keys()

    async def _live(self) -> dict[ObjectKey, Object]:
        keys = (*_ENDS, ("NetworkPolicy", _DENY))
        found = await asyncio.gather(*(self._client.get(kind, name, EGRESS) for kind, name in keys))
        return {key: obj for key, obj in zip(keys, found, strict=True) if obj is not None}

    async def _made(self, wanted: Object, live: Object | None) -> Object:
        key = key_of(wanted)
        if live is not None:
            meta = live["metadata"]
            if self._settled.get(key) == (digest(wanted), meta["uid"], meta["resourceVersion"]):
                return live
            if not differences(wanted, live) and not _surplus(wanted, live):
                return live
        made = await self._client.apply(wanted, force=True)
        if gone := _surplus(wanted, made):
            made = await self._client.merge(*key, EGRESS, {"data": dict.fromkeys(gone)})
        self._settled[key] = (digest(wanted), made["metadata"]["uid"], made["metadata"]["resourceVersion"])
        return made

    async def _end(self, live: Mapping[ObjectKey, Object]) -> None:
        """Take everything away. Pods that still end may reach nothing, so what forbids that goes last."""
        for key in _ENDS:
            await self._delete(key, live)
        if (kept := live.get(("NetworkPolicy", _DENY))) and not await self._client.list("Pod", EGRESS):
            await self._client.delete("NetworkPolicy", _DENY, EGRESS, kept["metadata"]["uid"])

    async def _delete(self, key: ObjectKey, live: Mapping[ObjectKey, Object]) -> None:
        if obj := live.get(key):
            await self._client.delete(*key, EGRESS, obj["metadata"]["uid"])
            self._settled.pop(key, None)


def _secret(data: Mapping[str, str]) -> dict[str, Any]:
    meta = {"name": CREDENTIALS, "namespace": EGRESS, "labels": {LABEL_MANAGED_BY: OPERATOR}}
    encoded = {file: base64.b64encode(value.encode()).decode() for file, value in sorted(data.items())}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": encoded}


def _surplus(wanted: Object, live: Object) -> set[str]:
    """Entries that are no longer declared: a credential that nobody needs is not kept."""
    return set(live.get("data") or {}) - set(wanted["data"]) if "data" in wanted else set()


def _runs(deployment: Object) -> bool:
    """Does it run as it was last written?"""
    status = deployment.get("status") or {}
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(current and status.get("updatedReplicas") == 1 and status.get("readyReplicas") == 1)
