"""A kind of object as it stands now: list, watch, and list again.

Watches lie by silence: an event can be lost on the way, a server can hang. So the whole is listed again every minute,
which bounds for how long anything that is gone stays known. What cannot be listed is kept and said to be old. An
answer that suddenly lacks much of what was known is asked for a second time before anything is forgotten.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.kinds import Kind
from smallmodel_operator.core.facts import Object

Key = tuple[str, str]
"""(namespace, name)."""
T = TypeVar("T")

RELIST_SECONDS: Final = 60.0
CONFIRM_SECONDS: Final = 2.0
"""Until a doubted list is asked for again."""
LATE_SECONDS: Final = 5.0
"""How much later than asked for a server may end a watch."""
FIRST_RETRY, LAST_RETRY = 0.1, 3.0
GONE: Final = 410
FAILURES: Final = (ApiError, aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError)

logger = logging.getLogger(__name__)


def never(before: Collection[Key], now: Collection[Key]) -> bool:
    """No list is doubted."""
    return False


class Informer(Generic[T]):
    """Objects of one kind, each as what `parse` makes of it, always the last that is known.

    Args:
        client: connection to the API server.
        kind: what to list.
        parse: what is kept of an object; it may raise ValueError, KeyError or TypeError: then the older one stays.
        changed: called in the event loop with (key, before, now) after each difference; None: there is none.
        namespace: only there; None is everywhere.
        selector: `labelSelector` or `fieldSelector`, as query parameters.
        doubt: is a list that has `now` instead of `before` to be confirmed by a second one?
        known: keys that existed before this process started, for the doubt about its first list.
        relist: seconds between lists.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        parse: Callable[[Object], T],
        changed: Callable[[Key, T | None, T | None], None],
        *,
        namespace: str | None = None,
        selector: Mapping[str, str] | None = None,
        doubt: Callable[[Collection[Key], Collection[Key]], bool] = never,
        known: Collection[Key] = (),
        relist: float = RELIST_SECONDS,
    ) -> None:
        self.kind = kind
        self.objects: dict[Key, T] = {}
        self.synced = False
        """A list has been taken in."""
        self.problem = ""
        """Why what is known may be old; empty while all is well."""
        self.lists = 0
        self._client = client
        self._parse = parse
        self._changed = changed
        self._path = kind.path(namespace)
        self._selector = dict(selector or {})
        self._doubt = doubt
        self._known = frozenset(known)
        self._relist = relist
        self._heard = time.monotonic()
        self._failures = 0
        self._version = ""

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything about this kind; quiet watches speak every minute."""
        return time.monotonic() - self._heard

    async def run(self) -> None:
        """Follow until cancelled; no failure ends it."""
        while True:
            try:
                await self._list()
                await self._follow(time.monotonic() + self._relist * random.uniform(0.9, 1.1))  # noqa: S311
            except FAILURES as error:
                await self._failed(error)

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, ApiError) and error.status == GONE and self._failures == 1:
            await asyncio.sleep(FIRST_RETRY)
            return  # ordinary after a pause: what was missed is listed
        what = str(error) or type(error).__name__
        if not self.problem:
            since = datetime.now(UTC).strftime("%H:%M:%SZ")
            self.problem = f"{self.kind.plural} cannot be followed since {since}, what was known is kept: {what}"
            logger.warning("%s", self.problem)
        await asyncio.sleep(min(LAST_RETRY, FIRST_RETRY * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1))  # noqa: S311

    def _well(self) -> None:
        self._heard = time.monotonic()
        self._failures = 0
        if self.problem:
            logger.info("%s are followed again", self.kind.plural)
            self.problem = ""

    # -- lists -------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        before = frozenset(self.objects) if self.synced else self._known
        found = await self._fetch()
        if self._doubt(before, found.keys()):
            for key, obj in found.items():
                self._take(key, obj)  # what is there is true; only what is not may be a mistake
            missing = len(before - found.keys())
            self.problem = f"the API server suddenly lists {missing} of {len(before)} {self.kind.plural} no more"
            logger.warning("%s; they are kept until a second list confirms it", self.problem)
            await asyncio.sleep(CONFIRM_SECONDS)
            found = await self._fetch()
            if self._doubt(before, found.keys()):
                logger.warning("a second list confirms that %d %s are gone", missing, self.kind.plural)
        for key, obj in found.items():
            self._take(key, obj)
        for key in [k for k in self.objects if k not in found]:
            self._drop(key)
        self.synced = True
        self.lists += 1
        self._heard = time.monotonic()

    async def _fetch(self) -> dict[Key, Object]:
        answer = await self._client.request("GET", self._path, query=self._selector)
        self._version = answer["metadata"]["resourceVersion"]
        return {_key(item): item for item in answer.get("items") or ()}

    # -- watches -----------------------------------------------------------------------------------------------

    async def _follow(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            query = {
                **self._selector,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": self._version,
                "timeoutSeconds": str(max(1, round(left))),
            }
            async with aclosing(self._client.lines(self._path, query, silence=left + LATE_SECONDS)) as lines:
                async for line in lines:
                    self._well()  # not before: a server that lists but refuses to be watched is not well
                    if line:
                        self._event(json.loads(line))
            await asyncio.sleep(FIRST_RETRY)  # a server that ends watches at once is not hammered

    def _event(self, event: Mapping[str, Any]) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(int(obj.get("code", 500)), str(obj.get("reason", "")), str(obj.get("message", "")))
        self._version = obj["metadata"]["resourceVersion"]
        if kind in ("ADDED", "MODIFIED"):
            self._take(_key(obj), obj)
        elif kind == "DELETED":
            self._drop(_key(obj))

    # -- what is known -----------------------------------------------------------------------------------------

    def _take(self, key: Key, obj: Object) -> None:
        try:
            now = self._parse(obj)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s %s/%s cannot be read and is left as it was: %r", self.kind.kind, *key, error)
            return
        before = self.objects.get(key)
        self.objects[key] = now
        if before != now:
            self._changed(key, before, now)

    def _drop(self, key: Key) -> None:
        if (before := self.objects.pop(key, None)) is not None:
            self._changed(key, before, None)


def _key(obj: Object) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
