"""`slm cost breakeven`: a node beside a cloud's prices, from files."""

import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from smallmodel_operator.api.names import PRICES_KEY
from smallmodel_operator.cli.console import stderr, stdout
from smallmodel_operator.cli.manifests import NOT_YAML, Unreadable, one_document, read
from smallmodel_operator.control.prices import hour_of
from smallmodel_operator.core.money import BadCost, decimal, per_million, text
from smallmodel_operator.cost.breakeven import Comparison, Work, compare
from smallmodel_operator.cost.node import NodePrice
from smallmodel_operator.cost.pricelist import PriceList, price_list
from smallmodel_operator.cost.tokens import Speed, measured

COLUMNS: Final = (
    "cloud", "cloudPerMillionTokens", "localPerMillionTokens", "cheaper", "breakEvenUtilizationPercent",
    "paybackMonths",
)  # fmt: skip


OBJECTS: Final = ("spec.compute.profileRef", "spec.price", "spec.power", "status.capacity")
"""What is read of manifests, each a map or absent down to its last step."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says; numbers as they were typed."""

    files: tuple[str, ...]
    prices: str
    prompt_tokens: str = "500"
    generated_tokens: str = "150"
    utilization: str = "50"
    replicas: int = 1
    prefill: str = ""
    decode: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A node beside every model of the price list."""

    price: NodePrice
    work: Work
    prices: PriceList
    compared: tuple[Comparison, ...]


def run(given: Given, output: str, today: date | None = None) -> int:
    """Print the comparison; 2 when something given makes no sense."""
    try:
        answer = answer_of(given)
    except (BadCost, Unreadable) as error:
        stderr().print(f"slm cost breakeven: {error}", markup=False)
        return 2
    if warning := answer.prices.warning(today or datetime.now(UTC).date()):
        stderr().print(warning, markup=False)
    if output == "json":
        print(json.dumps(_value(answer), indent=2))
    elif output == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_value(answer)["compared"])
    else:
        _show(answer)
    return 0


def answer_of(given: Given) -> Answer:
    """The comparison.

    Raises:
        BadCost, Unreadable: something given makes no sense; the message names it.
    """
    objects = [obj for where, obj in read(list(given.files)) if _whole(where, obj)]
    model = _one(objects, "SmallModel")
    price = _price(objects, model)
    work = Work(
        _speed(given, model),
        given.replicas,
        decimal("--prompt-tokens", given.prompt_tokens),
        decimal("--generated-tokens", given.generated_tokens),
        decimal("--utilization", given.utilization),
    )
    prices = read_prices(given.prices).within(price.currency)
    return Answer(price, work, prices, tuple(compare(price, work, cloud) for cloud in prices.prices))


def read_prices(file: str) -> PriceList:
    """The price list in a file.

    Raises:
        BadCost: it is none.
        Unreadable: the file cannot be read.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            value = one_document(opened.read())
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from error
    except NOT_YAML as error:
        raise Unreadable(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return prices_in(value)
    except BadCost:
        raise
    except NOT_YAML as error:
        raise Unreadable(f"{file}: not YAML: {' '.join(str(error).split())}") from error


def prices_in(value: Any) -> PriceList:
    """The price list in a YAML document, or in a ConfigMap.

    Raises:
        BadCost: there is none.
        NOT_YAML: the ConfigMap's entry is no YAML.
    """
    if isinstance(value, Mapping) and value.get("kind") == "ConfigMap":
        data = value.get("data")
        entry = data.get(PRICES_KEY) if isinstance(data, Mapping) else None
        if entry is None:
            raise BadCost(f"the ConfigMap has no entry {PRICES_KEY}.")
        value = one_document(entry)
    return price_list(value)


def _whole(where: str, obj: Mapping[str, Any]) -> bool:
    """True, after a look at what is read of it.

    Raises:
        BadCost: something on the way to it is no object.
    """
    for place in OBJECTS:
        found: Any = obj
        steps = place.split(".")
        for deep, step in enumerate(steps, start=1):
            found = (found or {}).get(step)
            if not isinstance(found, Mapping | None):
                raise BadCost(f"{where}: {'.'.join(steps[:deep])} of {obj['kind']} must be an object.")
    speeds = ((obj.get("status") or {}).get("capacity") or {}).get("decodeTokensPerSecond") or []
    if not isinstance(speeds, list) or not all(isinstance(speed, Mapping) for speed in speeds):
        raise BadCost(f"{where}: status.capacity.decodeTokensPerSecond must be a list of objects.")
    return True


def _one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    found = [o for o in objects if o["kind"] == kind]
    if len(found) > 1:
        names = ", ".join(str((o.get("metadata") or {}).get("name")) for o in found)
        raise BadCost(f"there are {len(found)} {kind}s ({names}): give the files of one.")
    return found[0] if found else None


def _price(objects: list[dict[str, Any]], model: Mapping[str, Any] | None) -> NodePrice:
    profiles = [o for o in objects if o["kind"] == "ComputeProfile"]
    if model is not None and len(profiles) > 1:
        named = (((model.get("spec") or {}).get("compute") or {}).get("profileRef") or {}).get("name", "default")
        profiles = [o for o in profiles if (o.get("metadata") or {}).get("name") == named]
    profile = _one(profiles, "ComputeProfile")
    if profile is None:
        raise BadCost("no ComputeProfile is among the files: give the one with the price of the nodes.")
    price = hour_of(profile.get("spec") or {})
    if price is None:
        name = (profile.get("metadata") or {}).get("name")
        raise BadCost(f"spec.price of ComputeProfile {name} is not set: say what a node costs.")
    return price


def _speed(given: Given, model: Mapping[str, Any] | None) -> Speed:
    zero = Decimal(0)
    status = ((model or {}).get("status") or {}).get("capacity")
    found = measured(status) if not (given.prefill and given.decode) else None
    if found is None and not (given.prefill and given.decode):
        raise BadCost(
            "how fast a replica is, is not known: give --prefill-tokens-per-second and --decode-tokens-per-second, or "
            "the manifest of a SmallModel with `status.capacity` (kubectl get slm NAME -o yaml)."
        )
    prefill = decimal("--prefill-tokens-per-second", given.prefill, above=zero) if given.prefill else None
    decode = decimal("--decode-tokens-per-second", given.decode, above=zero) if given.decode else None
    return Speed(prefill or (found.prefill if found else zero), decode or (found.decode if found else zero))


def _value(answer: Answer) -> dict[str, Any]:
    price, work = answer.price, answer.work
    return {
        "currency": price.currency,
        "nodeHour": text(price.hourly, 4),
        "runningHour": text(price.running, 4),
        "tokensPerHourFull": text(work.tokens_per_hour, 0),
        "localPerMillionTokensFull": per_million(work.local(price, Decimal(100))),
        "utilizationPercent": text(work.utilization_percent, 1),
        "cloudWinsBelowPerMillionTokens": per_million(work.local(price, work.utilization_percent)),
        "pricesRead": answer.prices.read.isoformat(),
        "compared": [dict(zip(COLUMNS, _row(one), strict=True)) for one in answer.compared],
    }


def _row(one: Comparison) -> tuple[str, ...]:
    return (
        one.name,
        per_million(one.cloud),
        per_million(one.local),
        one.cheaper,
        text(one.break_even_percent, 1) if one.break_even_percent is not None else "",
        text(one.payback_months, 1) if one.payback_months is not None else "",
    )


def _show(answer: Answer) -> None:
    price, work, console = answer.price, answer.work, stdout()
    full = per_million(work.local(price, Decimal(100)))
    console.print(
        f"A node costs {text(price.hourly, 4)} {price.currency} an hour and serves {text(work.tokens_per_hour, 0)} "
        f"tokens an hour when it is never idle: {full} {price.currency} a million. At "
        f"{text(work.utilization_percent, 1)} % it is {per_million(work.local(price, work.utilization_percent))}, and "
        "a cloud that takes less wins.",
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("CLOUD", "PER 1M", "CHEAPER", "BREAK-EVEN AT", "PAYBACK"):
        table.add_column(column, overflow="fold")
    for one in answer.compared:
        table.add_row(one.name, per_million(one.cloud), one.cheaper, _meets(one), _paid(one, price))
    console.print(table)
    source = f" ({answer.prices.source})" if answer.prices.source else ""
    console.print(f"Cloud prices as read on {answer.prices.read.isoformat()}{source}.", markup=False)


def _meets(one: Comparison) -> str:
    if one.break_even_percent is None or one.break_even_percent > 100:
        return "never: the cloud is cheaper than a node that is never idle"
    return f"{text(one.break_even_percent, 1)} % busy"


def _paid(one: Comparison, price: NodePrice) -> str:
    if price.purchase is None:
        return "nothing was bought"
    if one.payback_months is None:
        return "never at this utilization"
    return f"{text(one.payback_months, 1)} months"
