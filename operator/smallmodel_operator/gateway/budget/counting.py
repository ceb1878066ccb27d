"""Budgets of one gateway: what a request needs is reserved here, and blocks of it are got from, and given back to, the
registers that all gateways share."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from smallmodel_operator.budget import register as shared
from smallmodel_operator.budget.counter import Amounts, Counter, Unit
from smallmodel_operator.budget.journal import Forgotten, Granted, Reserved, Settled
from smallmodel_operator.budget.need import Asked, Needs, Refused, Why
from smallmodel_operator.budget.places import REGISTERS, place
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import Part, Purse, Reservation
from smallmodel_operator.budget.register import Register, Superseded, Wish
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.gateway.budget.journal import Journal

SYNC_SECONDS: Final = 5.0
"""How often a gateway says what was used, and looks whether another one is short."""
IDLE_SECONDS: Final = 30.0
"""What was not touched for so long is given back."""
QUIET_SECONDS: Final = 1.0
"""After a refusal nobody is asked for the same again for so long: a flood at the limit costs one change a second."""

logger = logging.getLogger(__name__)


class Registers(Protocol):
    """See cluster/budgets.py."""

    async def read(self, name: str) -> Register: ...
    async def change(self, name: str, change: Callable[[Register], Register]) -> Register: ...


class Counting:
    """The budgets at one gateway. `now` is the time, `clock` seconds that only grow."""

    def __init__(
        self,
        gateway: str,
        journal: Journal,
        registers: Registers,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway, self._journal, self._registers = gateway, journal, registers
        self._now, self._clock = now, clock
        self._locks = {name: asyncio.Lock() for name in REGISTERS}
        """One change of a register at a time."""
        self._begun: set[str] = set()
        self._waiting: list[Needs] = []
        self._short: dict[Counter, tuple[float, int, Refused]] = {}
        """Refusals of late: until when they are given again, for how much, and what they were."""
        self._touched: dict[Counter, float] = {}
        self.problem = ""
        """What is the matter; empty: nothing."""
        self._superseded = False

    @property
    def purse(self) -> Purse:
        return self._journal.kept.purse

    # -- a request ---------------------------------------------------------------------------------------------

    async def reserve(self, request: str, needs: Needs, price: Price | None = None) -> Refused | None:
        """Reserve the worst case of a request in all its counters, or in none; None: it may go, and the reservation is
        on the disk. All counters are of one route. `price`: of its target, where money is counted."""
        if self._superseded:
            return Refused(Why.UNREACHABLE)
        for counter, asked in needs.items():
            if asked.amount > asked.limit:
                return Refused(Why.TOO_LARGE, counter, asked.limit)
        amounts = {counter: asked.amount for counter, asked in needs.items()}
        if not self.purse.missing(amounts):
            return await self._kept(request, self._take(request, amounts, price))
        if refused := self._refused_lately(amounts):
            return refused
        self._waiting.append(needs)
        try:
            async with self._locks[place(next(iter(needs)).route)]:
                # A block that somebody else got meanwhile may be enough.
                refused = await self._obtain(needs, amounts) if self.purse.missing(amounts) else None
                if refused:
                    return refused
                taken = self._take(request, amounts, price)
        finally:
            self._waiting.remove(needs)
        return await self._kept(request, taken)

    def _take(self, request: str, amounts: Amounts, price: Price | None) -> asyncio.Future[None]:
        """Nothing may come between the look at what is free and this."""
        self._touched.update(dict.fromkeys(amounts, self._clock()))
        return self._journal.soon(Reserved(request, Reservation(self._now().timestamp(), amounts, price)))

    async def _kept(self, request: str, taken: asyncio.Future[None]) -> Refused | None:
        try:
            await asyncio.shield(taken)
        except OSError:
            self._journal.soon(Settled(((request, {}),)))
            return Refused(Why.NOT_KEPT)
        except asyncio.CancelledError:
            # Who asked does not wait any more, so the request does not go, and its line may be read already.
            self._journal.soon(Settled(((request, {}),)))
            raise
        return None

    def _refused_lately(self, amounts: Amounts) -> Refused | None:
        for counter, amount in self.purse.missing(amounts).items():
            until, lack, refused = self._short.get(counter, (0.0, 0, None))
            if refused and self._clock() < until and amount >= lack:
                return refused
        return None

    async def _obtain(self, needs: Needs, amounts: Amounts) -> Refused | None:
        """Get what is missing, and with it what others wait for."""
        if refused := self._refused_lately(amounts):
            return refused
        name = place(next(iter(needs)).route)
        try:
            await self._begin(name)
            register = await self._exchange(name, self._wanted(name))
        except (Away, Superseded) as error:
            self._failed(error)
            return self._refuse(Refused(Why.UNREACHABLE), self.purse.missing(amounts))
        except OSError:
            return Refused(Why.NOT_KEPT)
        for counter, lack in self.purse.missing(amounts).items():
            asked = needs[counter]
            over = register.used(counter) + asked.amount > asked.limit
            why = Why.EXHAUSTED if over else Why.RESERVED
            return self._refuse(Refused(why, counter, asked.limit), {counter: lack})
        return None

    def _refuse(self, refused: Refused, lacks: Mapping[Counter, int]) -> Refused:
        until = self._clock() + QUIET_SECONDS
        self._short |= {counter: (until, lack, refused) for counter, lack in lacks.items()}
        return refused

    def _wanted(self, name: str) -> dict[Counter, Wish]:
        """What all who wait lack of the counters in a register."""
        needs: dict[Counter, list[Asked]] = {}
        for waiting in self._waiting:
            for counter, asked in waiting.items():
                if place(counter.route) == name:
                    needs.setdefault(counter, []).append(asked)
        found = {}
        for counter, all_ in needs.items():
            free = self.purse.free(counter)
            lacks = [one.amount - free for one in all_ if one.amount > free]
            most = sum(one.amount for one in all_) - free
            limit = min(one.limit for one in all_)
            found[counter] = self._wish(counter, min(lacks, default=0), most if lacks else 0, limit)
        return found

    def _wish(self, counter: Counter, least: int = 0, most: int = 0, limit: int = 0) -> Wish:
        part = self.purse.parts.get(counter, Part())
        # What is owed was used: it is taken from the others, too, even beyond the limit.
        return Wish(max(part.granted, part.used + part.reserved), part.used, least, most, limit)

    # -- the register ------------------------------------------------------------------------------------------

    async def _begin(self, name: str) -> None:
        """Before this process first changes a register.

        Raises:
            Away: it cannot.
            OSError: the journal had to begin anew and cannot.
        """
        if name in self._begun:
            return
        found = await self._registers.read(name)
        if shared.void(found, self._gateway, self._journal.kept.journal) and self.purse.parts:
            logger.error("what the journal of this gateway holds was given up meanwhile: it begins anew")
            self._begun.clear()
            await self._journal.begin_anew()
        journal = self._journal.kept.journal
        await self._registers.change(name, lambda found: shared.take_over(found, self._gateway, journal))
        self._begun.add(name)

    async def _exchange(self, name: str, wishes: Mapping[Counter, Wish]) -> Register:
        """Change a register, and keep what was granted before it is used.

        Raises:
            Away, Superseded: nothing more was granted.
            OSError: it was, but it cannot be kept.
        """
        journal, now = self._journal.kept.journal, self._now()
        register = await self._registers.change(
            name, lambda found: shared.exchange(found, self._gateway, journal, wishes, now)
        )
        self._say("")
        mine = {c: register.counters[c][self._gateway].granted for c in wishes if c in register.counters}
        granted = {c: amount for c, amount in mine.items() if self.purse.parts.get(c, Part()).granted != amount}
        if granted:
            await self._journal.keep(Granted(granted))
        return register

    async def sync(self, *, idle: float = IDLE_SECONDS) -> None:
        """Say what was used; give back what was not touched for `idle` seconds, or another gateway is short of."""
        for name in REGISTERS:
            async with self._locks[name]:
                if self._here(name) or name in self._begun:
                    try:
                        await self._sync(name, idle)
                    except (Away, Superseded, OSError) as error:
                        self._failed(error)

    def _here(self, name: str) -> list[Counter]:
        return [counter for counter, _ in self.purse if place(counter.route) == name]

    async def _sync(self, name: str, idle: float) -> None:
        await self._begin(name)
        found, now = await self._registers.read(name), self._now()
        if shared.void(found, self._gateway, self._journal.kept.journal):
            raise Superseded(self._gateway)
        # With those of a grant of which this gateway never heard.
        counters = {*self._here(name), *(c for c, shares in found.counters.items() if self._gateway in shares)}
        back = [c for c in counters if self._untouched(c, idle) or self._wanted_elsewhere(found, c, now)]
        if lowered := self.purse.spare(back):
            # Before anybody else may have it: from here on this gateway does not use it, whatever it hears.
            await self._journal.keep(Granted(lowered))
        over = tuple(c for c, part in self.purse if c in counters and shared.old(c, now) and not part.reserved)
        told = {c: self._wish(c) for c in counters if not shared.old(c, now)}
        if any(_differs(found, self._gateway, c, wish) for c, wish in told.items()):
            await self._exchange(name, told)
        if over:
            await self._journal.keep(Forgotten(over))
        self._touched = {c: at for c, at in self._touched.items() if c in self.purse.parts}
        self._short = {c: short for c, short in self._short.items() if short[0] > self._clock()}

    def _untouched(self, counter: Counter, idle: float) -> bool:
        return self._clock() - self._touched.setdefault(counter, self._clock()) >= idle

    def _wanted_elsewhere(self, register: Register, counter: Counter, now: datetime) -> bool:
        shares = register.counters.get(counter, {})
        return shared.wanted((share for name, share in shares.items() if name != self._gateway), now)

    async def run(self) -> None:
        """Until cancelled. What is free then is given back."""
        try:
            while True:
                await self.sync()
                await asyncio.sleep(SYNC_SECONDS)
        finally:
            await self.sync(idle=0.0)

    # -- what became of requests -------------------------------------------------------------------------------

    def give_back(self, request: str) -> None:
        """A request with a reservation did not go after all: nothing of it counts."""
        self._journal.soon(Settled(((request, {}),)))

    async def write_off(self, before: float) -> int:
        """Requests reserved before then (seconds since 1970) will never be in the log: all they might have used counts.
        How many there were."""
        lost = self.purse.older(before)
        every: dict[Unit, int | None] = dict.fromkeys(Unit)
        if lost:
            await self._journal.keep(Settled(tuple((request, every) for request in lost)))
        return len(lost)

    def _failed(self, error: Exception) -> None:
        self._superseded |= isinstance(error, Superseded)
        self._say(str(error))

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.error("budgets: %s", problem)
        self.problem = problem


def _differs(register: Register, gateway: str, counter: Counter, wish: Wish) -> bool:
    share = register.counters.get(counter, {}).get(gateway, shared.Share())
    return (share.granted, share.used) != (wish.granted, wish.used)
