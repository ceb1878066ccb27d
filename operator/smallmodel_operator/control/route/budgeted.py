"""How the budgets of a route stand, as the gateways last said in their registers, which are read by name."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.places import place
from smallmodel_operator.budget.price import MICRO
from smallmodel_operator.budget.register import Register
from smallmodel_operator.cluster.budgets import Registers
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.shared import Away

LOOK_SECONDS: Final = 30.0
READ_SECONDS: Final = 10.0
"""How long what was read answers for: routes share registers."""
STEP_PERCENT: Final = 5
"""What is used is said in such steps, so that a status is not written for each request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget now. `used`: of a budget per caller, by the one who used most; `used_up_by`: callers without any."""

    limit: Limit
    window: str
    used: int
    used_up_by: int = 0

    @property
    def percent(self) -> int:
        """In steps, rounded down; 100 only where all is used."""
        return min(100, 100 * self.used // self.limit.most // STEP_PERCENT * STEP_PERCENT)

    @property
    def exhausted(self) -> bool:
        return self.limit.per is Per.ROUTE and self.percent == 100

    @property
    def low(self) -> bool:
        # The exact number decides, and the steps hide no more than is said.
        return bool(self.limit.soft_percent) and 100 * self.used >= self.limit.soft_percent * self.limit.most

    @property
    def status(self) -> dict[str, Any]:
        limit, said = self.limit, self.limit.most * self.percent // 100
        found: dict[str, Any] = {"per": limit.per.value, "period": limit.period.value, "unit": limit.unit.value}
        # The status says millionths: what is counted goes beyond the integers of JSON.
        each = MICRO if limit.unit is Unit.MONEY else 1
        found |= {"window": self.window, "limit": limit.most // each, "used": said // each}
        found |= {"currency": limit.currency} if limit.currency else {}
        return found | ({"usedUpBy": self.used_up_by} if self.used_up_by else {})

    @property
    def refused(self) -> str:
        """What becomes of requests when it is used up."""
        return "requests that would leave get 429" if self.limit.unit is Unit.MONEY else "requests get 429"

    @property
    def text(self) -> str:
        limit = self.limit
        whose = "of the route" if limit.per is Per.ROUTE else "of each caller"
        return f"{limit.text} {whose} for {self.window}"


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The budgets of a route. `unknown`: why nothing can be said of them; empty: it can."""

    standings: tuple[Standing, ...]
    unknown: str = ""

    @property
    def status(self) -> dict[str, Any]:
        return {"budgets": [one.status for one in self.standings]} if self.standings else {}

    @property
    def report(self) -> Report:
        """The route's condition."""
        kind = Condition.BUDGET_AVAILABLE
        if self.unknown:
            text = f"{self.unknown}. Gateways use up what they hold; then requests of this route are refused."
            return Report(kind, None, Reason.BUDGET_UNKNOWN, text)
        for one in self.standings:
            if one.exhausted:
                then = "nothing leaves the cluster" if one.limit.local else one.refused
                text = f"The budget of {one.text} is used up: {then} until it ends. Raise it in spec.budgets."
                return Report(kind, False, Reason.BUDGET_EXHAUSTED, text)
        for one in self.standings:
            if one.used_up_by:
                then = "nothing of theirs leaves the cluster" if one.limit.local else f"of theirs, {one.refused}"
                text = f"{one.used_up_by} caller(s) have used up their budget ({one.text}): {then} until it ends."
                return Report(kind, True, Reason.CALLERS_EXHAUSTED, text)
        for one in self.standings:
            if one.low:
                text = f"At least {one.limit.soft_percent} % of a budget ({one.text}) is used."
                return Report(kind, True, Reason.BUDGET_LOW, text)
        most = max((one.percent for one in self.standings), default=0)
        text = f"Of {len(self.standings)} budget(s) none is used up; of the one that is used most, at least {most} %."
        return Report(kind, True, Reason.BUDGET_LEFT, text)


def judge(route: str, limits: tuple[Limit, ...], register: Register, now: datetime) -> Budgeted:
    """How the budgets of a route (`<namespace>/<name>`) stand. Pure."""
    return Budgeted(tuple(_standing(limit, route, register, now) for limit in limits))


def _standing(limit: Limit, route: str, register: Register, now: datetime) -> Standing:
    window = limit.counter(route, "", now).window
    used = [
        register.used(counter)
        for counter in register.counters
        if counter.route == route and counter.window == window and limit.counts(counter)
    ]
    up = sum(amount >= limit.most for amount in used) if limit.per is Per.CALLER else 0
    return Standing(limit, window.name, max(used, default=0), up)


class Budgets:
    """Reads registers, each at most once in READ_SECONDS."""

    def __init__(self, client: Client, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._registers, self._clock = Registers(client, namespace), clock
        self._known: dict[str, tuple[Register | str, float]] = {}
        self.observe: Callable[[str, Sequence[Standing]], None] = lambda *_: None
        """Called with how the budgets of a route stand, and with none when it has none any more."""

    async def look(self, route: str, limits: tuple[Limit, ...], now: datetime) -> Budgeted | None:
        """How the budgets of a route stand; None: it has none."""
        if not limits:
            self.forget(route)
            return None
        name = place(route)
        found, at = self._known.get(name, ("", float("-inf")))
        if self._clock() - at >= READ_SECONDS:
            try:
                found = await self._registers.read(name)
            except Away as error:
                found = str(error)
            self._known[name] = found, self._clock()
        if isinstance(found, str):
            return Budgeted((), found)
        stand = judge(route, limits, found, now)
        self.observe(route, stand.standings)
        return stand

    def forget(self, route: str) -> None:
        """It has no budgets, or is gone."""
        self.observe(route, ())
