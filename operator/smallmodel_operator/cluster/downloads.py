"""How far downloads are: `GET /progress` of a download's pod, asked for in each pass of its model."""

import time
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp

from smallmodel_operator.api.names import LABEL_ROLE, PROGRESS_PORT, ROLE_DOWNLOAD
from smallmodel_operator.core.facts import Object, Progress
from smallmodel_operator.weights import progress

TIMEOUT: Final = aiohttp.ClientTimeout(total=1)
SILENT_SECONDS: Final = 20.0
"""A pod that does not answer (its namespace lets nobody in, the operator runs outside) is left alone for so long."""
MAX_BYTES: Final = 4096


class Downloads:
    """Asks pods. `port` is another one in tests only."""

    def __init__(self, port: int = PROGRESS_PORT, clock: Callable[[], float] = time.monotonic) -> None:
        self._port, self._clock = port, clock
        self._silent: dict[str, float] = {}
        """Pods by uid, and until when they are left alone."""
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, pods: Iterable[Object]) -> Progress | None:
        """How far the youngest download among these pods is; None when there is none or it does not say."""
        running = [p for p in pods if _downloads(p)]
        if not running:
            return None
        pod = max(running, key=lambda p: str(p["metadata"].get("creationTimestamp", "")))
        uid, now = str(pod["metadata"].get("uid", "")), self._clock()
        self._silent = {who: until for who, until in self._silent.items() if until > now}
        if uid in self._silent:
            return None
        said = await self._hear(str(pod["status"]["podIP"]))
        if said is None:
            self._silent[uid] = now + SILENT_SECONDS
        return said

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _hear(self, address: str) -> Progress | None:
        self._session = self._session or aiohttp.ClientSession(timeout=TIMEOUT)
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}/progress", allow_redirects=False) as answer:
                said = b""
                while len(said) < MAX_BYTES and (piece := await answer.content.read(MAX_BYTES - len(said))):
                    said += piece
                return progress.decode(said.decode()) if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


def _downloads(pod: Object) -> bool:
    status = pod.get("status", {})
    role = (pod["metadata"].get("labels") or {}).get(LABEL_ROLE)
    return role == ROLE_DOWNLOAD and status.get("phase") == "Running" and bool(status.get("podIP"))
