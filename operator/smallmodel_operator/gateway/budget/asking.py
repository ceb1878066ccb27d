"""May a request go, by the budgets of its route: what it needs, and what its caller and its record are told."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Most, Per, amount_of, needs
from smallmodel_operator.budget.need import Needs, Refused, Why
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import key
from smallmodel_operator.budget.worst import bound, tokens
from smallmodel_operator.core.engine import DEFAULT_CONTEXT_SIZE
from smallmodel_operator.gateway.budget import metrics
from smallmodel_operator.gateway.budget.counting import Counting
from smallmodel_operator.gateway.decide.answer import UNCOUNTED, Answer, Stays, Withheld, refusal
from smallmodel_operator.gateway.decide.service import Call
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.gateway.state import State
from smallmodel_operator.routing.verdict import Decision

WAIT_SECONDS: Final = 0.9
"""For a register; with the look and the record less than Envoy waits."""
LONGEST_ID: Final = 128
"""The access log has no more of a request's id."""
RETRY_SECONDS: Final = 1
UNBOUNDED: Final = (
    "This request cannot be counted against the budget of {what} of route {route}: nobody knows how much its target "
    "outside the cluster may generate. Say how much with max_tokens (/v1/responses: max_output_tokens), and n, where "
    "it is given, as a whole number."
)
UNREADABLE: Final = (
    "This request cannot be counted against the budget of {what} of route {route}: its body is larger than 1 MiB, "
    "or no JSON object, or its n, best_of or n_cmpl is no whole number. Send one that can be read."
)
_SENTENCES: Final[Mapping[Why, str]] = {
    Why.EXHAUSTED: "{whose} budget of {most} of route {route} for {window} is used up, or has too little left "
    "for this request (it may need {asked}). It begins anew at {until}.",
    Why.RESERVED: "What is left of {whose} budget of {most} of route {route} for {window} is held for requests "
    "that are under way. Try again.",
    Why.TOO_LARGE: "This request may need {asked}, and {whose} budget of route {route} for {window} is {most}. "
    "Ask for fewer tokens with max_tokens.",
}


