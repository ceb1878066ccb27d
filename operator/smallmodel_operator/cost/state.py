"""The ledger with what it has already counted, as one value that is kept: the two are never apart. Pure.

Time that was charged ends at `at`, and of each gateway's counters what was counted stands beside it. Whoever goes on
from a kept state, however old, charges the time since then once and counts each token once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost.ledger import Ledger, PricedNode, charge, together, used

GAP_MICROSECONDS: Final = 300_000_000
"""Looked at less often than this, a time is a gap: pods that came and went within were seen by nobody."""
KEPT_MONTHS: Final = 13
MOST_GATEWAYS: Final = 64


@dataclass(frozen=True, slots=True)
class State:
    """All before `at` (microseconds since 1970) is charged, from `began` on."""

    began: int
    at: int
    ledger: Ledger = field(default_factory=dict)
    gateways: Mapping[str, Tally] = field(default_factory=dict)


def begin(at: int, gateways: Mapping[str, Tally]) -> State:
    """A ledger with nothing in it: what gateways counted before is not its own."""
    return State(at, at, gateways=dict(gateways))


def advance(state: State, nodes: Iterable[PricedNode], gateways: Mapping[str, Tally], now: int) -> State:
    """After a look at `now`. A clock that went back charges nothing until it has caught up."""
    ledger = state.ledger
    if now > state.at:
        ledger = together(ledger, charge(nodes, state.at, now, gap=now - state.at > GAP_MICROSECONDS))
    at = max(now, state.at)
    known = dict(state.gateways)
    for name, tally in sorted(gateways.items()):
        ledger = together(ledger, used(grown(known.get(name), tally, state.began), at))
        known[name] = tally
    if len(known) > MOST_GATEWAYS:  # gateways that are there stay; which of the others goes is all the same
        known = {**dict(list(known.items())[-MOST_GATEWAYS:]), **gateways}
    return replace(state, at=at, ledger=_recent(ledger), gateways=known)


def grown(before: Tally | None, now: Tally, began: int) -> dict[str, Usage]:
    """What a gateway counted since it was last heard.

    Args:
        before: what was counted then; None: it was never heard.
        now: what it says.
        began: a gateway never heard that counts since before that tells of requests that are not the ledger's.
    """
    if before is None and now.epoch < began:
        return {}
    same = before.models if before is not None and before.epoch == now.epoch else {}
    return {name: _more(same.get(name, Usage()), usage) for name, usage in now.models.items()}


def _more(before: Usage, now: Usage) -> Usage:
    """Fewer than before: the model was gone for long, and its counters began anew."""
    more = Usage(now.requests - before.requests, now.prompt - before.prompt, now.generated - before.generated)
    return now if min(more.requests, more.prompt, more.generated) < 0 else more


def _recent(ledger: Ledger) -> Ledger:
    return ledger if len(ledger) <= KEPT_MONTHS else {m: ledger[m] for m in sorted(ledger)[-KEPT_MONTHS:]}


def shorter(state: State) -> State | None:
    """Without its oldest month; None: there is one only."""
    if len(state.ledger) < 2:
        return None
    return replace(state, ledger={month: state.ledger[month] for month in sorted(state.ledger)[1:]})
