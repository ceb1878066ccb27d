"""What requests really used, from the gateway's own access log: it takes the place of what was reserved for them.

The log is read on from where the journal says, and what was settled is kept with how far it was read. A line that is
read again settles nothing: its reservation is gone.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.ending import split
from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.journal import Settled
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import key
from smallmodel_operator.gateway.accesslog.line import came_back, parse
from smallmodel_operator.gateway.accesslog.observe import Observation, observe
from smallmodel_operator.gateway.accesslog.position import Position, position_of
from smallmodel_operator.gateway.accesslog.read import POLL_SECONDS, LogReader
from smallmodel_operator.gateway.budget.journal import NAME, Journal

UNANSWERED: Final = frozenset({"engine-unreachable", "engine-silent", "outside-broken", "outside-silent", "cut"})
"""Causes of errors that came in place of an answer: what was asked for may be paid all the same."""
BROKEN: Final = frozenset({"UC", "LR", "UR", "UPE", "UT", "SI"})
"""Envoy's flags for a request on whose way to the egress something broke off."""
NEVER_SENT: Final = frozenset({"UF", "UH", "UO", "NC"})
"""Those for one that did not even get there."""


def used(line: Any, price: Price | None = None) -> dict[Unit, int | None]:
    """What the request of a `Line` used; None: nobody knows. What the gateway itself refused used nothing.

    `price`: of the target it went to; None: that asks for nothing.
    """
    seen = observe(line)
    left = price is not None and line.slm_attempts and line.slm_left  # what stayed after all costs nothing
    money = {Unit.MONEY: cost(seen, line.slm_response_flags or "", price)} if price and left else {}
    if not line.slm_attempts or seen.cause or came_back(line):  # what came back in is counted by its own line
        return money
    tokens: int | None = (seen.input_tokens or 0) + (seen.output_tokens or 0)
    if seen.status < 400 and (seen.output_tokens if seen.generates else seen.input_tokens) is None:
        tokens = None  # an answer that broke off, or an engine that does not say
    return {Unit.REQUESTS: 1, Unit.TOKENS: tokens, **money}


def cost(seen: Observation, flags: str, price: Price) -> int | None:
    """What a request that was sent to a target outside costs, in trillionths; None: nobody knows."""
    if seen.cause:
        said = split(flags)
        return None if (seen.cause in UNANSWERED or said & BROKEN) and not said & NEVER_SENT else 0
    read, written = seen.input_tokens, seen.output_tokens
    if seen.status < 400 and (read is None or (seen.generates and written is None)):
        return None  # it broke off, its caller left, or the target does not say
    return price.of(read or 0, written or 0)


class Settling:
    """Reads the log for a journal."""

    def __init__(self, log: Path, journal: Journal) -> None:
        self._journal = journal
        self._found: list[tuple[str, Mapping[Unit, int | None]]] = []
        self._reader = LogReader(log, self, self._line)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                more = self.step()
                await asyncio.sleep(0 if more else POLL_SECONDS)
        finally:
            self._reader.close()

    def step(self) -> bool:
        """Settle what one batch of the log says; True: there may be more."""
        return self._reader.attempt()

    def read(self) -> None:
        """Settle all that the log says now."""
        while self.step():
            pass

    @property
    def problem(self) -> str:
        """What keeps it from reading now; empty: nothing."""
        return self._reader.problem

    def _line(self, text: bytes) -> None:
        if not self._journal.kept.purse.reservations:
            return
        line = parse(text)
        purse, route = self._journal.kept.purse, line.slm_route or ""
        request = key(line.request_id or "", route)
        if request not in purse.reservations and route.count("/") < 2 and not line.slm_attempts:
            # Envoy was not told where it goes (the agent has ended, or took too long), so it went nowhere. One whose
            # answers are judged went on by attempts that have lines of their own.
            request = purse.latest(line.request_id or "")
        if request in purse.reservations:
            before = sum(found == request for found, _ in self._found)
            self._found.append((request, used(line, purse.price(request, before))))

    # -- where the reader keeps its position -------------------------------------------------------------------

    def load(self) -> Position | None:
        """The one kept last.

        Raises:
            ValueError: what is there is none.
        """
        kept = self._journal.kept.position
        return None if kept is None else position_of(NAME, dict(kept))

    def save(self, position: Position) -> None:
        """Keep it with what was settled. Both are on the disk a moment later, or neither is and it is read again.

        What settles nothing is not worth a write: read again, it settles nothing again.
        """
        if not self._found:
            return
        found, self._found = self._found, []
        self._journal.soon(Settled(tuple(found), asdict(position)))