class Asking:
    """The budgets of a gateway's routes, as its decisions ask for them.

    Args:
        state: the newest configuration.
        counting: None while budgets cannot be counted yet.
    """

    def __init__(
        self,
        state: Callable[[], State],
        counting: Callable[[], Counting | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state, self._counting, self._now = state, counting, now

    async def __call__(self, call: Call, decision: Decision) -> Withheld | Stays | None:
        """Hold what a request may use at most; None: it may go (its route has no budgets, or they have room, or those
        that have none keep only from leaving what stays inside anyhow)."""
        state = self._state()
        route = state.routes.get(call.route)
        if route is None or not route.budgets:
            return None
        going = _going(state, route, decision)
        most = _most(call, route.budgets, going)
        if not isinstance(most, Most):
            return most
        return await self._ask(call, route.budgets, most, going)

    async def _ask(self, call: Call, limits: tuple[Limit, ...], most: Most, going: "Going") -> Withheld | Stays | None:
        asked = needs(limits, call.route, call.caller, most, self._now())
        refused = (
            await self._reserve(key(call.id[:LONGEST_ID], f"{call.route}/{going.target}"), asked, going, limits)
            if asked
            else None
        )
        if refused is None:
            return None
        strict = tuple(limit for limit in limits if not limit.local)
        if len(strict) < len(limits) and refused.counter not in needs(
            strict, call.route, call.caller, most, self._now()
        ):
            # No room, or nobody knows: a limit of what leaves is no reason to refuse what does not.
            why = "BudgetExhausted" if refused.counter else "BudgetUnknown"
            return await self._ask(call, strict, most, going) if going.inside else Stays(why)
        return told(call, refused, asked, self._now())

    async def _reserve(self, request: str, asked: Needs, going: "Going", limits: tuple[Limit, ...]) -> Refused | None:
        if not going.priced(limits):
            return Refused(Why.UNPRICED)
        counting = self._counting()
        if counting is None:
            return Refused(Why.UNREACHABLE)
        work = asyncio.create_task(counting.reserve(request, asked, going.price))
        try:
            return await asyncio.wait_for(asyncio.shield(work), WAIT_SECONDS)
        except TimeoutError:
            # A block that is on its way is for the next one.
            work.add_done_callback(lambda done: _give_back(counting, request, done))
            return Refused(Why.UNREACHABLE)
        except asyncio.CancelledError:
            work.add_done_callback(lambda done: _give_back(counting, request, done))
            raise


@dataclass(frozen=True, slots=True)
class Going:
    """Where a request goes.

    `target`: its name; `context`: of the model, in tokens; None: nobody knows, it is outside; `price`: there.
    """

    inside: bool
    target: str
    context: int | None = None
    price: Price | None = None

    def priced(self, limits: tuple[Limit, ...]) -> bool:
        """Is it known what it asks for, in the currency of each limit in money? Nothing inside asks for any."""
        currency = self.price.currency if self.price else ""
        return self.inside or all(limit.currency == currency for limit in limits if limit.unit is Unit.MONEY)


def _going(state: State, route: Route, decision: Decision) -> Going:
    target = decision.target
    if target is not None and not target.inside:
        lead = next((lead for lead in route.leads if lead.name == target.name), None)
        return Going(False, target.name, price=lead.price if lead else None)
    model = state.models.get(target.model) if target else None
    return Going(True, target.name if target else "", model.context_tokens if model else DEFAULT_CONTEXT_SIZE)


def _most(call: Call, limits: tuple[Limit, ...], going: Going) -> Most | Withheld | Stays:
    """What a request may use at most; else what becomes of it where nobody can say."""
    units, request = {limit.unit for limit in limits}, call.request
    most = Most()
    if Unit.TOKENS in units:
        found = tokens(request.path, request.body, going.context) if request.whole else None
        if found is None:
            return _unbounded(call, Unit.TOKENS, limits, going)
        most = replace(most, tokens=found)
    if Unit.MONEY in units and not going.inside:
        said = bound(request.path, request.body) if request.whole else None
        if said is None:
            return _unbounded(call, Unit.MONEY, limits, going)
        most = replace(most, money=going.price.of(said.prompt, said.generated) if going.price else 0)
    return most


def _unbounded(call: Call, unit: Unit, limits: tuple[Limit, ...], going: Going) -> Withheld | Stays:
    if not going.inside and all(limit.local for limit in limits if limit.unit is unit):
        return Stays("BudgetUnknown")
    what = unit.lower()
    text = UNBOUNDED if call.request.whole and going.context is None else UNREADABLE
    return _withheld(call, "Unbounded", "", _answer(400, call, text.format(route=call.route, what=what)))


def _give_back(counting: Counting, request: str, done: "asyncio.Task[Refused | None]") -> None:
    """Nobody waited for it, so the request did not go."""
    if not done.cancelled() and done.exception() is None and done.result() is None:
        counting.give_back(request)


def told(call: Call, refused: Refused, asked: Needs, now: datetime) -> Withheld:
    """What a refusal is to the caller and in the record."""
    counter = refused.counter
    if counter is None:
        text = f"Requests to route {call.route} cannot be counted against its budgets now, so none goes."
        if refused.why is Why.UNPRICED:
            text = (
                f"Nobody knows what the target outside asks for, in the currency of the budget of route {call.route}, "
                "so nothing goes there. Its owner has to give `external.price`."
            )
        # Envoy takes a 5xx for no answer; local replies make a 503 of this one.
        answer = refusal(429, UNCOUNTED, text, "unavailable")
        answer = Answer(answer.status, {**answer.headers, "retry-after": str(RETRY_SECONDS)}, answer.body)
        return _withheld(call, refused.why.value, "", answer)
    whose = "your" if counter.caller else "the"
    until = counter.window.end
    text = _SENTENCES[refused.why].format(
        whose=whose,
        most=amount_of(refused.limit, counter.unit, counter.currency),
        route=call.route,
        window=counter.window,
        asked=amount_of(asked[counter].amount, counter.unit, counter.currency),
        until=until.strftime("%Y-%m-%dT%H:%MZ"),
    )
    later: dict[str, str] = {"x-should-retry": "false"}
    if refused.why is Why.RESERVED:
        later = {"retry-after": str(RETRY_SECONDS)}
    elif refused.why is Why.EXHAUSTED:
        later["retry-after"] = str(max(1, int((until - now).total_seconds())))
    per = Per.CALLER if counter.caller else Per.ROUTE
    limit = f"{per}/{counter.window.period}/{counter.unit}"
    return _withheld(call, refused.why.value, limit, _answer(429, call, text[0].upper() + text[1:], later))


def _answer(status: int, call: Call, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    kind = "insufficient_quota" if status == 429 else "invalid_request_error"
    made = refusal(status, "budget", text, "budget_exhausted" if status == 429 else "not_countable", kind)
    return Answer(status, {**made.headers, **(headers or {})}, made.body)


def _withheld(call: Call, why: str, limit: str, answer: Answer) -> Withheld:
    namespace, _, name = call.route.partition("/")
    metrics.REFUSED.labels(namespace, name, limit, why).inc()
    said: dict[str, Any] = {"slm.decision.budget": why}
    return Withheld(answer, said | ({"slm.decision.limit": limit} if limit else {}))
