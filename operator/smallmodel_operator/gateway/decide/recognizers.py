"""Asks recognizers. Whatever is not an answer in time is a reason to stay inside; no text of a request is logged."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from smallmodel_operator.routing.detect.decide import Reason
from smallmodel_operator.routing.detect.recognizer import MOST_BYTES, Recognizer, Unusable, found, question

MOST_ASKED: Final = 32
"""Questions under way of one gateway; what comes beyond them stays inside unasked."""
_PIECE: Final = 64 * 1024
_OK: Final = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recognizer is asked: the address of a pod, never a name. `key`: what it wants to be shown."""

    address: str
    port: int
    path: str
    key: str = field(default="", repr=False)

    @property
    def url(self) -> URL:
        return URL.build(scheme="http", host=self.address, port=self.port, path=self.path)


class Recognizers:
    """Of one gateway, inside its context. `place`: where one of a namespace is asked now; None: it does not run."""

    def __init__(self, place: Callable[[str, Recognizer], Place | None]) -> None:
        self._place = place
        self._asking = 0
        self._session: aiohttp.ClientSession | None = None
        self._said: dict[tuple[str, str], str] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # A new connection each: one that its server has just closed would keep a request inside.
            connector=aiohttp.TCPConnector(limit=MOST_ASKED, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, namespace: str, wanted: Sequence[Recognizer], text: str) -> tuple[Reason, ...]:
        """Why a text has to stay inside, of all recognizers that are wanted; none: it may leave. It never raises but
        when cancelled."""
        said = await asyncio.gather(*(self._reason(namespace, one, text) for one in wanted))
        return tuple(reason for reason in said if reason is not None)

    async def _reason(self, namespace: str, one: Recognizer, text: str) -> Reason | None:
        try:
            if await self._found(namespace, one, text):
                return Reason("Found", "Recognizer", one.name)
            why = ""
        except TimeoutError:
            why = "RecognizerTimedOut"
        except Unusable as error:
            why = str(error.args[0])
        except Exception:  # it may quote what was sent or answered
            why = "RecognizerFailed"
        if self._said.get((namespace, one.name), "") != why:
            self._said[namespace, one.name] = why
            logger.warning("recognizer %s of namespace %s: %s", one.name, namespace, why or "it answers again")
        return Reason(why, kind=one.name) if why else None

    async def _found(self, namespace: str, one: Recognizer, text: str) -> bool:
        """Has it found something?

        Raises:
            TimeoutError, Unusable, Exception: it has not said.
        """
        body = question(one, text)
        place = self._place(namespace, one)
        if place is None:
            raise Unusable("RecognizerMissing")
        if self._asking >= MOST_ASKED:
            raise Unusable("RecognizerBusy")
        self._asking += 1
        try:
            async with asyncio.timeout(one.timeout_milliseconds / 1000):
                answer = await self._post(place, body)
        finally:
            self._asking -= 1
        return found(one, text, answer)

    async def _post(self, place: Place, body: bytes) -> bytes:
        if self._session is None:
            raise Unusable("RecognizerMissing")
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if place.key:
            headers["authorization"] = f"Bearer {place.key}"
        # Nobody it names is asked in its place: it would choose where texts go.
        async with self._session.post(place.url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status != _OK or answer.headers.get("content-encoding"):
                raise Unusable("RecognizerRefused")
            read = bytearray()
            async for piece in answer.content.iter_chunked(_PIECE):
                read += piece
                if len(read) > MOST_BYTES:
                    raise Unusable("RecognizerFailed")
            return bytes(read)
