"""Limits of a route, and what a request needs of them."""

from datetime import UTC, datetime

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.limit import Limit, Most, Per, limit_of, needs
from smallmodel_operator.budget.need import Asked
from smallmodel_operator.budget.window import Period, Window

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = Limit(Per.ROUTE, Period.MONTH, Unit.TOKENS, 1000, 80)
TODAY = Limit(Per.CALLER, Period.DAY, Unit.REQUESTS, 5)


def test_an_entry_is_read_as_the_api_server_holds_it() -> None:
    assert limit_of({"per": "Route", "period": "Month", "tokens": 1000, "softPercent": 80}) == MONTH
    assert limit_of({"per": "Caller", "period": "Day", "requests": 5, "onExceeded": "Refuse"}) == TODAY
    assert (MONTH.name, TODAY.name) == ("Route/Month/Tokens", "Caller/Day/Requests")


def test_a_limit_may_be_of_what_leaves_only() -> None:
    assert limit_of({"per": "Route", "period": "Day", "requests": 5, "onExceeded": "LocalOnly"}).local


def test_a_request_needs_room_in_each() -> None:
    assert needs((MONTH, TODAY), "desk/front", "sa:crm/app", Most(70), NOW) == {
        Counter("desk/front", Unit.TOKENS, Window("2026-11")): Asked(70, 1000),
        Counter("desk/front", Unit.REQUESTS, Window("2026-11-22"), "sa:crm/app"): Asked(1, 5),
    }


def test_which_counters_are_of_a_limit() -> None:
    mine = TODAY.counter("desk/front", "sa:crm/app", NOW)
    assert TODAY.counts(mine)
    assert not MONTH.counts(mine)
    assert not TODAY.counts(Counter("desk/front", Unit.REQUESTS, Window("2026-11-22")))
    assert not TODAY.counts(Counter("desk/front", Unit.REQUESTS, Window("2026-11"), "sa:crm/app"))


def test_money_is_asked_for_by_what_leaves_alone() -> None:
    money = limit_of(
        {"per": "Route", "period": "Month", "money": "400.5", "currency": "EUR", "onExceeded": "LocalOnly"}
    )
    assert (money.unit, money.most, money.currency) == (Unit.MONEY, 400_500_000_000_000, "EUR")
    assert (money.name, money.text, MONTH.text) == ("Route/Month/Money", "400.50 EUR", "1000 tokens")
    counter = Counter("desk/front", Unit.MONEY, Window("2026-11"), currency="EUR")
    left = needs((money, TODAY), "desk/front", "sa:crm/app", Most(70, 5), NOW)
    assert left[counter] == Asked(5, money.most)
    stayed = needs((money, TODAY), "desk/front", "sa:crm/app", Most(70), NOW)
    assert [found.unit for found in stayed] == [Unit.REQUESTS]


def test_money_of_another_currency_is_another_sum() -> None:
    euros, dollars = (
        limit_of({"per": "Route", "period": "Month", "money": "1", "currency": code}) for code in ("EUR", "USD")
    )
    assert str(euros.counter("desk/front", "", NOW)) == "desk/front Money/EUR 2026-11"
    assert euros.counts(euros.counter("desk/front", "", NOW))
    assert not euros.counts(dollars.counter("desk/front", "", NOW))
