"""The record as a part of the agent's process: reads the log, commits, counts, signs, keeps within bounds."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.core.keys import audit_seed
from smallmodel_operator.gateway.accesslog.counted import LOG, Counted
from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.record import metrics
from smallmodel_operator.gateway.record.count import Counting, life_of
from smallmodel_operator.gateway.record.decisions import Decisions
from smallmodel_operator.gateway.record.door import Door, close
from smallmodel_operator.gateway.record.inforce import InForce
from smallmodel_operator.gateway.record.notes import Notes
from smallmodel_operator.gateway.record.reading import Reading
from smallmodel_operator.gateway.record.recorder import Recorder
from smallmodel_operator.gateway.record.segments import ended, first_of
from smallmodel_operator.gateway.record.silent import watched

BATCH_BYTES: Final = 256 * 1024
"""Read at a time: no more than a processor's cache holds."""
BATCHES: Final = 16
"""Committed at a time: under load one sync serves four thousand answers."""
POLL_SECONDS: Final = 0.5  # Envoy itself keeps lines back for up to a second
BUSY_SECONDS: Final = 2.0
"""The same after BUSY_RECORDS at once: a commit costs as much as a hundred records, so there are fewer of them."""
BUSY_RECORDS: Final = 100
RETRY_SECONDS: Final = 2.0
CHECKPOINT_SECONDS: Final = 30.0
CATCH_UP_SECONDS: Final = 30.0
"""How long a count waits until all that was in the log is recorded."""
TIDY_SECONDS: Final = 60.0
LAST_SECONDS: Final = 3.0
"""How long the last lines are read when the agent ends."""

logger = logging.getLogger(__name__)
T = TypeVar("T")


async def record(agent: Agent, counted: Counted) -> None:
    """Record this gateway's answers until cancelled."""
    trouble = "answers are not recorded yet: the key that signs them is not known; the log keeps them meanwhile"
    agent.troubles.append(lambda: trouble)
    door = Door(agent.settings)
    agent.refusing = lambda: door.closed
    while agent.world.keys is None or not agent.world.keys.engine_master:
        close(door)
        await asyncio.sleep(POLL_SECONDS)
    trouble = ""
    recording = Recording(agent, door, counted)
    agent.troubles.append(lambda: recording.trouble)
    await recording.run()


