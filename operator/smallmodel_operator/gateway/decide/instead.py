"""Requests that were let out, failed there and come back in: answered inside, within the same request (ADR 36)."""

import logging
from collections.abc import Callable
from dataclasses import replace

from smallmodel_operator.gateway.decide import metrics
from smallmodel_operator.gateway.decide.answer import FAILED, FAILING, Answer, unanswered
from smallmodel_operator.gateway.decide.call import Call, Effects
from smallmodel_operator.gateway.decide.let_out import AllLetOut, LetOut
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

logger = logging.getLogger(__name__)


class Instead:
    """Of one gateway. `failed`: is told of each target outside that one comes back from."""

    def __init__(self, effects: Effects, failed: Callable[[str], None]) -> None:
        self._effects, self._failed = effects, failed
        self.let_out = AllLetOut()

    async def answer(self, request_id: str, body: bytes) -> tuple[Answer, LetOut | None]:
        """The answer to Envoy on a request that was let out with this body, and failed there, and whose it is; None:
        nobody's. It never raises but when cancelled."""
        out = self.let_out.back(request_id, body)
        if out is None:
            return unanswered(), None
        call = replace(out.call, request=replace(out.call.request, body=body), kept=True)
        try:
            return await self._inside(call, out.decision), out
        except Exception as error:  # the error may quote the request: its kind alone is told
            logger.error("request %s is not answered inside: the decision failed: %s", request_id, type(error))
            return unanswered(), None

    async def _inside(self, call: Call, out: Decision) -> Answer:
        """One inside, decided on as if there were no other, counted and recorded anew before it takes effect."""
        failed = out.target.name if out.target else ""
        self._failed(f"{call.route}/{failed}")
        if (route := self._effects.route(call)) is None:
            return unanswered()
        decision = await self._effects.seen(call, verdict.degraded, route.ready, call.request, out, route.can, FAILING)
        found = decision.target if decision.target and decision.target.inside else None
        metrics.instead(route.ready, failed, found.name if found else "")
        if found is None:
            return unanswered()
        # How hard it is was counted when it left, and what it calls was recorded then.
        return (await self._effects.effect(route, call, decision, Conversation(), {FAILED: failed}, again=True))[0]
