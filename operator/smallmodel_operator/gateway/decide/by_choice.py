"""Judged by whether it calls the tool that its request demands (`tool_choice`). One that does not is asked for again:
of the same model under a schema, then of the next that may and can; what none of them does is refused, never passed
off as done."""

from dataclasses import replace
from typing import Final

from smallmodel_operator.gateway.decide import metrics
from smallmodel_operator.gateway.decide.answer import ASK, JUDGE, NO_CALL, NOT_RECORDED, Answer, refusal
from smallmodel_operator.gateway.decide.call import Call, Effects, Route
from smallmodel_operator.gateway.decide.judged import DOUBTED, Judged, Open, looked
from smallmodel_operator.gateway.decide.kept import AllKept, Kept
from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.answers import said as answers
from smallmodel_operator.routing.answers.called import as_call, honoured
from smallmodel_operator.routing.detect.request import Unread
from smallmodel_operator.routing.tools.check import Refusal
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.tools.demand import by_schema, demanded
from smallmodel_operator.routing.verdict import Decision

FIRST: Final = "First"
SCHEMA: Final = "Schema"
LARGER: Final = "Larger"
NOTHING: Final = Conversation()
"""What it calls was recorded at the first attempt."""
CODE: Final = "tool_choice_not_honoured"


class ByChoice:
    """Of one gateway."""

    def __init__(self, effects: Effects, kept: AllKept, open_now: Open) -> None:
        self._effects, self._kept, self._open = effects, kept, open_now

    def looks(self, route: Route, call: Call) -> bool:
        """Does the route verify what is demanded?"""
        return route.tools is not None and route.tools.bounds.verify_choice

    def kept(self, route: Route, call: Call, decision: Decision, checked: Conversation) -> Kept | None:
        """A request whose answer is judged; None: it demands nothing, or goes to who is outside."""
        demands = demanded(checked) if self.looks(route, call) else frozenset()
        if not demands or decision.target is None or not decision.target.inside:
            return None
        names = verdict.others(route.ready, call.request, decision, route.can)
        return Kept(call, decision, checked, names, asks=False, demands=demands, steps=(FIRST, SCHEMA, LARGER))

    async def attempt(self, route: Route, call: Call, one: Kept) -> Answer:
        """The next of its steps that can be taken."""
        while one.steps:
            one.step, one.steps = one.steps[0], one.steps[1:]
            if one.step == FIRST:
                return await self._first(route, call, one)
            taken = await (self._by_schema if one.step == SCHEMA else self._by_larger)(route, call, one)
            if taken is not None:
                return taken
        return await self._refuse(route, call, one)

    async def _first(self, route: Route, call: Call, one: Kept) -> Answer:
        more = {"slm.decision.judged": "ToolChoice"}
        found, effective = await self._effects.effect(route, call, one.decision, one.checked, more)
        if effective is None or effective.target != one.decision.target:
            self._kept.forget(one)
            return found
        return replace(found, headers={**found.headers, JUDGE: f"answer {one.token}"})

    async def _by_schema(self, route: Route, call: Call, one: Kept) -> Answer | None:
        """Who was asked first, and can write no other JSON; None: it cannot be said how, or may not."""
        try:
            members = await self._effects.seen(call, by_schema, call.request.body, one.demands)
        except Unread:
            return None
        if not members:
            return None
        return await self._ask(route, call, one, one.decision, {"slm.tools.retried": SCHEMA}, {ASK: members})

    async def _by_larger(self, route: Route, call: Call, one: Kept) -> Answer | None:
        """The first of the order that may, can and answers now."""
        for name in self._open(route, call, one.names):
            target = route.ready.targets[name]
            decision = replace(one.decision, target=target, because=verdict.Because.TOOL_CHOICE)
            if await self._effects.may(route, call, decision):
                return await self._ask(route, call, one, decision, {"slm.tools.retried": LARGER}, {})
        return None

    async def _ask(
        self, route: Route, call: Call, one: Kept, decision: Decision, more: dict[str, str], told: dict[str, str]
    ) -> Answer | None:
        found, effective = await self._effects.effect(route, call, decision, NOTHING, more, again=True)
        if effective is None or effective.target != decision.target:
            return None
        return replace(found, headers={**found.headers, JUDGE: f"both {one.token}", **told})

    async def _refuse(self, route: Route, call: Call, one: Kept) -> Answer:
        self._kept.forget(one)
        metrics.chosen(route.ready, "Refused")
        message = (
            "No model of this route called the tool that `tool_choice` demands, nor wrote a call under a schema made "
            "of `tools`. Send it again, or with `tool_choice: auto`, or ask a model whose chat template knows tools."
        )
        why = Refusal(421, CODE, "tool_choice", message)
        if await self._effects.refuse(route, call, why) is NOT_RECORDED:
            return NOT_RECORDED
        refused = refusal(why.status, NO_CALL, message, CODE, param=why.field)
        return replace(refused, headers={**refused.headers, "x-should-retry": "false"})

    async def judge(self, route: Route, one: Kept, kind: str, body: bytes) -> Judged | None:
        """Its caller's as it is, or as the call it was asked to write; else doubted."""
        found = await looked(_look, body, kind, one.demands, one.token if one.step == SCHEMA else "")
        if found is None:
            return DOUBTED
        self._kept.forget(one)
        metrics.chosen(route.ready, {FIRST: "Honoured", SCHEMA: "BySchema", LARGER: "Escalated"}[one.step])
        return Judged(found)


def _look(body: bytes, kind: str, demands: frozenset[str], token: str) -> bytes | None:
    """The answer as its caller gets it; None: it calls no tool that is demanded. `token`: it may be JSON of a call."""
    try:
        said = answers.read(kind, body)
    except answers.Unreadable:
        return None
    if honoured(said, demands):
        return body
    made = as_call(said, demands, f"call_{token[:12]}") if token else None
    return answers.written(made) if made else None
