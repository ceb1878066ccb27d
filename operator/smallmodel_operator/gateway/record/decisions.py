"""Decisions, recorded before they take effect: all that wait are one commit, and who asked is told when it is made."""

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.audit.policies import DECISION_POLICY as POLICY
from smallmodel_operator.audit.policies import ROUTE
from smallmodel_operator.audit.record import Kind
from smallmodel_operator.gateway.record.recorder import Recorder


@dataclass(frozen=True, slots=True)
class _Waiting:
    body: Mapping[str, Any]
    content: bytes
    sync: bool
    future: "asyncio.Future[None]"


class Decisions:
    """Those of one chain. `take` runs in the recorder's thread, the rest in the agent's loop."""

    def __init__(self, recorder: Recorder, thread: Executor, policies: Mapping[str, Mapping[str, Any]]) -> None:
        """`policies`: what is said of those that are in force, by their hash."""
        self._recorder, self._thread, self._policies = recorder, thread, policies
        self._explained: dict[str, int] = {}
        """Hashes of policies that this process has recorded, and the numbers of the records."""
        self._waiting: deque[_Waiting] = deque()

    def record(self, body: Mapping[str, Any], *, content: bytes = b"", sync: bool = True) -> "asyncio.Future[None]":
        """Done when it is in the chain: on the disk, or (not `sync`) in its file, which is synced within seconds; it
        begins at once. `content`: the line it names, encrypted; it is there before.

        Raises:
            OSError: it is not, and never will be.
        """
        if not self._recorder.opened:
            raise OSError("the chain of records is not open")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(body, content, sync, future))
        try:
            self._thread.submit(self.take)
        except RuntimeError as error:  # the agent ends
            raise OSError(str(error)) from None
        return future

    def take(self) -> None:
        """Commit all that wait. Between batches of the log, too: a long one is nothing to wait for."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        taken = [one for one in taken if not one.future.done()]
        if not taken:
            return
        error: OSError | None = None
        try:
            self._commit(taken)
        except Exception as failed:
            error = failed if isinstance(failed, OSError) else OSError(repr(failed))
        taken[0].future.get_loop().call_soon_threadsafe(_told, [one.future for one in taken], error)

    def _commit(self, taken: "list[_Waiting]") -> None:
        if self._recorder.failed:  # who reads the log tries again, and says so
            raise OSError(self._recorder.failed)
        self._recorder.refresh()  # what it may have to say is not taken back below
        mark = self._recorder.mark()
        try:
            said = self._explain([one.body for one in taken])
            for one in taken:
                if one.content:
                    self._recorder.keep(one.content)
                self._recorder.add(one.body)
            self._recorder.commit(head=False, sync=any(one.sync for one in taken))
            self._explained |= said
        except Exception:
            self._recorder.back_to(mark)  # nobody acts on them: they must not turn up later
            raise

    def _explain(self, bodies: list[Mapping[str, Any]]) -> dict[str, int]:
        """Say what the policies are that these decisions name and no record has said: their records' numbers."""
        said: dict[str, int] = {}
        for named, route in {str(b.get(POLICY)): str(b.get("slm.route")) for b in bodies}.items():
            policy = self._policies.get(named)
            if policy is not None and named not in self._explained:
                body = {"kind": Kind.IN_FORCE, "event": ROUTE, "slm.route": route, POLICY: named, "policy": policy}
                said[named] = self._recorder.add(body)
        return said

    def keep(self, first: int) -> None:
        """Only records from this one on are there any more: what older ones said is said again when it is named."""
        self._explained = {named: seq for named, seq in self._explained.items() if seq >= first}


def _told(futures: list["asyncio.Future[None]"], error: OSError | None) -> None:
    for future in futures:
        if future.done():
            continue  # who asked has gone
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