class Recording:
    """One chain at work. All that touches files runs in one thread of its own, so that no sync holds up the agent."""

    def __init__(self, agent: Agent, door: Door, counted: Counted) -> None:
        self._door = door
        self.trouble = ""
        """Why answers cannot be recorded now; empty: they are."""
        self._agent, settings = agent, agent.settings
        self._master = self._engine_master()
        self._recorder = Recorder(
            settings.audit_dir,
            settings.identity,
            self._signer(self._master),
            life=partial(life_of, settings.admin_socket),
            sync=lambda: self._reader.sync(),
        )
        self._reader = Reading(settings.gateway_data_dir / LOG, self._recorder, counted, BATCH_BYTES)
        self._counting = Counting(
            agent.admin, lambda: (self._recorder.since, self._recorder.recorded), self._until_all_is_read
        )
        self._in_force = InForce(settings.audit_dir, agent.writer.given, self._recorder.add)
        self._recorder.explained, self._recorder.explain = self._in_force.hashes, self._in_force.explain
        self._thread = ThreadPoolExecutor(1, "record")
        self._decisions = Decisions(self._recorder, self._thread, agent.route_policies)
        agent.decided = self._decisions.record
        self._at_end = float("-inf")
        """When a look at the log began that found nothing more (monotonic)."""
        self._versions: dict[str, str] = {}
        self._notes = Notes(agent, self._recorder)
        self._signed = 0
        self._counted = self._counting.now
        """What the last checkpoint said."""

    def _engine_master(self) -> bytes:
        keys = self._agent.world.keys
        return keys.engine_master if keys is not None else b""

    def _signer(self, master: bytes) -> Signer:
        signer = Signer(audit_seed(master, self._agent.settings.identity))
        metrics.SIGNER.info({"key": signer.public})
        logger.info("records of this gateway are signed with key %s", signer.public)
        return signer

    async def _do(self, work: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await watched(future, lambda: self._failed(TimeoutError(None, "the claim does not answer")))

    async def run(self) -> None:
        """Until cancelled; the last lines are recorded then."""
        try:
            while not await self._tried(self._open):  # noqa: ASYNC110 - a disk that does not work
                await asyncio.sleep(RETRY_SECONDS)
            async with asyncio.TaskGroup() as group:
                for work in (self._read(), self._sign(), self._tidy()):
                    group.create_task(work)
        finally:
            await self._do(self._finish)
            self._thread.shutdown()

    # -- in the thread -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._recorder.open()
        self._in_force.load(first_of(self._recorder.folder), self._recorder.seq)
        self._notes.open()

    def _step(self) -> bool:
        """One commit; False: there is nothing to read now."""
        if self._recorder.failed:
            self._recorder.commit()
        self._in_force.look()
        more = True
        for _ in range(BATCHES):
            if not (more := self._batch()):
                break
            self._decisions.take()
        if self._recorder.waiting:
            self._recorder.commit()
        return more

    def _batch(self) -> bool:
        mark = self._recorder.mark()
        try:
            return self._reader.step()
        except BaseException:  # these lines will be handed on again
            self._recorder.back_to(mark)
            self._in_force.keep(0, self._recorder.end)
            raise

    def _checkpoint(self) -> None:
        master = self._engine_master()
        if master and master != self._master:
            self._recorder.resign(self._signer(master))
            self._master = master
        count = self._counting.now
        # A count taken after the last checkpoint is the last word on it, though nothing was recorded since.
        if self._recorder.seq == self._signed and count == self._counted:
            return
        self._recorder.checkpoint([count.dump()] if count.since else [])
        self._signed, self._counted = self._recorder.seq, count

    def _bound(self) -> None:
        settings = self._agent.settings
        oldest = datetime.now(UTC) - timedelta(days=settings.audit_retention_days)
        if ended(self._recorder.folder, oldest):
            self._recorder.checkpoint([])  # in a segment of today: then the last one may go, too
        for reason, number in self._recorder.retain(settings.audit_max_mebibytes << 20, oldest).items():
            metrics.REMOVED.labels(reason).inc(number)
            logger.info("%d records removed, by %s", number, reason)
            first = first_of(self._recorder.folder)
            self._in_force.keep(first, self._recorder.end)
            self._decisions.keep(first)
        metrics.SIZE.set(self._recorder.size())

    def _finish(self) -> None:
        """The last lines, and a signature: Envoy has ended before the agent does."""
        end = time.monotonic() + LAST_SECONDS
        try:
            if self._recorder.opened:
                while self._step() and time.monotonic() < end:
                    pass
                self._notes.boundary()
                self._checkpoint()
                self._in_force.save(self._recorder.seq)
        except Exception as error:
            logger.error("the last answers are recorded when the agent runs again: %r", error)
        finally:
            self._reader.close()
            self._recorder.close()

    # -- beside it ---------------------------------------------------------------------------------------------

    async def _tried(self, work: Callable[[], None]) -> bool:
        """False: it failed, and that is said."""
        try:
            await self._do(work)
        except Exception as error:  # a full disk, a bug: answers are served all the same, and nobody is left to guess
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        metrics.FAILURES.inc()
        metrics.FAILING.set(1)
        what = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        if not self.trouble:
            logger.error("answers cannot be recorded: %s", what, exc_info=not isinstance(error, OSError))
        self._stop(f"answers cannot be recorded: {what}")

    def _stop(self, why: str) -> None:
        close(self._door)
        kept = "are refused" if self._door.strict else "are served; the access log keeps up to 320 MiB of them"
        self.trouble = f"{why}. Requests {kept}. See to the gateway's claim: make room, enlarge or mend it."

    def _go_on(self, short: str) -> None:
        """The last batch was recorded. `short`: there is too little room for more, though."""
        metrics.FAILING.set(bool(short) and not self._door.strict)
        if short:
            if not self.trouble:
                what = "requests are refused before answers cannot be recorded" if self._door.strict else "disk full"
                logger.error("%s: %s", what, short)
            self._stop(short)
            return
        if self.trouble:
            logger.warning("answers are recorded again")
        self.trouble = ""
        close(self._door, closed=False)

    async def _read(self) -> None:
        counted = 0
        while True:
            began = time.monotonic()
            try:
                more = await self._do(self._step)
                short = await self._do(self._door.room)
            except Exception as error:
                self._failed(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._go_on(short)
            recorded, counted = self._recorder.answers - counted, self._recorder.answers
            metrics.RECORDS.inc(recorded)
            metrics.SEQUENCE.set(self._recorder.seq)
            metrics.WAITING.set(self._reader.unread)
            if not more:
                self._at_end = began
                await asyncio.sleep(BUSY_SECONDS if recorded >= BUSY_RECORDS else POLL_SECONDS)

    async def _until_all_is_read(self) -> bool:
        """False: there is always more; more than can be recorded comes."""
        since = time.monotonic()
        while self._at_end < since < time.monotonic() <= since + CATCH_UP_SECONDS:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(POLL_SECONDS)
        return self._at_end >= since

    async def _sign(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            await self._tried(self._recorder.refresh)
            try:
                count = await self._counting.look()
            except Unreachable as error:
                logger.debug("%s", error)
            else:
                metrics.MISSING.set(count.missing)
                metrics.SURPLUS.set(count.surplus)
                self._recorder.count(count.dump())
            if not self._recorder.failed:
                await self._tried(self._checkpoint)

    async def _tidy(self) -> None:
        looked = float("-inf")
        while True:
            if self._agent.writer.versions != self._versions:
                self._versions = dict(self._agent.writer.versions)
                files = {name: version for name, version in self._versions.items() if version}
                await self._tried(partial(self._recorder.note, "configuration", files=files))
            if self._notes.due():
                await self._tried(self._notes.write)
            if not self._recorder.failed and time.monotonic() - looked > TIDY_SECONDS:
                looked = time.monotonic()
                await self._tried(self._bound)
            if not self._recorder.failed:
                await self._tried(lambda: self._in_force.save(self._recorder.seq))
            await asyncio.sleep(1.0)
