"""Rows of a month, and what a status says of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from smallmodel_operator.core.energy import WATT_HOUR
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost.ledger import GRAINS, HOUR_MICROSECONDS, Account, Book, PoolAccount
from smallmodel_operator.cost.pricelist import price_list
from smallmodel_operator.cost.report import Energy, energy_of, pools, rows, settled, status, total
from smallmodel_operator.cost.tokens import Speed

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PRICES = price_list(
    {
        "read": "2026-11-01",
        "currency": "USD",
        "prices": [{"name": "small", "promptPerMillionTokens": "1", "generatedPerMillionTokens": "2"}],
    }
)


def test_tokens_of_a_model_in_two_currencies_count_once() -> None:
    account = Account({"USD": 2 * GRAINS, "EUR": GRAINS}, 3 * HOUR_MICROSECONDS, Usage(5, 1_000_000, 500_000))
    book = Book({"support/bot": account, "crm/bot": Account({"USD": GRAINS})})
    found = rows(book, {"support/bot": Speed(Decimal(20), Decimal(10))}, PRICES)
    said = [(r.namespace, r.currency, r.spent, r.usage.requests, r.cloud) for r in found]
    assert said == [("crm", "USD", 1, 0, 0), ("support", "EUR", 1, 5, None), ("support", "USD", 2, 0, 0)]
    assert found[1].each.generated == 1
    assert [r.model for r in rows(book, {}, None, "crm")] == ["bot"]
    assert total((r.currency, r.spent) for r in found) == {"USD": 3, "EUR": 1}


def test_a_pool_is_models_others_and_idle() -> None:
    [pool] = pools(Book({}, {("cpu", "EUR"): PoolAccount(10 * GRAINS, 4 * GRAINS, GRAINS, 2 * HOUR_MICROSECONDS)}))
    assert (pool.total, pool.models, pool.others, pool.idle, pool.hours) == (10, 5, 1, 4, 2)


def test_energy_of_tokens_names_its_source() -> None:
    usage = Usage(2, 3000, 1000)
    half = Account({"EUR": GRAINS}, 1, usage, {"Kepler": 2 * WATT_HOUR}, 2000)
    found = energy_of(half)
    assert found == Energy(Decimal(2), Decimal(1), "Kepler"), "of the tokens that were metered, not of all"
    assert energy_of(Account({"EUR": GRAINS}, 1, usage)) is None
    assert energy_of(Account(energy={"CpuSeconds": WATT_HOUR})) == Energy(Decimal(1), None, "CpuSeconds")
    [row] = rows(Book({"support/bot": half}), {}, None)
    said = status(row, None, NOW)
    assert (said["wattHours"], said["wattHoursPerThousandTokens"], said["energySource"]) == (
        "2.000",
        "1.0000",
        "Kepler",
    )


@pytest.mark.parametrize(
    ("amounts", "source"),
    [
        ({"RequestedShare": 8, "Kepler": 92}, "Kepler 92 %, RequestedShare 8 %"),
        ({"RequestedShare": 1, "Kepler": 999}, "Kepler >99 %, RequestedShare <1 %"),
        ({"RequestedShare": 1, "Kepler": 1, "CpuSeconds": 1}, "CpuSeconds 33 %, Kepler 33 %, RequestedShare 33 %"),
        ({"RequestedShare": 0, "Kepler": 1}, "Kepler"),
    ],
)
def test_several_sources_are_named_with_their_parts(amounts: dict[str, int], source: str) -> None:
    found = energy_of(Account(energy=amounts))
    assert found is not None
    assert found.source == source
    assert len(source) <= 64, "as long as the API takes"


def test_energy_of_a_model_in_two_currencies_counts_once() -> None:
    account = Account({"USD": GRAINS, "EUR": GRAINS}, 1, Usage(1, 1, 1), {"Kepler": WATT_HOUR}, 2)
    assert [row.energy is None for row in rows(Book({"a/b": account}), {}, None)] == [False, True]


def said(minutes: int, amount: str) -> dict[str, str]:
    at = NOW + timedelta(minutes=minutes)
    return {"at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "monthToDate": amount}


def test_a_status_says_something_else_at_most_hourly() -> None:
    first = said(0, "1.00")
    assert settled(None, first, NOW) == first
    assert settled(first, said(59, "2.00"), NOW + timedelta(minutes=59)) == first
    assert settled(first, said(60, "2.00"), NOW + timedelta(minutes=60)) == said(60, "2.00")
    filled = {**first, "cloudEquivalent": ""}
    assert settled(filled, said(600, "1.00"), NOW + timedelta(minutes=600)) == filled, "only the time moved"


@pytest.mark.parametrize("at", ["", "yesterday", None, "2026-11-22T09:30:00"])
def test_a_status_written_by_hand_is_put_right(at: Any) -> None:
    assert settled({"at": at, "monthToDate": "9"}, said(0, "1.00"), NOW) == said(0, "1.00")


def test_what_is_not_known_stays_and_what_is_not_any_more_goes() -> None:
    assert settled(said(0, "1.00"), None, NOW) == said(0, "1.00")
    assert settled(said(0, "1.00"), {}, NOW) is None
    assert settled(None, None, NOW) is None
    assert settled(None, {}, NOW) is None
