"""The boundary's watch: run the canary again and again, and say what it found wherever somebody looks."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import aiohttp

from smallmodel_operator.api.conditions import Reason, Report
from smallmodel_operator.boundary import canary, enforcement
from smallmodel_operator.boundary.canary import Finding
from smallmodel_operator.boundary.enforcement import Enforcement, Run
from smallmodel_operator.boundary.nodes import Nodes
from smallmodel_operator.boundary.stops import denied, over, refused, stops
from smallmodel_operator.cluster.boundary_status import BoundaryStatus
from smallmodel_operator.cluster.canary import CannotProbe
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.core.facts import Boundary, Object
from smallmodel_operator.runtime import metrics

REWRITE_SECONDS: Final = enforcement.REWRITE.total_seconds()
RETRY_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


class Pods(Protocol):
    """What makes a run: see cluster/canary.py."""

    async def run(
        self, prefer: Sequence[tuple[str, tuple[str, ...]]] = (), avoid: Sequence[str] = ()
    ) -> tuple[canary.Report, str]: ...
    async def operator(self) -> Object | None: ...
    async def nodes(self) -> Nodes | None: ...


class BoundaryWatch:
    """Keeps what is known of the boundary.

    Args:
        pods: makes runs; None: the canary is off.
        interval: between runs that find all well.
        status: writes to the ClusterBoundary.
        events: for the operator's own Deployment.
        declared: the ClusterBoundary as last seen.
        changed: called with the namespace test of those for whom something changed.
    """

    def __init__(
        self,
        pods: Pods | None,
        interval: timedelta,
        status: BoundaryStatus,
        events: Events,
        declared: Callable[[], Object | None],
        changed: Callable[[Callable[[str], bool]], None],
    ) -> None:
        self._pods = pods
        self._interval = interval
        self._status = status
        self._events = events
        self._declared = declared
        self._changed = changed
        self._spec: Mapping[str, Any] = {}
        self._said: tuple[str, Enforcement, float] | None = None
        """To which ClusterBoundary what was said last, and when."""
        self._sent: Enforcement | None = None
        """The last event."""
        self.known = enforcement.PENDING if pods is not None else enforcement.OFF
        self.wake = asyncio.Event()
        """Set when the ClusterBoundary changed."""

    def of(self, namespace: str) -> Boundary:
        """How the boundary around a namespace stands."""
        spec = (self._declared() or {}).get("spec") or {}
        verdict = self.known.verdict
        required = enforcement.required(spec, namespace)
        declared = self._declared() or {}
        stopped, away = refused(over(stops(declared), namespace)), denied(declared, namespace)
        return Boundary(required, verdict.status, self.known.runs > 0, verdict.message, stopped, away)

    def heard(self) -> None:
        """The ClusterBoundary changed: models hear it at once, though a run of the canary may take a minute yet."""
        self._tell_models()
        self.wake.set()

    async def run(self) -> None:
        """Until cancelled; no failure ends it."""
        due = time.monotonic()
        self._show()
        while True:
            self.wake.clear()
            try:
                if self._pods is not None and time.monotonic() >= due:
                    await self._probe(self._pods)
                    due = time.monotonic() + enforcement.pause(self.known, self._interval)
                self._tell_models()
                await self._tell()
                wait = due - time.monotonic() if self._pods is not None else REWRITE_SECONDS
            except (ApiError, aiohttp.ClientError, TimeoutError, NotLeader) as error:
                # Not the leader: the process ends, or a late renewal arrives, and then this must still be here.
                logger.warning("the boundary's state could not be told, trying again: %s", error)
                wait = RETRY_SECONDS
            except Exception:
                logger.exception("the boundary's state could not be told, trying again")
                wait = RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait)):
                    await self.wake.wait()

    async def _probe(self, pods: Pods) -> None:
        try:
            report, node = await pods.run(enforcement.wishes(self.known), enforcement.mute(self.known))
            finding = canary.decide(report, node)
        except CannotProbe as problem:
            finding, node = Finding(None, Reason.PROBE_FAILED, f"The canary could not run: {problem}"), problem.node
        except NotLeader:
            raise
        except Exception as error:
            # A bug here must not leave the last proof standing for ever.
            logger.exception("the canary failed")
            finding, node = Finding(None, Reason.PROBE_FAILED, f"The canary failed: {error!r:.300}."), ""
        before, run = self.known, Run(finding, node, datetime.now(UTC))
        self.known = enforcement.after(before, run, self._interval, await pods.nodes())
        self._show()
        if not self.known.says_the_same(before) or before.runs == 0:
            level = logging.INFO if self.known.verdict.status else logging.WARNING
            logger.log(level, "boundary enforced: %s. %s", self.known.verdict.status, self.known.verdict.message)
            if self.known.verdict.status != before.verdict.status:
                self._changed(lambda namespace: enforcement.required(self._spec, namespace))

    def _tell_models(self) -> None:
        """Of a requirement, or a stop, that is new or gone."""
        before, self._spec = self._spec, dict((self._declared() or {}).get("spec") or {})
        if before != self._spec:
            old, new = before, self._spec
            was, now = stops({"spec": old}), stops({"spec": new})
            self._changed(
                lambda one: (
                    enforcement.required(old, one)
                    or enforcement.required(new, one)
                    or over(was, one) != over(now, one)
                    or denied({"spec": old}, one) != denied({"spec": new}, one)
                )
            )

    def _show(self) -> None:
        verdict, at = self.known.verdict, self.known.at
        metrics.bounded(verdict.status, len(verdict.through), len(self.known.proofs), at.timestamp() if at else 0.0)

    async def _tell(self) -> None:
        """An event when it changes, and the condition: at once when it changes, else hourly."""
        report = self.known.report()
        if self._pods is not None and self.known.at is not None:
            await self._send(self._pods)
        declared = self._declared()
        if declared is not None and self._due(declared, report):
            await self._status.write(declared, report, datetime.now(UTC), self.known.canary(self._interval))
            self._said = (declared["metadata"]["uid"], self.known, time.monotonic())

    async def _send(self, pods: Pods) -> None:
        """On the operator's Deployment, which is there whether or not there is a ClusterBoundary."""
        if self._sent is not None and self._sent.says_the_same(self.known):
            return
        if own := await pods.operator():
            verdict = self.known.verdict
            await self._events.send(
                own, warning=not verdict.status, reason=verdict.reason, action="Probe", note=verdict.message
            )
        self._sent = self.known

    def _due(self, declared: Object, report: Report) -> bool:
        live = enforcement.condition(declared)
        stands = {True: "True", False: "False", None: "Unknown"}[report.status]
        if self._said is None or (live.get("status"), live.get("reason")) != (stands, report.reason):
            return True
        uid, said, when = self._said
        if uid != declared["metadata"]["uid"] or not said.says_the_same(self.known):
            return True
        return said.at != self.known.at and time.monotonic() - when > REWRITE_SECONDS
