"""Answers that are judged before their caller sees any of them, and who is asked in their place (ADR 39).

decided      its request is kept, and Envoy sends it to a door of its own (xds/judged.py)
attempt 1    at that door: to who was decided on; counted and recorded there
the answer   comes here: its caller's, or doubted
attempt 2…   doubted: who is asked next, or what is said in the end

What is looked for in an answer, and who is next, is each kind's own: by_confidence.py, by_choice.py.
"""

import logging
from collections.abc import Callable

from smallmodel_operator.gateway.decide.answer import JUDGED, Answer, refusal
from smallmodel_operator.gateway.decide.by_choice import ByChoice
from smallmodel_operator.gateway.decide.by_confidence import ByConfidence
from smallmodel_operator.gateway.decide.call import Call, Effects, Route
from smallmodel_operator.gateway.decide.judged import Judge, Judged
from smallmodel_operator.gateway.decide.kept import AllKept, Kept
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

logger = logging.getLogger(__name__)


class Judging:
    """Of one gateway."""

    def __init__(self, effects: Effects, away: Callable[[str], str]) -> None:
        self._effects, self._away = effects, away
        self.kept = AllKept()
        self._choice, self._confidence = (
            ByChoice(effects, self.kept, self._open),
            ByConfidence(effects, self.kept, self._open),
        )

    def looks(self, route: Route, call: Call) -> bool:
        """Are answers of this route judged, of some requests like this?"""
        return self._choice.looks(route, call) or self._confidence.looks(route, call)

    def keep(self, route: Route, call: Call, decision: Decision, checked: Conversation) -> Answer | None:
        """What Envoy is told of a request whose answer is judged; None: it is not."""
        if not verdict.judgeable(call.request, decision):
            return None
        one = self._choice.kept(route, call, decision, checked) or self._confidence.kept(route, call, decision, checked)
        return Answer(200, {JUDGED: "1"}) if one and self.kept.keep(one) else None

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
        call = one.with_body(body)
        return await self._of(one).attempt(route, call, one), call

    async def judge(self, token: str, kind: str, body: bytes) -> Judged | None:
        """What becomes of an answer; None: nobody knows whose it is."""
        one = self.kept.of(token)
        route = self._effects.route(one.call) if one else None
        return await self._of(one).judge(route, one, kind, body) if one and route else None

    def _of(self, one: Kept) -> Judge:
        return self._choice if one.demands else self._confidence

    def _open(self, route: Route, call: Call, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those that answer now, as far as is known."""
        there = (name for name in names if name in route.can and route.can[name].answers)
        inside = {name for name, target in route.ready.targets.items() if target.inside}
        return tuple(name for name in there if name in inside or not self._away(f"{call.route}/{name}"))


def _refused(text: str) -> Answer:
    return refusal(503, "undecided", text, "unavailable")
