"""What a month is expected to cost, a week into it, by the real ledger over three kinds of load."""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from smallmodel_operator.cost.forecast import month_end, span
from smallmodel_operator.cost.ledger import NANO, Pool, PricedNode, Tenant, microseconds, money
from smallmodel_operator.cost.share import WHOLE
from smallmodel_operator.cost.state import State, advance, begin

START = datetime(2026, 11, 1, tzinfo=UTC)
POOL = Pool("cpu", "EUR", int(0.45 * NANO))
MODEL = "support/bot"


def _diurnal(hour: int, _: random.Random) -> int:
    return 1 + round(3 * max(0.0, math.sin(2 * math.pi * (hour % 24 - 6) / 24)))


def _working_week(hour: int, _: random.Random) -> int:
    weekend = (START + timedelta(hours=hour)).weekday() >= 5
    return 0 if weekend else 4 if 8 <= hour % 24 < 18 else 1


def _bursty(_: int, rand: random.Random) -> int:
    return min(8, 1 + int(rand.expovariate(0.8)))


def _month(replicas: Callable[[int, random.Random], int]) -> dict[int, Decimal]:
    """What was spent by the end of each day: bursts last for ten minutes, and so does each look."""
    rand, found = random.Random(7), {}
    state: State = begin(microseconds(START), {})
    for look in range(30 * 24 * 6):
        pods = tuple(Tenant(MODEL, WHOLE // 4, state.at) for _ in range(replicas(look // 6, rand)))
        nodes = [PricedNode(POOL, 0, pods[i : i + 4]) for i in (0, 4)]
        state = advance(state, nodes, {}, microseconds(START + timedelta(minutes=10 * (look + 1))))
        if (look + 1) % 144 == 0:
            book = state.ledger["2026-11"].models.get(MODEL)
            found[(look + 1) // 144] = money(book.spent.get("EUR", 0)) if book else Decimal(0)
    return found


@pytest.mark.parametrize("load", [_diurnal, _working_week, _bursty])
def test_on_day_seven_it_is_within_five_percent(load: Callable[[int, random.Random], int]) -> None:
    days = _month(load)
    expected = month_end(days[7], START + timedelta(days=7), START - timedelta(days=90))
    assert expected is not None
    assert float(expected) == pytest.approx(float(days[30]), rel=0.05)
    assert float(days[30]) > 50


def test_a_model_made_in_the_month_counts_from_its_first_hour() -> None:
    made, now = START + timedelta(days=20), START + timedelta(days=25)
    assert span(now, made) == (timedelta(days=5), timedelta(days=10))
    assert month_end(Decimal(50), now, made) == Decimal(100)
    assert month_end(Decimal(1), made + timedelta(hours=5), made) is None
    assert month_end(Decimal(1), made, now) is None, "a clock that went back"
