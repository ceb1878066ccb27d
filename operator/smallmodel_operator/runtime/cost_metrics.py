"""What the ledger says of this month, as metrics."""

from collections.abc import Mapping
from datetime import UTC, datetime

from prometheus_client import Gauge

from smallmodel_operator.control.budget import Subject
from smallmodel_operator.core.budget import Spent
from smallmodel_operator.core.energy import JOULE
from smallmodel_operator.cost import forecast, report
from smallmodel_operator.cost.ledger import Account, Book, month_of
from smallmodel_operator.cost.pricelist import PriceList
from smallmodel_operator.cost.state import State
from smallmodel_operator.runtime import metrics


class _Series:
    """The series of a gauge. Those that stay are set where they are: making them anew takes ten times as long."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._there: dict[tuple[str, ...], Gauge] = {}

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """These and no others, by their labels."""
        for labels in self._there.keys() - values.keys():
            del self._there[labels]
            self._gauge.remove(*labels)
        for labels, value in values.items():
            if labels not in self._there:
                self._there[labels] = self._gauge.labels(*labels)
            self._there[labels].set(value)


_MODELS, _TOKENS = _Series(metrics.COST_MODELS), _Series(metrics.COST_TOKENS)
_CLOUD, _POOLS = _Series(metrics.COST_CLOUD), _Series(metrics.COST_POOLS)


def show(state: State, prices: PriceList | None, now: datetime) -> None:
    """Set all of them; what is not in this month's book is gone."""
    book = state.ledger.get(now.strftime("%Y-%m"), Book())
    rows = report.rows(book, {}, prices)
    tokens: dict[tuple[str, ...], float] = {}
    for row in rows:
        if row.usage.requests:
            tokens[row.namespace, row.model, "prompt"] = row.usage.prompt
            tokens[row.namespace, row.model, "generated"] = row.usage.generated
    _MODELS.show({(r.namespace, r.model, r.currency): float(r.spent) for r in rows})
    _TOKENS.show(tokens)
    _CLOUD.show({(r.namespace, r.model, r.currency): float(r.cloud) for r in rows if r.cloud is not None})
    _POOLS.show(
        {
            (pool.profile, pool.currency, had_by): float(amount)
            for pool in report.pools(book)
            for had_by, amount in (("models", pool.models), ("others", pool.others), ("idle", pool.idle))
        }
    )
    metrics.COST_PRICES_AGE.set(prices.age_days(now.date()) if prices else float("nan"))


def drew(before: State, after: State) -> None:
    """Count the energy of the time between two states; models that are not in the last month's book are gone."""
    for month, book in after.ledger.items():
        old = before.ledger.get(month, Book())
        if book is old:
            continue
        for name, account in book.models.items():
            counted = old.models.get(name, Account()).energy
            for source, amount in account.energy.items():
                if (more := amount - counted.get(source, 0)) > 0:
                    metrics.ENERGY.labels(*name.split("/"), source).inc(more / JOULE)
    this_month = after.ledger.get(month_of(after.at), Book()).models
    if month_of(before.at) != month_of(after.at):
        gone = before.ledger.get(month_of(before.at), Book()).models.keys() - this_month.keys()
        for name in gone:
            metrics.ENERGY.remove_by_labels(dict(zip(("namespace", "model"), name.split("/"), strict=True)))


def budget(model: tuple[str, str], of: Subject | None, spent: Spent | None) -> None:
    """A model with a cost objective, as it was judged; None: it has none any more, or what it cost is not known."""
    if of is None:
        named = dict(zip(("namespace", "model"), model, strict=True))
        metrics.COST_BUDGET.remove_by_labels(named)
        metrics.COST_MONTH_END.remove_by_labels(named)
        return
    share = float(spent.amount / of.cost.monthly) if spent and of.cost.monthly else None
    expected = forecast.month_end(spent.amount, datetime.now(UTC), of.created) if spent else None
    _set(metrics.COST_BUDGET, model, share)
    _set(metrics.COST_MONTH_END, (*model, of.cost.currency), None if expected is None else float(expected))


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)
