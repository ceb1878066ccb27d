"""What the ledger says of this month, as metrics."""

from datetime import UTC, datetime

from smallmodel_operator.control.budget import Subject
from smallmodel_operator.core.budget import Spent
from smallmodel_operator.core.energy import JOULE
from smallmodel_operator.cost import forecast, report
from smallmodel_operator.cost.ledger import Account, Book, month_of
from smallmodel_operator.cost.pricelist import PriceList
from smallmodel_operator.cost.state import State
from smallmodel_operator.runtime import metrics


def show(state: State, prices: PriceList | None, now: datetime) -> None:
    """Set all of them; what is not in this month's book is gone."""
    book = state.ledger.get(now.strftime("%Y-%m"), Book())
    for gauge in (metrics.COST_MODELS, metrics.COST_TOKENS, metrics.COST_CLOUD, metrics.COST_POOLS):
        gauge.clear()
    for row in report.rows(book, {}, prices):
        who = (row.namespace, row.model)
        metrics.COST_MODELS.labels(*who, row.currency).set(float(row.spent))
        if row.usage.requests:
            metrics.COST_TOKENS.labels(*who, "prompt").set(row.usage.prompt)
            metrics.COST_TOKENS.labels(*who, "generated").set(row.usage.generated)
        if row.cloud is not None:
            metrics.COST_CLOUD.labels(*who, row.currency).set(float(row.cloud))
    for pool in report.pools(book):
        for had_by, amount in (("models", pool.models), ("others", pool.others), ("idle", pool.idle)):
            metrics.COST_POOLS.labels(pool.profile, pool.currency, had_by).set(float(amount))
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
    named = dict(zip(("namespace", "model"), model, strict=True))
    metrics.COST_BUDGET.remove_by_labels(named)
    metrics.COST_MONTH_END.remove_by_labels(named)
    if of is None or spent is None:
        return
    if of.cost.monthly:
        metrics.COST_BUDGET.labels(**named).set(float(spent.amount / of.cost.monthly))
    expected = forecast.month_end(spent.amount, datetime.now(UTC), of.created)
    if expected is not None:
        metrics.COST_MONTH_END.labels(**named, currency=of.cost.currency).set(float(expected))
