"""A cloud's prices, as somebody read them on a day. Never fetched: a table that is old says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from smallmodel_operator.core.money import MILLION, BadCost, currency, decimal, mapping

OLD_DAYS: Final = 180
MOST_PRICES: Final = 100
FIELDS: Final = frozenset({"read", "source", "currency", "exchange", "compareWith", "prices"})
_PRICE_FIELDS: Final = frozenset({"name", "promptPerMillionTokens", "generatedPerMillionTokens"})


@dataclass(frozen=True, slots=True)
class CloudPrice:
    """What one model of a cloud costs, for a million tokens of each sort."""

    name: str
    prompt: Decimal
    generated: Decimal

    def of(self, prompt: Decimal | int, generated: Decimal | int) -> Decimal:
        """What so many tokens cost."""
        return (self.prompt * prompt + self.generated * generated) / MILLION


@dataclass(frozen=True, slots=True)
class PriceList:
    """A dated table. `exchange`: units of another currency for one of `currency`, as of the same day."""

    read: date
    source: str
    currency: str
    exchange: Mapping[str, Decimal]
    compare_with: str
    prices: tuple[CloudPrice, ...]

    def age_days(self, today: date) -> int:
        return max(0, (today - self.read).days)

    def old(self, today: date) -> bool:
        """Should somebody read the prices again?"""
        return self.age_days(today) > OLD_DAYS

    def warning(self, today: date) -> str:
        """What to say of its age; empty: nothing."""
        age = f"The cloud's prices were read {self.age_days(today)} days ago"
        return f"{age}, on {self.read.isoformat()}: read them again." if self.old(today) else ""

    @property
    def compared(self) -> CloudPrice:
        """The model that statuses compare with."""
        return next(p for p in self.prices if p.name == self.compare_with)

    def within(self, code: str) -> "PriceList":
        """The same prices in another currency.

        Raises:
            BadCost: the table does not say what that is worth.
        """
        if code == self.currency:
            return self
        rate = self.exchange.get(code)
        if rate is None:
            raise BadCost(
                f"the cloud's prices are in {self.currency} and the nodes' in {code}: give `exchange.{code}`, "
                f"the {code} for 1 {self.currency}, in the price list."
            )
        prices = tuple(CloudPrice(p.name, p.prompt * rate, p.generated * rate) for p in self.prices)
        return PriceList(self.read, self.source, code, {}, self.compare_with, prices)


def price_list(value: Any) -> PriceList:
    """The table in a YAML document.

    Raises:
        BadCost: it is none; the message names the field.
    """
    given = mapping("a price list", value)
    if unknown := sorted(map(str, set(given) - FIELDS)):
        raise BadCost(f"a price list has no field {', '.join(unknown)}; it has {', '.join(sorted(FIELDS))}.")
    listed = given.get("prices")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_PRICES:
        raise BadCost(f"prices must be a list of 1 to {MOST_PRICES} entries.")
    prices = tuple(_price(f"prices[{i}]", entry) for i, entry in enumerate(listed))
    names = [p.name for p in prices]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise BadCost(f"prices names {', '.join(twice)} more than once.")
    compare = given.get("compareWith") or names[0]
    if compare not in names:
        raise BadCost(f"compareWith is {compare!r}: give one of {', '.join(names)}.")
    rates = mapping("exchange", given.get("exchange") or {})
    exchange = {
        currency(f"exchange.{code}", code): decimal(f"exchange.{code}", rate, above=Decimal(0))
        for code, rate in rates.items()
    }
    return PriceList(
        read=_day("read", given.get("read")),
        source=str(given.get("source") or "")[:512],
        currency=currency("currency", given.get("currency")),
        exchange=exchange,
        compare_with=str(compare),
        prices=prices,
    )


def _price(field: str, value: Any) -> CloudPrice:
    given = mapping(field, value)
    if unknown := sorted(map(str, set(given) - _PRICE_FIELDS)):
        raise BadCost(f"{field} has no field {', '.join(unknown)}; it has {', '.join(sorted(_PRICE_FIELDS))}.")
    name = given.get("name")
    if not isinstance(name, str) or not name or len(name) > 64:
        raise BadCost(f"{field}.name is {name!r}: give 1 to 64 characters.")
    prompt = decimal(f"{field}.promptPerMillionTokens", given.get("promptPerMillionTokens"))
    generated = decimal(f"{field}.generatedPerMillionTokens", given.get("generatedPerMillionTokens"))
    return CloudPrice(name, prompt, generated)


def _day(field: str, value: Any) -> date:
    if type(value) is date:  # YAML reads a bare 2026-11-22 as one
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadCost(f"{field} is {value!r}: give the day the prices were read, like 2026-11-22.") from None
