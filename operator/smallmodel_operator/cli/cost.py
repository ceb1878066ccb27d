"""`slm cost`: what models cost in a month, as the operator kept it last."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from smallmodel_operator.api.names import SPEND
from smallmodel_operator.cli.connected import Unanswered, connected
from smallmodel_operator.cli.console import failed, stderr, stdout
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.spend import Spend
from smallmodel_operator.control.spend import prices_of, speed_of
from smallmodel_operator.core.money import BadCost, per_million, text
from smallmodel_operator.cost import checkpoint, report
from smallmodel_operator.cost.ledger import HOUR_MICROSECONDS, Book, time_of
from smallmodel_operator.cost.pricelist import PriceList
from smallmodel_operator.cost.report import PoolRow, Row
from smallmodel_operator.cost.state import State
from smallmodel_operator.cost.tokens import Speed

COLUMNS: Final = (
    "month", "namespace", "model", "currency", "spent", "replicaHours", "requests", "promptTokens", "generatedTokens",
    "perMillionTokens", "perMillionPromptTokens", "perMillionGeneratedTokens", "cloudEquivalent",
    "kilowattHours", "wattHoursPerThousandTokens", "energySource",
)  # fmt: skip
OLD_SECONDS: Final = 900
"""A ledger that was kept longer ago is not kept any more: it is said."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; empty: all namespaces, this month."""

    namespace: str = ""
    month: str = ""
    system: str = "smallmodel-system"


@dataclass(frozen=True, slots=True)
class Found:
    """What the cluster says: the ledger, how fast models are, the cloud's prices, and what could not be used."""

    state: State
    speeds: dict[str, Speed | None]
    prices: PriceList | None
    troubles: tuple[str, ...] = ()


async def show(asked: Asked, output: str, now: datetime | None = None) -> int:
    """Print; 1 when nothing can be said of the month, with the reason on standard error."""
    today = now or datetime.now(UTC)
    try:
        async with connected() as client:
            found = await _read(client, asked)
    except (Unanswered, ValueError) as error:
        return failed(str(error))
    month = asked.month or today.strftime("%Y-%m")
    book = found.state.ledger.get(month)
    if book is None:
        known = ", ".join(sorted(found.state.ledger)) or "none yet"
        return failed(f"nothing is known of {month}; months kept: {known}.")
    rows = report.rows(book, found.speeds, found.prices, asked.namespace)
    for trouble in (*found.troubles, *_warnings(found, book, today)):
        stderr().print(trouble, markup=False)
    _print(month, rows, [] if asked.namespace else report.pools(book), found, output)
    return 0


async def _read(client: Client, asked: Asked) -> Found:
    kept = await Spend(client, asked.system).load()
    if kept is None:
        raise ValueError(
            f"there is no ConfigMap {SPEND} in namespace {asked.system}: the operator makes it a few minutes after a "
            "ComputeProfile has a `price`."
        )
    troubles = []
    try:
        models = await client.list("SmallModel", asked.namespace or None)
    except ApiError as error:
        models = []
        troubles.append(f"Prompt and generated tokens count alike, how fast models are cannot be read: {error.message}")
    try:
        prices = prices_of(await Spend(client, asked.system).prices())
    except (BadCost, ApiError) as error:
        prices = None
        troubles.append(f"No cloud to compare with: {error}")
    speeds = {f"{m['metadata']['namespace']}/{m['metadata']['name']}": speed_of(m.get("status") or {}) for m in models}
    return Found(checkpoint.load(kept), speeds, prices, tuple(troubles))


def _warnings(found: Found, book: Book, now: datetime) -> list[str]:
    said = []
    today: date = now.date()
    if found.prices is not None and (old := found.prices.warning(today)):
        said.append(old)
    kept = time_of(found.state.at)
    if (now - kept).total_seconds() > OLD_SECONDS:
        said.append(f"The ledger was kept last on {kept:%Y-%m-%d at %H:%M} UTC: is the operator running?")
    if book.gap:
        hours = text(Decimal(book.gap) / HOUR_MICROSECONDS, 1)
        said.append(f"For {hours} hours nobody looked: they are charged to the pods that were there afterwards.")
    if found.prices is not None:
        others = sorted({c for one in book.models.values() for c in one.spent} - {found.prices.currency})
        missing = [code for code in others if code not in found.prices.exchange]
        said += [f"Nothing to compare {code} with: give `exchange.{code}` in the price list." for code in missing]
    return said


