"""A state as text, and back. Pure."""

import json
from typing import Any, Final

from smallmodel_operator.core.energy import Meter
from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost.ledger import Account, Book, PoolAccount
from smallmodel_operator.cost.state import State

VERSION: Final = 1


class BadCheckpoint(ValueError):  # noqa: N818
    """What stands there is no state."""


def dump(state: State) -> str:
    """As JSON; equal states are equal texts."""
    value = {
        "version": VERSION,
        "began": state.began,
        "at": state.at,
        "months": {month: _book(book) for month, book in state.ledger.items()},
        "gateways": {
            name: {"epoch": tally.epoch, "models": {m: _numbers(u) for m, u in tally.models.items()}}
            for name, tally in state.gateways.items()
        },
        "meters": {pod: [dict(meter.joules), dict(meter.cpu)] for pod, meter in state.meters.items()},
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def load(text: str) -> State:
    """The state in a text.

    Raises:
        BadCheckpoint: it is none, or a newer release's.
    """
    try:
        value = json.loads(text)
        if value["version"] != VERSION:
            raise BadCheckpoint(f"it is of version {value['version']!r}; this release knows {VERSION}")
        return State(
            began=_whole(value["began"]),
            at=_whole(value["at"]),
            ledger={str(month): _read_book(book) for month, book in value["months"].items()},
            gateways={
                str(name): Tally(_whole(said["epoch"]), {m: Usage(*_many(u, 3)) for m, u in said["models"].items()})
                for name, said in value["gateways"].items()
            },
            # Of a release that counted no energy yet: there is none.
            meters={str(pod): Meter(*map(_counts, _pair(said))) for pod, said in value.get("meters", {}).items()},
        )
    except BadCheckpoint:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadCheckpoint(f"it is no ledger: {type(error).__name__} {error}") from error


def _book(book: Book) -> dict[str, Any]:
    return {
        "models": {
            name: {
                "spent": dict(one.spent),
                "microseconds": one.microseconds,
                "usage": _numbers(one.usage),
                **({"energy": dict(one.energy), "metered": one.metered} if one.energy or one.metered else {}),
            }
            for name, one in book.models.items()
        },
        "pools": [
            [name, currency, pool.total, pool.idle, pool.others, pool.microseconds]
            for (name, currency), pool in sorted(book.pools.items())
        ],
        "gap": book.gap,
    }


def _read_book(value: Any) -> Book:
    models = {
        str(name): Account(
            _counts(one["spent"]),
            _whole(one["microseconds"]),
            Usage(*_many(one["usage"], 3)),
            _counts(one.get("energy", {})),
            _whole(one.get("metered", 0)),
        )
        for name, one in value["models"].items()
    }
    pools = {(str(p[0]), str(p[1])): PoolAccount(*_many(p[2:], 4)) for p in value["pools"]}
    return Book(models, pools, _whole(value["gap"]))


def _numbers(usage: Usage) -> list[int]:
    return [usage.requests, usage.prompt, usage.generated]


def _counts(value: Any) -> dict[str, int]:
    return {str(name): _whole(count) for name, count in value.items()}


def _pair(value: Any) -> tuple[Any, Any]:
    joules, cpu = value
    return joules, cpu


def _many(value: Any, count: int) -> list[int]:
    if len(value) != count:
        raise ValueError(f"{len(value)} numbers, not {count}")
    return [_whole(number) for number in value]


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number")
    return value
