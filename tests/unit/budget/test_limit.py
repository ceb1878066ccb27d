"""Limits of a route, and what a request needs of them."""

from datetime import UTC, datetime

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.limit import Limit, Per, limit_of, needs
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
    assert needs((MONTH, TODAY), "desk/front", "sa:crm/app", 70, NOW) == {
        Counter("desk/front", Unit.TOKENS, Window("2026-11")): Asked(70, 1000),
        Counter("desk/front", Unit.REQUESTS, Window("2026-11-22"), "sa:crm/app"): Asked(1, 5),
    }


def test_which_counters_are_of_a_limit() -> None:
    mine = TODAY.counter("desk/front", "sa:crm/app", NOW)
    assert TODAY.counts(mine)
    assert not MONTH.counts(mine)
    assert not TODAY.counts(Counter("desk/front", Unit.REQUESTS, Window("2026-11-22")))
    assert not TODAY.counts(Counter("desk/front", Unit.REQUESTS, Window("2026-11"), "sa:crm/app"))
