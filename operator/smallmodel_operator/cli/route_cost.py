"""`slm route cost`: what a route spent outside, from the register that its gateways share; and what the answers of its
SmallModels would have cost there, by their tokens in the ledger."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.places import place
from smallmodel_operator.budget.price import Price, plain, price_of
from smallmodel_operator.budget.register import Register
from smallmodel_operator.cli.connected import Unanswered, connected
from smallmodel_operator.cli.console import failed, stderr, stdout
from smallmodel_operator.cluster.budgets import Registers
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.cluster.spend import Spend
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import Book

Object = Mapping[str, Any]
UNCOUNTED: Final = "What this route spends outside is not counted: give it a budget in money (spec.budgets)."
WHOEVER: Final = "Tokens are those of the SmallModels, whoever asked them: by this route, by another, or by their name."


async def cost(name: str, namespace: str, system: str, output: str, now: datetime | None = None) -> int:
    """Print; 1: the route is not there, or nothing can be read."""
    try:
        async with connected() as client:
            route = await client.get("ModelRoute", name, namespace)
            if route is None:
                return failed(f"ModelRoute {name!r} does not exist in namespace {namespace!r}")
            register = await Registers(client, system).read(place(f"{namespace}/{name}"))
            book, trouble = await _book(client, system, (now or datetime.now(UTC)).strftime("%Y-%m"))
    except (Unanswered, Away) as error:
        return failed(str(error))
    said: dict[str, Any] = {"outside": spent(register, f"{namespace}/{name}"), "inside": instead(route, book)}
    if output == "json":
        print(json.dumps(said, indent=2))
    else:
        _show(said)
    counted = any(budget.get("money") for budget in (route.get("spec") or {}).get("budgets") or ())
    for text in (UNCOUNTED if not counted else "", trouble, WHOEVER if said["inside"] else ""):
        if text:
            stderr().print(text, markup=False)
    return 0


async def _book(client: Client, system: str, month: str) -> tuple[Book, str]:
    """The month of the ledger, and why nothing is known of it."""
    try:
        kept = await Spend(client, system).load()
        return (checkpoint.load(kept).ledger.get(month, Book()) if kept else Book()), ""
    except (ValueError, ApiError) as error:
        return Book(), f"The ledger cannot be read, so nothing is said of what stayed: {error}"


def spent(register: Register, route: str) -> list[dict[str, str]]:
    """What targets outside asked for, by window and caller (empty: all together), as the gateways last said.

    `held`: beside it, granted to gateways for requests that are under way or come next.
    """
    counters = sorted((c for c in register.counters if c.route == route and c.unit is Unit.MONEY), key=str)
    return [
        {
            "window": counter.window.name,
            "caller": counter.caller,
            "currency": counter.currency,
            "spent": plain(used := register.used(counter)),
            "held": plain(max(0, register.taken(counter) - used)),
        }
        for counter in counters
    ]


def instead(route: Object, book: Book) -> list[dict[str, Any]]:
    """What the month's tokens of each SmallModel behind a route would have cost at each target outside with a price."""
    prices = list(_prices(route))
    found = []
    for model in _models(route):
        account = book.models.get(model)
        if account is None:
            continue
        usage = account.usage
        for target, price in prices:
            would = plain(price.of(usage.prompt, usage.generated))
            found.append(
                {
                    "model": model,
                    "promptTokens": usage.prompt,
                    "generatedTokens": usage.generated,
                    "target": target,
                    "currency": price.currency,
                    "wouldCost": would,
                }
            )
    return found


def _targets(route: Object) -> list[Object]:
    return list((route.get("spec") or {}).get("targets") or ())


def _prices(route: Object) -> Iterator[tuple[str, Price]]:
    for target in _targets(route):
        if given := (target.get("external") or {}).get("price"):
            yield target["name"], price_of(given)


def _models(route: Object) -> list[str]:
    """Each once, as `<namespace>/<name>`."""
    references = (target.get("smallModelRef") for target in _targets(route))
    own = route["metadata"]["namespace"]
    return list(dict.fromkeys(f"{ref.get('namespace') or own}/{ref['name']}" for ref in references if ref))


def _show(said: Mapping[str, list[dict[str, Any]]]) -> None:
    if said["outside"]:
        rows = [
            (r["window"], r["caller"], f"{r['spent']} {r['currency']}", f"{r['held']} {r['currency']}")
            for r in said["outside"]
        ]
        stdout().print(_table(("WINDOW", "CALLER", "SPENT OUTSIDE", "HELD"), rows))
    if said["inside"]:
        would = [
            (r["model"], *(str(r[f]) for f in ("promptTokens", "generatedTokens")), r["target"],
             f"{r['wouldCost']} {r['currency']}")
            for r in said["inside"]
        ]  # fmt: skip
        stdout().print(_table(("MODEL", "PROMPT", "GENERATED", "AT", "WOULD HAVE COST"), would))


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
