"""What a gateway keeps on its disk of what it holds: entries in lines, each whole or not there. Pure: bytes and values.

State changes by entries alone, so what a restart makes of the lines is what was there before. An entry that reserves is
on the disk before its request goes; one that grants follows the write it heard of, and one that lowers goes before its
write: what the disk says was granted is never more than what the register says.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smallmodel_operator.budget.counter import Amounts, Counter, Unit, counter_of
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import Part, Purse, Reservation


@dataclass(slots=True)
class Kept:
    """The state. `journal`: its name; `position`: how far the access log was settled, as its reader says it."""

    journal: str
    purse: Purse = field(default_factory=Purse)
    position: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """So much is granted of these counters, all in all."""

    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Reserved:
    """For a request that goes next."""

    request: str
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Settled:
    """Requests that have ended, with what they used (see `Purse.settle`), and how far the log was read with them."""

    requests: tuple[tuple[str, Mapping[Unit, int | None]], ...]
    position: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Counters of windows that are over."""

    counters: tuple[Counter, ...]


Entry = Granted | Reserved | Settled | Forgotten


def apply(kept: Kept, entry: Entry) -> None:
    """Change the state by an entry."""
    match entry:
        case Granted(amounts):
            kept.purse.granted(amounts)
        case Reserved(request, reservation):
            kept.purse.restore(request, reservation)
        case Settled(requests, position):
            for request, used in requests:
                kept.purse.settle(request, used)
            kept.position = position if position is not None else kept.position
        case Forgotten(counters):
            kept.purse.forget(counters)


def line(entry: Entry) -> bytes:
    """An entry as a line."""
    match entry:
        case Granted(amounts):
            return _line({"granted": _amounts(amounts)})
        case Reserved(request, reservation):
            return _line({"reserved": _reservation(request, reservation)})
        case Settled(requests, position):
            return _line({"settled": [[name, dict(used)] for name, used in requests], "position": position})
        case Forgotten(counters):
            return _line({"forgotten": [str(counter) for counter in counters]})


def whole(kept: Kept) -> bytes:
    """The state as the first line of a new file."""
    purse = kept.purse
    return _line(
        {
            "journal": kept.journal,
            "position": kept.position,
            "parts": [[str(counter), part.granted, part.used] for counter, part in purse],
            "reservations": [_reservation(name, one) for name, all_ in purse.reservations.items() for one in all_],
        }
    )


def replay(data: bytes) -> Kept:
    """The state a file says. What a crash left of its last line is no part of it.

    Raises:
        ValueError: it is no journal, or is damaged before its last line.
    """
    lines = data.split(b"\n")[:-1]
    if not lines:
        raise ValueError("it has no whole line")
    try:
        kept = _kept(json.loads(lines[0]))
        for text in lines[1:]:
            apply(kept, _entry(json.loads(text)))
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is damaged: {error!r:.200}") from None
    return kept


def _kept(value: Any) -> Kept:
    kept = Kept(str(value["journal"]), position=value["position"])
    for name, granted, used in value["parts"]:
        kept.purse.parts[counter_of(name)] = Part(_number(granted), _number(used))
    for one in value["reservations"]:
        kept.purse.restore(*_reserved(one))
    return kept


def _entry(value: Any) -> Entry:
    match value:
        case {"granted": amounts}:
            return Granted(_read(amounts))
        case {"reserved": one}:
            return Reserved(*_reserved(one))
        case {"settled": requests, "position": position}:
            return Settled(tuple((str(name), _used(used)) for name, used in requests), position)
        case {"forgotten": names}:
            return Forgotten(tuple(counter_of(name) for name in names))
    raise ValueError(f"it is damaged: {value!r:.80} is no entry")


def _used(value: Mapping[str, Any]) -> dict[Unit, int | None]:
    return {Unit(unit): None if number is None else _number(number) for unit, number in value.items()}


def _reservation(request: str, reservation: Reservation) -> list[Any]:
    price = reservation.price
    said = [[price.prompt, price.generated, price.currency]] if price else []
    return [request, reservation.at, _amounts(reservation.amounts), *said]


def _reserved(value: Any) -> tuple[str, Reservation]:
    request, at, amounts, *said = value
    return str(request), Reservation(float(at), _read(amounts), _price(*said) if said else None)


def _price(said: Any) -> Price:
    prompt, generated, currency = said
    return Price(_number(prompt), _number(generated), str(currency))


def _amounts(amounts: Amounts) -> list[list[Any]]:
    return [[str(counter), amount] for counter, amount in amounts.items()]


def _read(pairs: Iterable[Any]) -> dict[Counter, int]:
    return {counter_of(name): _number(amount) for name, amount in pairs}


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"it is damaged: {value!r:.80} is no amount")
    return value


def _line(value: Any) -> bytes:
    # Request ids are the callers' choice: whatever they hold, a line is one line of ASCII.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