def _print(month: str, rows: list[Row], pools: list[PoolRow], found: Found, output: str) -> None:
    if output == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_value(month, row) for row in rows)
    elif output == "json":
        value = {
            "month": month,
            "at": f"{time_of(found.state.at):%Y-%m-%dT%H:%M:%SZ}",
            "models": [_value(month, row) for row in rows],
            "namespaces": _by_namespace(rows),
            "pools": [_pool(pool) for pool in pools],
        }
        print(json.dumps(value, indent=2))
    else:
        stdout().print(_models(rows))
        if any(row.energy for row in rows):
            stdout().print()
            stdout().print(_energy(rows))
        if len({row.namespace for row in rows}) > 1:
            stdout().print()
            stdout().print(_table(("NAMESPACE", "SPENT"), [(n["namespace"], _of(n)) for n in _by_namespace(rows)]))
        if pools:
            stdout().print()
            stdout().print(_pools(pools))


def _value(month: str, row: Row) -> dict[str, Any]:
    each = row.each
    return {
        "month": month,
        "namespace": row.namespace,
        "model": row.model,
        "currency": row.currency,
        "spent": text(row.spent),
        "replicaHours": text(row.hours),
        "requests": row.usage.requests,
        "promptTokens": row.usage.prompt,
        "generatedTokens": row.usage.generated,
        "perMillionTokens": per_million(each.all) if each.all is not None else "",
        "perMillionPromptTokens": per_million(each.prompt) if each.prompt is not None and each.split else "",
        "perMillionGeneratedTokens": per_million(each.generated) if each.generated is not None and each.split else "",
        "cloudEquivalent": text(row.cloud) if row.cloud is not None else "",
        "kilowattHours": text(row.energy.watt_hours / 1000, 4) if row.energy else "",
        "wattHoursPerThousandTokens": text(row.energy.each, 4) if row.energy and row.energy.each is not None else "",
        "energySource": row.energy.source if row.energy else "",
    }


def _by_namespace(rows: list[Row]) -> list[dict[str, str]]:
    return [
        {"namespace": name, "currency": currency, "spent": text(amount)}
        for name in sorted({row.namespace for row in rows})
        for currency, amount in sorted(
            report.total((row.currency, row.spent) for row in rows if row.namespace == name).items()
        )
    ]


def _pool(pool: PoolRow) -> dict[str, str]:
    amounts = {"total": pool.total, "models": pool.models, "others": pool.others, "idle": pool.idle}
    return {
        "profile": pool.profile,
        "currency": pool.currency,
        "nodeHours": text(pool.hours),
        **{name: text(amount) for name, amount in amounts.items()},
    }


def _of(value: dict[str, str]) -> str:
    return f"{value['spent']} {value['currency']}"


def _models(rows: list[Row]) -> Table:
    columns = ("NAMESPACE", "MODEL", "SPENT", "HOURS", "REQUESTS", "PROMPT", "GENERATED", "PER 1M",
               "PROMPT 1M", "GENERATED 1M", "CLOUD")  # fmt: skip
    said = []
    for row in rows:
        value = _value("", row)
        cells = [value[name] for name in COLUMNS[5:-3]]
        said.append((row.namespace, row.model, _of(value), *map(str, cells)))
    return _table(columns, said)


def _energy(rows: list[Row]) -> Table:
    columns = ("NAMESPACE", "MODEL", "KWH", "WH PER 1,000 TOKENS", "SOURCE")
    values = [_value("", row) for row in rows if row.energy]
    return _table(columns, [(v["namespace"], v["model"], *(v[name] for name in COLUMNS[-3:])) for v in values])


def _pools(pools: list[PoolRow]) -> Table:
    columns = ("PROFILE", "NODE HOURS", "COST", "MODELS", "OTHERS", "IDLE")
    said = []
    for value in map(_pool, pools):
        cost = f"{value['total']} {value['currency']}"
        said.append((value["profile"], value["nodeHours"], cost, value["models"], value["others"], value["idle"]))
    return _table(columns, said)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
