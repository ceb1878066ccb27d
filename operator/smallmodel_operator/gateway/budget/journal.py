"""The journal of one gateway on its disk: all that wait are appended and synced at once; made anew when it grows."""

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from smallmodel_operator.budget.journal import Entry, Granted, Kept, apply, line, replay, whole
from smallmodel_operator.gateway.files import replace_durably

NAME: Final = "budgets.journal"
LOCK: Final = "budgets.lock"
LARGEST_BYTES: Final = 1 << 20
"""A file that has grown beyond it is made anew, unless what it says is itself nearly as long."""

logger = logging.getLogger(__name__)


class InUse(Exception):  # noqa: N818 - says what is the matter
    """Another process of this gateway is still there."""


class Journal:
    """What this gateway holds, in memory and on the disk. Changed by `keep` alone."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock_path = folder / NAME, folder / LOCK
        self._thread = ThreadPoolExecutor(1, "budgets")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._lock: int | None = None
        self._size = 0
        self._anew = False
        """The next write makes the file anew."""
        self.problem = ""
        """Why it cannot be written; empty: it can."""
        self.kept = Kept("")

    def open(self) -> None:
        """Find what was kept, or begin. A journal that is damaged is set aside: what was granted to it is lost.

        Raises:
            InUse: there are two of us.
            OSError: the folder cannot be read or written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"another process holds {self._lock_path.name}") from None
        try:
            self.kept = replay(self._path.read_bytes())
        except FileNotFoundError:
            self.kept = Kept(secrets.token_hex(8))
        except ValueError as error:
            logger.error("%s is set aside, what was granted to it counts as used: %s", self._path.name, error)
            self._path.rename(self._path.with_name(f"{NAME}.damaged"))
            self.kept = Kept(secrets.token_hex(8))
        self._replace(whole(self.kept))

    def close(self) -> None:
        """Let go of it; who has not waited for a change may lose it."""
        self._thread.shutdown()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def begin_anew(self) -> None:
        """Hold nothing, under another name: what this one held is lost already.

        Raises:
            OSError: the disk cannot be written.
        """
        self.kept = Kept(secrets.token_hex(8), position=self.kept.position)
        self._anew = True
        await self.keep(Granted({}))

    def soon(self, entry: Entry) -> asyncio.Future[None]:
        """Make a change. It is in force at once, and on the disk when the future is done; that has an OSError if it
        is not."""
        apply(self.kept, entry)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Who does not wait for it shall not be told by a warning that nobody did.
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._waiting.append((line(entry), future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return future

    async def keep(self, entry: Entry) -> None:
        """The same; returns when it is on the disk.

        Raises:
            OSError: it is not.
        """
        await asyncio.shield(self.soon(entry))

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            content = b"".join(text for text, _ in taken)
            work: Callable[[bytes], None] = self._append
            if self._anew or self._size + len(content) > LARGEST_BYTES:
                # All that was taken is in the state already.
                content, work = whole(self.kept), self._replace
                self._anew = False
            error: OSError | None = None
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, work, content)
            except OSError as failed:
                error = failed
            self._tell(error)
            for _, future in taken:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    def _tell(self, error: OSError | None) -> None:
        """After a failure nobody knows what the file's end is, so the next write makes it anew."""
        self._anew |= error is not None
        problem = f"budgets cannot be kept in {self._path.name}: {error}" if error else ""
        if problem and not self.problem:
            logger.error("%s", problem)
        self.problem = problem

    def _append(self, content: bytes) -> None:
        with self._path.open("ab", buffering=0) as file:
            if file.write(content) != len(content):
                raise OSError("only a part was written")
            os.fdatasync(file.fileno())
        self._size += len(content)

    def _replace(self, content: bytes) -> None:
        replace_durably(self._path, content)
        self._size = min(len(content), LARGEST_BYTES // 2)
