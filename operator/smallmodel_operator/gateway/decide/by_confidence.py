"""Judged by how sure the model was of its answer; what is doubted a larger one answers, and where that fails the first
answer is its caller's after all."""

import logging
from dataclasses import replace
from typing import Final

from smallmodel_operator.gateway.decide import metrics
from smallmodel_operator.gateway.decide.answer import (
    ASK,
    DEGRADED,
    JUDGE,
    Answer,
    escalation,
    kept_answer,
    refusal,
)
from smallmodel_operator.gateway.decide.call import Call, Effects, Route
from smallmodel_operator.gateway.decide.judged import DOUBTED, UNJUDGED, Judged, Open, looked
from smallmodel_operator.gateway.decide.kept import AllKept, Doubt, Kept
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.answers import said as answers
from smallmodel_operator.routing.choice.confidence import measures
from smallmodel_operator.routing.policy import Confidence
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

FAILING: Final = "escalation-failing"
REFUSED: Final = "escalation-refused"
LOGPROBS: Final = '"logprobs":true'
_ASKS: Final = b'"logprobs"'

logger = logging.getLogger(__name__)


class ByConfidence:
    """Of one gateway."""

    def __init__(self, effects: Effects, kept: AllKept, open_now: Open) -> None:
        self._effects, self._kept, self._open = effects, kept, open_now

    def looks(self, route: Route, call: Call) -> bool:
        """Does the route judge its default's answers? Who names a target gets that one's."""
        return _confidence(route) is not None and not call.chosen

    def kept(self, route: Route, call: Call, decision: Decision, checked: Conversation) -> Kept | None:
        """A request whose answer is judged; None: it is not."""
        names = verdict.larger(route.ready, call.request, decision, route.can) if self.looks(route, call) else ()
        return Kept(call, decision, checked, names, _ASKS in call.request.body) if names else None

    async def attempt(self, route: Route, call: Call, one: Kept) -> Answer:
        """At first to who was decided on, then to the next, then nobody."""
        return await (self._first if one.tried == 1 else self._next)(route, call, one)

    async def _first(self, route: Route, call: Call, one: Kept) -> Answer:
        more = {"slm.decision.judged": "Confidence"}
        found, effective = await self._effects.effect(route, call, one.decision, one.checked, more)
        if effective is None or effective.target is None:
            self._kept.forget(one)
            return found
        return replace(found, headers={**found.headers, JUDGE: f"answer {one.token}", ASK: LOGPROBS})

    async def _next(self, route: Route, call: Call, one: Kept) -> Answer:
        """By the first of those that may, while nobody has tried; else the answer that was doubted."""
        doubt = one.doubt
        if doubt is None or one.tried > 2:
            return self._again(one, FAILING)
        for name in self._open(route, call, doubt.names):
            decision = verdict.doubted(route.ready, one.decision, name, doubt.confidence, doubt.turn)
            if await self._effects.may(route, call, decision):
                found, effective = await self._effects.effect(route, call, decision, one.checked)
                if effective is None or effective.target != decision.target:
                    return self._again(one, REFUSED)
                return replace(found, headers={**found.headers, JUDGE: f"error {one.token}"})
        return self._again(one, "unavailable")

    def _again(self, one: Kept, why: str) -> Answer:
        self._kept.forget(one)
        if one.doubt is None or not one.doubt.answer:
            return refusal(503, "undecided", "The answer that was doubted is not kept any more.", "unavailable")
        return kept_answer(one.doubt.kind, one.doubt.answer, why)

    async def judge(self, route: Route, one: Kept, kind: str, body: bytes) -> Judged | None:
        """Doubted, or its caller's without what was asked for beside his words."""
        given = _confidence(route)
        if given is None:
            return None
        try:
            confidence, clean = await looked(_look, body, kind, given, one.asks)
        except answers.Unreadable as error:
            logger.warning("an answer of %s to %s is not judged: %s", one.decision.target, one.call.route, error)
            metrics.scored(route.ready, "Unjudged")
            self._kept.forget(one)
            return Judged(body, {DEGRADED: UNJUDGED})
        return self._judged(route, one, kind, clean, confidence)

    def _judged(self, route: Route, one: Kept, kind: str, clean: bytes, confidence: float) -> Judged:
        turn = route.turns(1.0 - confidence) if route.turns else None
        if turn is not None and turn.escalate:
            if names := self._open(route, one.call, one.names):
                self._kept.doubted(one, Doubt(names, confidence, turn, kind, clean))
                return DOUBTED
            unable = replace(one.decision, confidence=confidence, turn=turn, degraded="unavailable")
            metrics.scored(route.ready, "Degraded", turn)
            self._kept.forget(one)
            return Judged(clean, escalation(unable))
        metrics.scored(route.ready, turn.why if turn else "Unjudged", turn)
        self._kept.forget(one)
        return Judged(clean)


def _confidence(route: Route) -> Confidence | None:
    given = route.ready.policy.escalation
    return given.confidence if given else None


def _look(body: bytes, kind: str, given: Confidence, asks: bool) -> tuple[float, bytes]:
    """How sure its model was of an answer, and the answer as its caller gets it.

    Raises:
        Unreadable: it says nothing of that.
    """
    said = answers.read(kind, body)
    confidence = measures(answers.logprobs(said))[given.measure.value.lower()]
    return confidence, body if asks else answers.written(answers.without_logprobs(said))
