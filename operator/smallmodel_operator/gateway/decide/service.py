"""One decision from its request to its answer: bounded in time and number, recorded before it takes effect."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from smallmodel_operator.gateway.content.kept import NOTHING as NOTHING_KEPT
from smallmodel_operator.gateway.content.kept import Kept, Seen
from smallmodel_operator.gateway.decide import metrics
from smallmodel_operator.gateway.decide import tools as bounded
from smallmodel_operator.gateway.decide.answer import (
    NOT_KEPT,
    NOT_RECORDED,
    Answer,
    Stays,
    Withheld,
    answer,
    record,
    refusal,
)
from smallmodel_operator.gateway.decide.call import Call as Call
from smallmodel_operator.gateway.decide.call import Route as Route
from smallmodel_operator.gateway.decide.call import Unseen as Unseen
from smallmodel_operator.gateway.decide.instead import Instead
from smallmodel_operator.gateway.decide.judging import Judging
from smallmodel_operator.gateway.decide.writing import NotRecorded as NotRecorded
from smallmodel_operator.gateway.decide.writing import Record, Writing
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.detect import decide as detect
from smallmodel_operator.routing.detect.decide import Reason
from smallmodel_operator.routing.detect.recognizer import Recognizer
from smallmodel_operator.routing.tools.check import Refusal, check
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

SMALL_BYTES: Final = 4 * 1024
"""Looked at where it arrives, in a fraction of a millisecond; a larger body goes to a thread and holds up nobody."""
THREADS: Final = 2
MOST_WAITING: Final = 64
"""Large bodies that are looked at or wait for it; more are kept inside unseen."""
LOOK_SECONDS: Final = verdict.MOST_SECONDS
"""With the time a record may take, and what recognizers may take, it is less than Envoy waits."""

logger = logging.getLogger(__name__)

NOTHING: Final[Mapping[str, str]] = {}
T = TypeVar("T")
Keep = Callable[[Call, Route, Seen], Awaitable[Kept]]
"""What is kept of a request with the record of its decision."""
Withhold = Callable[[Call, Decision], Awaitable[Withheld | Stays | None]]
"""Why a request may not go where it was decided to go; None: it may, and is counted. `Stays` of what leaves only."""


Recognize = Callable[[str, Sequence[Recognizer], str], Awaitable[tuple[Reason, ...]]]
"""Why a text may not leave, of the recognizers a route of this namespace names; none: it may."""


async def nobody(namespace: str, wanted: Sequence[Recognizer], text: str) -> tuple[Reason, ...]:
    """There are no recognizers, so nothing that has to be asked about leaves."""
    return tuple(Reason("RecognizerMissing", kind=one.name) for one in wanted)


async def no_content(call: Call, route: Route, seen: Seen) -> Kept:
    return NOTHING_KEPT


async def nothing(call: Call, decision: Decision) -> Withheld | Stays | None:
    return None


class Deciding:
    """Decisions of one gateway.

    Args:
        routes: the route of a name; None: there is none.
        labels: those of a request that are trusted.
        away: why nothing is sent now to a target outside (`<namespace>/<route>/<target>`) that is not named.
        p95: seconds within which a model's (`<namespace>/<name>`) latest answers were whole; None: not known.
        sign: the pass of a request and its decision; empty where it needs none.
        withhold: asked of each request before its decision is recorded.
        keep: asked of each request before it is counted or recorded.
        recognize: asked about each request that would leave, where its route names recognizers.
        master: what the HMACs of calls of tools are made of.
        failed: is told of each target outside (`<namespace>/<route>/<target>`) that a request comes back from.
        strict: without a record there is no answer; else what must leave no trace outside stays inside.
    """

    def __init__(
        self,
        routes: Callable[[str], Route | None],
        labels: Callable[[Call], Collection[str]],
        record: Record,
        *,
        away: Callable[[str], str] = lambda target: "",
        p95: Callable[[str], float | None] = lambda model: None,
        sign: Callable[[Call, Decision], str] = lambda call, decision: "",
        withhold: Withhold = nothing,
        recognize: Recognize = nobody,
        keep: Keep = no_content,
        master: Callable[[], bytes] = bytes,
        failed: Callable[[str], None] = lambda target: None,
        strict: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes, self._labels, self._record, self._sign = routes, labels, record, sign
        self._withhold, self._away, self._p95 = withhold, away, p95
        self._master, self._recognize, self._keep = master, recognize, keep
        self._strict, self._clock = strict, clock
        self._back, self.judging = Instead(self, failed), Judging(self, away)
        self.instead = self._back.answer
        self._threads = ThreadPoolExecutor(THREADS, "decide")
        self._waiting = 0

    def close(self) -> None:
        """No more threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def decide(self, call: Call) -> Answer:
        """The answer to Envoy. It never raises but when cancelled."""
        began = self._clock()
        try:
            return await self._decide(call)
        except Exception as error:  # the error may quote the request: its kind alone is told
            logger.error("request %s to %s is refused: the decision failed: %s", call.id, call.route, type(error))
            return refusal(503, "undecided", "The gateway cannot decide where this request may go.", "unavailable")
        finally:
            metrics.SECONDS.observe(self._clock() - began)

    async def _decide(self, call: Call) -> Answer:
        route = self._routes(call.route)
        if route is None:
            return refusal(503, "route-new", "The route is being added or removed.", "unavailable")
        checked = await self.seen(call, check, route.tools.bounds, call.request) if route.tools else Conversation()
        if isinstance(checked, Refusal):
            return await self.refuse(route, call, checked)
        route, call = self._timed(route, call), _naming(route, call)
        decision = await self._look(route, call)
        if decision is None:
            return refusal(503, "route-new", "The targets of the route are being changed.", "unavailable")
        decision = await self._recognized(route, call, self._or_inside(route, call, decision))
        if (judged := await self._judged(route, call, decision, checked)) is not None:
            return judged
        return (await self.effect(route, call, decision, checked, back=True))[0]

    async def _judged(self, route: Route, call: Call, decision: Decision, checked: Conversation) -> Answer | None:
        if not self.judging.looks(route, call):
            return None
        try:
            return await self.seen(call, self.judging.keep, route, call, decision, checked)
        except Unseen:
            return None

    def route(self, call: Call) -> Route | None:
        """The route in force of a request."""
        route = self._routes(call.route)
        return self._timed(route, call) if route else None

    async def may(self, route: Route, call: Call, decision: Decision) -> bool:
        """May it go to its target, as far as recognizers say, where that has to be asked?"""
        return (await self._recognized(route, call, decision)).target == decision.target

    async def effect(
        self,
        route: Route,
        call: Call,
        decision: Decision,
        checked: Conversation,
        more: Mapping[str, str] = NOTHING,
        *,
        back: bool = False,
        again: bool = False,
    ) -> tuple[Answer, Decision | None]:
        """See `Effects`. `back`: where it fails outside it comes back in."""
        kept = await self._keep(call, route, self.seen)
        if kept.failed and self._strict:
            return NOT_KEPT, None
        withheld = await self._withhold(call, decision) if decision.target else None
        if isinstance(withheld, Stays):
            decision = verdict.kept(route.ready, withheld.reason, route.can, call.request)
            withheld = await self._withhold(call, decision) if decision.target else None
        said = {**more, **kept.said, **(withheld.said if isinstance(withheld, Withheld) else {})}
        said |= bounded.calls(checked, decision, call.route, route.tools, self._master()) if route.tools else {}
        body = record(decision, route.ready, call.id, call.caller) | said
        writing, goes = Writing(self._record, call.route, body, kept.line), not isinstance(withheld, Withheld)
        try:  # signed while it is written; what comes back in does not leave again
            signed = self._sign(call, decision) if goes and not again else ""
        finally:
            recorded = await writing.done()
        if not recorded:
            if self._strict:
                return NOT_RECORDED, None
            if decision.target is None or not decision.target.inside:
                decision, signed = verdict.kept(route.ready, "NotRecorded", route.can, call.request), ""
        if isinstance(withheld, Withheld):
            return withheld.answer, None
        metrics.count(route.ready, replace(decision, turn=None) if again else decision)
        back = back and bool(signed) and not call.request.named
        if back := back and any(route.ready.targets[name].inside for name in route.can):
            self._back.let_out.keep(call, decision)
        return answer(decision, signed, back=back), decision if decision.target else None

    def _timed(self, route: Route, call: Call) -> Route:
        """With how fast its targets are, where a rule asks and the request says how long it may take."""
        timed = {name for rule in route.ready.policy.rules if rule.within for name in rule.targets}
        if not timed or not call.request.deadline:
            return route
        models = {name: route.ready.targets[name].model for name in timed & route.can.keys()}
        fast = {name: replace(route.can[name], p95=self._p95(model)) for name, model in models.items()}
        return replace(route, can={**route.can, **fast})

    def _or_inside(self, route: Route, call: Call, decision: Decision) -> Decision:
        """Inside instead, where the target outside does not answer now and nobody has named it."""
        to = decision.target
        if to is None or to.inside or call.request.named or not (why := self._away(f"{call.route}/{to.name}")):
            return decision
        return verdict.degraded(route.ready, call.request, decision, route.can, why)

    async def _recognized(self, route: Route, call: Call, decision: Decision) -> Decision:
        """Inside instead, where a recognizer finds something in what would leave, or does not say."""
        to, policy = decision.target, route.ready.policy
        if to is None or to.inside or not policy.boundary.recognizers:
            return decision
        try:
            text = await self.seen(call, detect.to_recognize, call.request.body, route.ready.rules)
            reasons = await self._recognize(policy.namespace, policy.boundary.recognizers, text)
        except Unseen as error:
            reasons = (Reason(error.args[0]),)
        except Exception as error:  # it may quote the request: its kind alone is told
            logger.error(
                "request %s to %s stays inside: its texts cannot be asked about: %s", call.id, call.route, type(error)
            )
            reasons = (Reason("RecognizerFailed"),)
        return verdict.recognized(route.ready, call.request, decision, route.can, reasons)

    async def refuse(self, route: Route, call: Call, why: Refusal) -> Answer:
        """For its tools. What is refused stays inside, so it waits for no record but where that is asked for."""
        body = bounded.refused(why, route.ready, call.id, call.caller)
        if not await Writing(self._record, call.route, body).done() and self._strict:
            return NOT_RECORDED
        policy = route.ready.policy
        metrics.DECISIONS.labels(policy.namespace, policy.name, "", "", bounded.REFUSED).inc()
        return bounded.answer(why)

    async def _look(self, route: Route, call: Call) -> Decision | None:
        """The decision; None: the target it was to have is not there any more."""
        if call.chosen:
            return verdict.chosen(route.ready, call.chosen)
        labels = self._labels(call)
        try:
            given = route.ready, call.request, labels, route.can, self._clock, route.turns
            return await self.seen(call, verdict.decide, *given)
        except Unseen as error:
            return verdict.kept(route.ready, error.args[0], route.can, call.request)

    async def seen(self, call: Call, look: Callable[..., T], *args: Any) -> T:
        """What a look at a request finds.

        Raises:
            Unseen: too many wait, or it takes too long.
        """
        if len(call.request.body) <= SMALL_BYTES:
            return look(*args)
        if self._waiting >= MOST_WAITING:
            raise Unseen("Busy")
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, look, *args)
        work.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(work), LOOK_SECONDS)
        except TimeoutError:
            raise Unseen("TimedOut") from None

    def _done(self, _: Any) -> None:
        """Only when its thread is free again: one that is given up still works."""
        self._waiting -= 1


def _naming(route: Route, call: Call) -> Call:
    """A request whose target is known already is decided on all the same where that is outside."""
    name = call.chosen.partition("/")[2]
    target = route.ready.targets.get(name)
    if target is None or target.inside:
        return call
    return replace(call, chosen="", request=replace(call.request, named=name))
