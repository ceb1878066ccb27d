"""How much the other gateways hold, as last heard: the bound of a model is over all of them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from smallmodel_operator.gateway.activate.probe import host

ASK_SECONDS: Final = 0.1
FORGET_SECONDS: Final = 3.0
"""A gateway that does not answer for so long holds nothing any more: it is gone, and so are its connections."""
PATH: Final = "/held"

logger = logging.getLogger(__name__)


class Peers:
    """Asks while this gateway holds something itself. Two gateways that fill up within ASK_SECONDS may overshoot a
    model's bound together by what they admit in that time; each alone never does."""

    def __init__(
        self,
        addresses: Callable[[], tuple[str, ...]],
        introduction: Callable[[], Mapping[str, str]],
        clock: Callable[[], float],
    ) -> None:
        self._addresses = addresses
        self._introduction = introduction
        self._clock = clock
        self._heard: dict[str, tuple[float, Mapping[str, int]]] = {}
        self.busy = asyncio.Event()
        """Set while something is held."""

    def elsewhere(self, target: str) -> int:
        """Requests that the others hold for a target."""
        since, known = self._clock() - FORGET_SECONDS, set(self._addresses())
        return sum(held.get(target, 0) for peer, (at, held) in self._heard.items() if peer in known and at >= since)

    async def run(self, port: int) -> None:
        """Ask all peers on their activators' port whenever busy, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=1.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self.busy.wait()
                addresses = self._addresses()
                self._heard = {peer: heard for peer, heard in self._heard.items() if peer in addresses}
                await asyncio.gather(*(self._ask(session, peer, port) for peer in addresses))
                await asyncio.sleep(ASK_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, peer: str, port: int) -> None:
        try:
            url = f"http://{host(peer)}:{port}{PATH}"
            async with session.get(url, headers=self._introduction()) as response:
                answer = await response.json()
                self._heard[peer] = (self._clock(), {str(t): int(n) for t, n in answer["held"].items()})
        except aiohttp.ClientConnectorError as error:
            self._heard.pop(peer, None)  # nobody listens: what was held there is held no more
            logger.debug("gateway %s does not listen: %s", peer, error)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.debug("gateway %s does not say what it holds: %r", peer, error)
