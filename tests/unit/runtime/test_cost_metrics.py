"""What the ledger says, as metrics: budgets beside their spending, and energy that only grows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from smallmodel_operator.control.budget import Subject
from smallmodel_operator.control.budgets import Budgets
from smallmodel_operator.core.budget import CostObjective, Spent
from smallmodel_operator.core.energy import JOULE
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost.forecast import month_of
from smallmodel_operator.cost.ledger import GRAINS, Account, Book, PoolAccount, microseconds
from smallmodel_operator.cost.state import State
from smallmodel_operator.runtime import cost_metrics

OLD = datetime(2020, 1, 1, tzinfo=UTC)
NOVEMBER = microseconds(datetime(2026, 11, 30, 23, tzinfo=UTC))


def of(monthly: str | None = "400") -> Subject:
    cost = CostObjective("EUR", None, Decimal(monthly) if monthly else None, "Warn", prefer_cost=False)
    return Subject("uid", cost, 1, 4, OLD)


def metric(name: str, model: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"smallmodel_operator_{name}", {"namespace": "support", "model": model, **labels})


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The tenth of a month."""
    now = datetime(2026, 11, 11, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now

    monkeypatch.setattr(cost_metrics, "datetime", Clock)
    return now


def test_a_budget_is_shown_with_what_the_month_will_come_to(later: datetime) -> None:
    cost_metrics.budget(("support", "one"), of(), Spent(Decimal(100)))
    assert metric("cost_budget_spent_ratio", "one") == 0.25
    begin, end = month_of(later)
    assert metric("cost_month_end", "one", currency="EUR") == pytest.approx(100 * (end - begin) / (later - begin))


def test_without_a_monthly_budget_there_is_no_share_of_it(later: datetime) -> None:
    cost_metrics.budget(("support", "two"), of(None), Spent(Decimal(100)))
    assert metric("cost_budget_spent_ratio", "two") is None
    assert metric("cost_month_end", "two", currency="EUR") == pytest.approx(300)


def test_too_few_hours_say_nothing_of_the_month(later: datetime) -> None:
    young = replace(of(), created=later - timedelta(hours=1))
    cost_metrics.budget(("support", "three"), young, Spent(Decimal(100)))
    assert metric("cost_budget_spent_ratio", "three") == 0.25
    assert metric("cost_month_end", "three", currency="EUR") is None


@pytest.mark.parametrize("gone", [(None, Spent()), (of(), None)])
def test_who_has_no_objective_or_is_not_known_any_more_is_gone(
    later: datetime, gone: tuple[Subject | None, Spent | None]
) -> None:
    cost_metrics.budget(("support", "four"), of(), Spent(Decimal(100)))
    assert metric("cost_budget_spent_ratio", "four") is not None
    cost_metrics.budget(("support", "four"), *gone)
    assert metric("cost_budget_spent_ratio", "four") is None
    assert metric("cost_month_end", "four", currency="EUR") is None


def test_who_asks_in_another_currency_is_shown_in_that_one_alone(later: datetime) -> None:
    budgets = Budgets(lambda *_: Spent(Decimal(100)), lambda _: None, lambda: later)
    budgets.observe = cost_metrics.budget
    model, asked = ("support", "five"), of()
    budgets.follow(model, asked)
    assert metric("cost_month_end", "five", currency="EUR") is not None
    budgets.follow(model, replace(asked, cost=replace(asked.cost, currency="USD")))
    assert metric("cost_month_end", "five", currency="EUR") is None
    assert metric("cost_month_end", "five", currency="USD") is not None
    budgets.follow(model, None)
    assert metric("cost_month_end", "five", currency="USD") is None


# -- the month ------------------------------------------------------------------------------------------------------


def spent(**models: int) -> State:
    """Money of models of namespace support this month."""
    accounts = {
        f"support/{name}": Account({"EUR": amount * GRAINS}, usage=Usage(1, 10 * amount, amount))
        for name, amount in models.items()
    }
    pools = {("standard", "EUR"): PoolAccount(total=sum(models.values()) * GRAINS)}
    return State(0, NOVEMBER, {"2026-11": Book(accounts, pools)})


def test_what_a_month_cost_is_shown_of_the_models_in_it_and_of_no_others(later: datetime) -> None:
    cost_metrics.show(spent(six=3, seven=4), None, later)
    cost_metrics.show(spent(seven=5, eight=6), None, later)
    assert metric("cost_month_to_date", "six", currency="EUR") is None
    assert metric("cost_month_to_date_tokens", "six", kind="prompt") is None
    for name, amount in (("seven", 5), ("eight", 6)):
        assert metric("cost_month_to_date", name, currency="EUR") == amount
        assert metric("cost_month_to_date_tokens", name, kind="prompt") == 10 * amount
        assert metric("cost_month_to_date_tokens", name, kind="generated") == amount
    labels = {"profile": "standard", "currency": "EUR", "had_by": "models"}
    assert REGISTRY.get_sample_value("smallmodel_operator_cost_pool_month_to_date", labels) == 11
    cost_metrics.show(State(0, NOVEMBER), None, later)
    assert metric("cost_month_to_date", "seven", currency="EUR") is None
    assert REGISTRY.get_sample_value("smallmodel_operator_cost_pool_month_to_date", labels) is None


# -- energy ---------------------------------------------------------------------------------------------------------


def state(at: int, **months: dict[str, int]) -> State:
    """Joules of model support/drawn by source, by month."""
    found = {
        f"2026-{month[1:]}": Book({"support/drawn": Account(energy={s: j * JOULE for s, j in amounts.items()})})
        for month, amounts in months.items()
    }
    return State(0, at, found)


def test_energy_grows_over_the_end_of_a_month_and_no_longer_than_its_model() -> None:
    first = state(NOVEMBER, m11={"Kepler": 5})
    cost_metrics.drew(State(0, NOVEMBER), first)
    assert metric("energy_joules_total", "drawn", source="Kepler") == 5
    december = NOVEMBER + 2 * 3600 * 10**6
    second = state(december, m11={"Kepler": 7}, m12={"Kepler": 1, "CpuSeconds": 3})
    cost_metrics.drew(first, second)
    assert metric("energy_joules_total", "drawn", source="Kepler") == 8
    assert metric("energy_joules_total", "drawn", source="CpuSeconds") == 3
    cost_metrics.drew(second, second)
    assert metric("energy_joules_total", "drawn", source="Kepler") == 8
    january = december + 31 * 24 * 3600 * 10**6
    cost_metrics.drew(second, replace(second, at=january))
    assert metric("energy_joules_total", "drawn", source="Kepler") is None
