"""Answers that are judged: a small model's, by how sure it was of it; what is doubted a larger one answers (ADR 39).

decided      its request is kept, and Envoy sends it to a door of its own (xds/judged.py)
attempt 1    at that door: to who was decided on, asked for its tokens' probabilities; counted and recorded there
the answer   comes here before its caller sees any of it: sure enough, or doubted
attempt 2    doubted: to the next that may and can; where none does, or that fails, the first answer after all
"""

import logging
from asyncio import to_thread
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from smallmodel_operator.gateway.decide import metrics
from smallmodel_operator.gateway.decide.answer import (
    ASK,
    DEGRADED,
    JUDGE,
    JUDGED,
    Answer,
    escalation,
    kept_answer,
    refusal,
)
from smallmodel_operator.gateway.decide.call import Call, Effects, Route
from smallmodel_operator.gateway.decide.kept import AllKept, Doubt, Kept
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.answers import said as answers
from smallmodel_operator.routing.choice.confidence import measures
from smallmodel_operator.routing.policy import Confidence
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

SMALL_BYTES: Final = 64 * 1024
"""Read where it arrives; a larger answer goes to a thread."""
UNJUDGED: Final = "unjudged"
"""An answer says nothing by which it could be judged."""
FAILING: Final = "escalation-failing"
REFUSED: Final = "escalation-refused"
LOGPROBS: Final = '"logprobs":true'
_ASKS: Final = b'"logprobs"'

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of an answer: it goes to its caller as `body`, with these headers, or (`doubt`) does not."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    doubt: bool = False


class Judging:
    """Of one gateway."""

    def __init__(self, effects: Effects, away: Callable[[str], str]) -> None:
        self._effects, self._away = effects, away
        self.kept = AllKept()

    def keep(self, route: Route, call: Call, decision: Decision, checked: Conversation) -> Answer | None:
        """What Envoy is told of a request whose answer is judged; None: it is not."""
        names = verdict.larger(route.ready, call.request, decision, route.can)
        if not names or not self.kept.keep(call, decision, checked, names, _ASKS in call.request.body):
            return None
        return Answer(200, {JUDGED: "1"})

    async def attempt(self, request_id: str, body: bytes) -> tuple[Answer, Call | None]:
        """What Envoy is told at the door of its own, and whose request it is; None: nobody's. It never raises but when
        cancelled."""
        try:
            return await self._attempt(request_id, body)
        except Exception as error:  # the error may quote the request: its kind alone is told
            logger.error("request %s is not answered: the decision failed: %s", request_id, type(error))
            return _refused("The gateway cannot decide where this request may go."), None

    async def _attempt(self, request_id: str, body: bytes) -> tuple[Answer, Call | None]:
        one = self.kept.again(request_id, body)
        route = self._effects.route(one.call) if one else None
        if one is None or route is None:
            return _refused("Nobody knows this request any more."), None
        call = replace(one.call, request=replace(one.call.request, body=body))
        if one.tried == 1:
            return await self._first(route, call, one), call
        return await self._next(route, call, one), call

    async def _first(self, route: Route, call: Call, one: Kept) -> Answer:
        more = {"slm.decision.judged": "Confidence"}
        found, effective = await self._effects.effect(route, call, one.decision, one.checked, more)
        if effective is None or effective.target is None:
            self.kept.forget(one)
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
        self.kept.forget(one)
        if one.doubt is None or not one.doubt.answer:
            return _refused("The answer that was doubted is not kept any more.")
        return kept_answer(one.doubt.kind, one.doubt.answer, why)

    async def judge(self, token: str, kind: str, body: bytes) -> Judged | None:
        """What becomes of an answer; None: nobody knows whose it is."""
        one = self.kept.of(token)
        route = self._effects.route(one.call) if one else None
        given = route.ready.policy.escalation if route else None
        if one is None or route is None or given is None or given.confidence is None:
            return None
        try:
            looking = kind, body, given.confidence, one.asks
            confidence, clean = _look(*looking) if len(body) <= SMALL_BYTES else await to_thread(_look, *looking)
        except answers.Unreadable as error:
            logger.warning("an answer of %s to %s is not judged: %s", one.decision.target, one.call.route, error)
            metrics.scored(route.ready, "Unjudged")
            self.kept.forget(one)
            return Judged(body, {DEGRADED: UNJUDGED})
        return self._judged(route, one, kind, clean, confidence)

    def _judged(self, route: Route, one: Kept, kind: str, clean: bytes, confidence: float) -> Judged:
        turn = route.turns(1.0 - confidence) if route.turns else None
        if turn is not None and turn.escalate:
            if names := self._open(route, one.call, one.names):
                self.kept.doubted(one, Doubt(names, confidence, turn, kind, clean))
                return Judged(b"", doubt=True)
            unable = replace(one.decision, confidence=confidence, turn=turn, degraded="unavailable")
            metrics.scored(route.ready, "Degraded", turn)
            self.kept.forget(one)
            return Judged(clean, escalation(unable))
        metrics.scored(route.ready, turn.why if turn else "Unjudged", turn)
        self.kept.forget(one)
        return Judged(clean)

    def _open(self, route: Route, call: Call, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those that answer now, as far as is known."""
        there = (name for name in names if name in route.can and route.can[name].answers)
        inside = {name for name, target in route.ready.targets.items() if target.inside}
        return tuple(name for name in there if name in inside or not self._away(f"{call.route}/{name}"))


def _refused(text: str) -> Answer:
    return refusal(503, "undecided", text, "unavailable")


def _look(kind: str, body: bytes, given: Confidence, asks: bool) -> tuple[float, bytes]:
    """How sure its model was of an answer, and the answer as its caller gets it.

    Raises:
        Unreadable: it says nothing of that.
    """
    said = answers.read(kind, body)
    confidence = measures(answers.logprobs(said))[given.measure.value.lower()]
    return confidence, body if asks else answers.written(answers.without_logprobs(said))
