"""What is said of a month: rows of models and pools, and a model's `status.cost`. Pure; amounts are decimal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from smallmodel_operator.core.energy import WATT_HOUR
from smallmodel_operator.core.money import BadCost, per_million, text
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost import tokens
from smallmodel_operator.cost.ledger import HOUR_MICROSECONDS, Account, Book, money
from smallmodel_operator.cost.pricelist import PriceList
from smallmodel_operator.cost.tokens import PerMillion, Speed

REWRITE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Row:
    """A model's month in one currency. `cloud`: what its tokens would have cost there; None: it cannot be said."""

    namespace: str
    model: str
    currency: str
    spent: Decimal
    hours: Decimal
    usage: Usage
    each: PerMillion
    cloud: Decimal | None
    energy: "Energy | None" = None


@dataclass(frozen=True, slots=True)
class Energy:
    """What a model's pods drew in a month, in watt-hours without the room's cooling; `each`: of 1,000 tokens, None:
    there were none. `source`: where it comes from, with parts where there are several."""

    watt_hours: Decimal
    each: Decimal | None
    source: str


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What the nodes of a profile cost in a month, and who had them."""

    profile: str
    currency: str
    hours: Decimal
    total: Decimal
    models: Decimal
    others: Decimal
    idle: Decimal


def rows(book: Book, speeds: Mapping[str, Speed | None], prices: PriceList | None, namespace: str = "") -> list[Row]:
    """Of all models, or those of a namespace; a model that ran on nodes of two currencies has two rows, and its tokens
    and energy stand in the first."""
    found = []
    for name, account in sorted(book.models.items()):
        where, _, model = name.partition("/")
        if namespace and where != namespace:
            continue
        usage, energy = account.usage, energy_of(account)
        for currency in sorted(account.spent) or [""]:
            row = _row((where, model), currency, account, usage, speeds.get(name), prices)
            found.append(replace(row, energy=energy))
            usage, energy = Usage(), None
    return found


def _row(
    who: tuple[str, str], currency: str, account: Account, usage: Usage, speed: Speed | None, prices: PriceList | None
) -> Row:
    spent = money(account.spent.get(currency, 0))
    return Row(
        namespace=who[0],
        model=who[1],
        currency=currency,
        spent=spent,
        hours=Decimal(account.microseconds) / HOUR_MICROSECONDS,
        usage=usage,
        each=tokens.per_million(spent, usage.prompt, usage.generated, speed),
        cloud=cloud_equivalent(usage, currency, prices),
    )


def energy_of(account: Account) -> Energy | None:
    """What an account's pods drew; None: nobody said."""
    total = sum(account.energy.values())
    if not total:
        return None
    hours = Decimal(total) / WATT_HOUR
    ranked = sorted(account.energy.items(), key=lambda s: (-s[1], s[0]))
    parts = [name if amount == total else f"{name} {_percent(amount, total)}" for name, amount in ranked if amount]
    return Energy(hours, hours * 1000 / account.metered if account.metered else None, ", ".join(parts))


def _percent(part: int, whole: int) -> str:
    """Never 0 or 100 of what is neither."""
    percent = (200 * part + whole) // (2 * whole)
    return "<1 %" if percent < 1 else ">99 %" if percent > 99 else f"{percent} %"


def cloud_equivalent(usage: Usage, currency: str, prices: PriceList | None) -> Decimal | None:
    """What so many tokens would have cost; None: no price list, or none in this currency."""
    if prices is None:
        return None
    try:
        return prices.within(currency).compared.of(usage.prompt, usage.generated)
    except BadCost:
        return None


def pools(book: Book) -> list[PoolRow]:
    """Of all pools."""
    return [
        PoolRow(
            profile=name,
            currency=currency,
            hours=Decimal(pool.microseconds) / HOUR_MICROSECONDS,
            total=money(pool.total),
            models=money(pool.total - pool.idle - pool.others),
            others=money(pool.others),
            idle=money(pool.idle),
        )
        for (name, currency), pool in sorted(book.pools.items())
    ]


def status(row: Row, prices: PriceList | None, at: datetime) -> dict[str, Any]:
    """`status.cost` of a model."""
    source = "Prices of nodes: ComputeProfiles."
    if prices is not None and row.cloud is not None:
        source += f" Of the cloud: {prices.compare_with}, as read on {prices.read.isoformat()}."
    said: dict[str, Any] = {
        "month": at.strftime("%Y-%m"),
        "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "currency": row.currency,
        "monthToDate": text(row.spent),
        "source": source,
    }
    amounts = (
        ("perMillionTokens", row.each.all),
        ("perMillionPromptTokens", row.each.prompt if row.each.split else None),
        ("perMillionGeneratedTokens", row.each.generated if row.each.split else None),
    )
    said |= {name: per_million(amount) for name, amount in amounts if amount is not None}
    if row.energy is not None:
        said |= {"wattHours": text(row.energy.watt_hours, 3), "energySource": row.energy.source}
        if row.energy.each is not None:
            said["wattHoursPerThousandTokens"] = text(row.energy.each, 4)
    return said | ({"cloudEquivalent": text(row.cloud)} if row.cloud is not None else {})


def settled(previous: Mapping[str, Any] | None, offered: Mapping[str, Any] | None, now: datetime) -> Any:
    """What a status says now: at most hourly something else, and nothing else while only the time moved.

    Args:
        previous: what it says; empty or None: nothing.
        offered: what is known now; None: not known, so that what is said stays; empty: there is nothing more to say.
    """
    if offered is None or not previous:
        return offered or previous or None
    if not offered:
        return None
    if _lately(previous.get("at"), now):
        return previous
    return previous if _without_time(previous) == _without_time(offered) else offered


def _lately(at: Any, now: datetime) -> bool:
    try:
        return timedelta(0) <= now - datetime.fromisoformat(str(at)) < REWRITE
    except (ValueError, TypeError):
        return False  # somebody wrote into the status by hand


def _without_time(said: Mapping[str, Any]) -> dict[str, Any]:
    """The API server fills in empty texts for what is absent."""
    return {name: value for name, value in said.items() if name != "at" and value != ""}


def total(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Sums by currency."""
    found: dict[str, Decimal] = {}
    for currency, amount in amounts:
        found[currency] = found.get(currency, Decimal(0)) + amount
    return found
