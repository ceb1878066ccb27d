"""The Services that routes have as recognizers: their pods, watched only while a route names them."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from smallmodel_operator.api.names import LABEL_ROLE, RECOGNIZER_PORT, ROLE_RECOGNIZER
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.informer import Informer
from smallmodel_operator.core.keys import engine_key
from smallmodel_operator.gateway.decide.recognizers import Place
from smallmodel_operator.gateway.state import Endpoint, State, endpoints_of
from smallmodel_operator.gateway.view import SERVICE_LABEL
from smallmodel_operator.gateway.world import SLICES
from smallmodel_operator.routing.detect.recognizer import Recognizer

TICK_SECONDS: Final = 0.5
ANALYZE: Final = "/analyze"
CHAT: Final = "/v1/chat/completions"
Name = tuple[str, str]
"""Namespace and name."""

logger = logging.getLogger(__name__)


class Services:
    """Those that are wanted. `wanted`: by which routes, asked again and again."""

    def __init__(self, client: Client, wanted: Callable[[], Collection[Name]]) -> None:
        self._client, self._wanted = client, wanted
        self._watched: dict[Name, tuple[Informer[tuple[Endpoint, ...]], asyncio.Task[None]]] = {}

    def of(self, name: Name) -> tuple[Endpoint, ...]:
        """The pods of one that take requests now."""
        watched = self._watched.get(name)
        parts = watched[0].objects.values() if watched else ()
        found = {e for part in parts for e in part if e.ready and not e.terminating and e.port == RECOGNIZER_PORT}
        return tuple(sorted(found))

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            tasks = [task for _, task in self._watched.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Watch those that are wanted, and no others."""
        wanted = set(self._wanted())
        for name, (_, task) in list(self._watched.items()):
            if task.done():  # its last pods' addresses may be others' by now
                why = None if task.cancelled() else task.exception()
                logger.error("recognizer %s/%s is not watched any more, that begins anew: %r", *name, why)
                self._watched.pop(name)
        for name in self._watched.keys() - wanted:
            self._watched.pop(name)[1].cancel()
        for name in wanted - self._watched.keys():
            informer = Informer(
                self._client,
                SLICES,
                lambda part: endpoints_of([part]),
                lambda *_: None,
                namespace=name[0],
                # With the label of the Service: an admission policy of the chart sees to it that nobody forges one.
                selector={"labelSelector": f"{SERVICE_LABEL}={name[1]},{LABEL_ROLE}={ROLE_RECOGNIZER}"},
            )
            self._watched[name] = informer, asyncio.create_task(_forever(informer))


async def _forever(informer: Informer[tuple[Endpoint, ...]]) -> None:
    with suppress(asyncio.CancelledError):
        await informer.run()


def place(
    namespace: str,
    one: Recognizer,
    pods: Callable[[Name], Sequence[Endpoint]],
    state: State,
    pick: Callable[[Sequence[Endpoint]], Endpoint] = random.choice,
) -> Place | None:
    """Where a recognizer is asked now; None: none of its pods takes requests. Pure but for `pick`."""
    if one.service:
        found = pods((namespace, one.service))
        return Place(pick(found).address, RECOGNIZER_PORT, ANALYZE) if found else None
    target = f"{namespace}/{one.model}"
    model, running = state.models.get(target), state.endpoints.get(target, ())
    if model is None or not running or model.stopped or model.off or not state.engine_master:
        return None
    pod = pick(running)
    return Place(pod.address, pod.port, CHAT, engine_key(state.engine_master, model.uid))
