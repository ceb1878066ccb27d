"""The ledger with what it has already counted, as one value that is kept: the two are never apart. Pure.

Time that was charged ends at `at`, and of each gateway's counters what was counted stands beside it. Whoever goes on
from a kept state, however old, charges the time since then once and counts each token once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from smallmodel_operator.core.energy import Drawn, Meters
from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost.ledger import (
    Account,
    Book,
    Ledger,
    PricedNode,
    charge,
    drew,
    metered,
    month_of,
    together,
    used,
)

GAP_MICROSECONDS: Final = 300_000_000
"""Looked at less often than this, a time is a gap: pods that came and went within were seen by nobody."""
KEPT_MONTHS: Final = 13
MOST_GATEWAYS: Final = 64
NOTHING: Final = Drawn()


@dataclass(frozen=True, slots=True)
class State:
    """All before `at` (microseconds since 1970) is charged, from `began` on; `meters`: what pods' counters said."""

    began: int
    at: int
    ledger: Ledger = field(default_factory=dict)
    gateways: Mapping[str, Tally] = field(default_factory=dict)
    meters: Meters = field(default_factory=dict)


def begin(at: int, gateways: Mapping[str, Tally]) -> State:
    """A ledger with nothing in it: what gateways counted before is not its own."""
    return State(at, at, gateways=dict(gateways))


def advance(
    state: State, nodes: Iterable[PricedNode], gateways: Mapping[str, Tally], now: int, drawn: Drawn = NOTHING
) -> State:
    """After a look at `now`. A clock that went back charges nothing until it has caught up.

    `drawn`: energy that was measured since the look before.
    """
    at = max(now, state.at)
    look: Ledger = drew(drawn.models, at)
    if now > state.at:
        gap = now - state.at > GAP_MICROSECONDS
        look = together(look, charge(nodes, state.at, now, gap=gap, measured=drawn.pods))
    ledger = together(state.ledger, look)
    known = dict(state.gateways)
    for name, tally in sorted(gateways.items()):
        usage = grown(known.get(name), tally, state.began)
        tokens = _metered(usage, look, ledger.get(month_of(at), Book()))
        ledger = together(ledger, together(used(usage, at), metered(tokens, at)))
        known[name] = tally
    if len(known) > MOST_GATEWAYS:  # gateways that are there stay; which of the others goes is all the same
        known = {**dict(list(known.items())[-MOST_GATEWAYS:]), **gateways}
    return replace(state, at=at, ledger=_recent(ledger), gateways=known, meters=drawn.meters)


def _metered(usage: Mapping[str, Usage], look: Ledger, month: Book) -> dict[str, int]:
    """Tokens that count beside energy: not those of a time in which nobody said what the model's pods drew. The last
    ones of a model are heard of when its pods are gone."""
    found = {}
    for name, more in usage.items():
        now = Account()
        for book in look.values():
            now = now.plus(book.models.get(name, Account()))
        known = now.energy if now.energy or now.microseconds else month.models.get(name, Account()).energy
        if known and (tokens := more.prompt + more.generated):
            found[name] = tokens
    return found


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
