"""Leadership by a Lease, so that two operators never both act.

Unlike client-go's election the permission to write is a fence on the monotonic clock: it opens when a renewal was
answered and ends a lease duration after that renewal was *sent*, less a margin. A process that was stopped for a
minute therefore finds its fence closed before its first write.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import boottime

DURATION: Final = 15.0
"""Seconds a lease is valid without renewal (client-go's default)."""
RENEW_EVERY: Final = 3.0
RETRY_EVERY: Final = 2.0
MARGIN: Final = 2.0
"""Seconds before the end at which we stop writing: a request may be under way that long."""

logger = logging.getLogger(__name__)


class Lease:
    """One candidate for one Lease object."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = boottime,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`lost` is called in the thread that holds it: the main loop may hang."""
        self._client = client
        self._lost = lost
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._seen: tuple[str, float] | None = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """False when the thread that should hold the lease has died."""
        return self._thread is None or self._thread.is_alive()

    async def acquire(self) -> None:
        """Return when this process leads."""
        waiting = ""
        while True:
            holder = await self._try()
            if holder == self.identity:
                logger.info("leading as %s", self.identity)
                return
            if holder != waiting:
                logger.info("standing by: %s leads", holder or "nobody yet")
                waiting = holder
            await asyncio.sleep(RETRY_EVERY)

    async def hold(self) -> None:
        """Renew until the lease is another's; then the fence is closed and this returns.

        While the API server is away the fence closes in time, and opens again if the lease is still ours: nobody
        else can have led meanwhile.
        """
        while True:
            remaining = self._client.fence.remaining
            await asyncio.sleep(min(RENEW_EVERY, max(0.1, remaining)) if remaining > 0 else RETRY_EVERY)
            if await self._try(renew=True) not in (self.identity, ""):
                break
        self._client.fence.close()
        logger.error("the lease was lost; this process stops")

    @asynccontextmanager
    async def held(self) -> "AsyncIterator[asyncio.Future[None]]":
        """Hold in a thread of its own; yields a future that is done when the lease was lost.

        A main loop that is busy with a thousand models answers late; a late renewal would cost the lease.
        """
        main = asyncio.get_running_loop()
        lost: asyncio.Future[None] = main.create_future()
        started: Future[Callable[[], object]] = Future()

        def tell() -> None:
            if not lost.done():
                lost.set_result(None)

        def hold() -> None:
            try:
                with suppress(asyncio.CancelledError):
                    asyncio.run(self._hold_aside(started))
                    self._lost()
            except Exception:
                logger.exception("the lease's thread failed; this process stops")
                self._lost()
            finally:
                self._client.fence.close()  # nobody renews any more
                if not started.done():
                    started.set_exception(RuntimeError("the lease's thread did not start"))
                with suppress(RuntimeError):  # the main loop is gone
                    main.call_soon_threadsafe(tell)

        self._thread = thread = threading.Thread(target=hold, name="lease", daemon=True)
        thread.start()
        end = await asyncio.wrap_future(started)
        try:
            yield lost
        finally:
            with suppress(RuntimeError):  # it has ended already
                end()
            await asyncio.to_thread(thread.join)
            self._thread = None

    async def _hold_aside(self, started: "Future[Callable[[], object]]") -> None:
        loop, client = asyncio.get_running_loop(), self._client.twin()
        task = asyncio.ensure_future(Lease(client, self._namespace, self._name, self.identity, self._clock).hold())
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            await task
        finally:
            await client.close()

    async def release(self) -> None:
        """Give the lease up, so that a follower need not wait for its end."""
        self._client.fence.close()
        try:
            lease = await self._client.get("Lease", self._name, self._namespace)
            if lease and lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=_now())
                await self._client.replace(lease)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the lease could not be given up: %s", error)

    async def _try(self, *, renew: bool = False) -> str:
        """One attempt to take the lease (only to renew it); who holds it now, or "" when that is unknown."""
        sent = self._clock()
        try:
            async with asyncio.timeout(DURATION - MARGIN):
                holder = await self._take(renew)
        except Exception as error:
            # Whatever it is (a proxy's page for an answer, a token that cannot be read): only a thread that goes on
            # trying finds out when it is over. The fence closes by itself meanwhile.
            if not (isinstance(error, ApiError) and error.status == 409):
                said = str(error) or type(error).__name__
                logger.warning("lease %s/%s: %s", self._namespace, self._name, said)
            return ""
        if holder == self.identity:
            self._client.fence.extend(sent + DURATION - MARGIN)
        return holder

    async def _take(self, renew: bool) -> str:
        live = await self._client.get("Lease", self._name, self._namespace)
        if live is None:
            await self._client.create(self._body({}, transitions=0))
            return self.identity
        spec = live.get("spec", {})
        holder = str(spec.get("holderIdentity") or "")
        if renew and holder != self.identity:
            return holder or "nobody: it was given up"
        if holder not in ("", self.identity) and not self._expired(live):
            return holder
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self.identity)
        await self._client.replace(self._body(live, transitions))
        return self.identity

    def _expired(self, live: Mapping[str, Any]) -> bool:
        """Expiry by our own clock since the record last changed: clocks of two nodes need not agree."""
        version, now = live["metadata"]["resourceVersion"], self._clock()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
            return False
        return now - self._seen[1] > float(live["spec"].get("leaseDurationSeconds") or DURATION)

    def _body(self, live: Mapping[str, Any], transitions: int) -> dict[str, Any]:
        held = live.get("spec", {}).get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": live["spec"]["acquireTime"] if held and "acquireTime" in live["spec"] else _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }
        metadata = {"name": self._name, "namespace": self._namespace}
        if live:
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
