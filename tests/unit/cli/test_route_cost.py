"""`slm route cost`: from the register and the ledger."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.budget import text
from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.places import place
from smallmodel_operator.budget.price import trillionths
from smallmodel_operator.budget.register import Register, Share
from smallmodel_operator.budget.window import Window
from smallmodel_operator.cli.route_cost import cost
from smallmodel_operator.cluster.budgets import ENTRY
from smallmodel_operator.cluster.spend import Spend
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import Account, Book, microseconds
from smallmodel_operator.cost.state import State

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SYSTEM = "smallmodel-system"
PRICE = {"promptPerMillionTokens": "0.15", "generatedPerMillionTokens": "0.6", "currency": "EUR"}
MONTH = Counter("support/desk", Unit.MONEY, Window("2026-11"), currency="EUR")


def put(api: FakeApiServer, *budgets: dict[str, Any], price: dict[str, str] | None = None) -> None:
    cloud = {"url": "https://api.example.com", "model": "big", **({"price": price} if price else {})}
    targets = [{"name": "small", "smallModelRef": {"name": "bot"}}, {"name": "cloud", "external": cloud}]
    meta = {"name": "desk", "namespace": "support"}
    spec = {"targets": targets, "budgets": list(budgets)}
    api.put({"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ModelRoute", "metadata": meta, "spec": spec})


def put_register(api: FakeApiServer) -> None:
    shares = {"gateway-0": Share(trillionths("3"), trillionths("1.000001"), lost=trillionths("0.5"))}
    others = {Counter("support/desk", Unit.TOKENS, Window("2026-11")): shares}
    others[Counter("support/other", Unit.MONEY, Window("2026-11"), currency="EUR")] = shares
    register = Register({"gateway-0": "j"}, {MONTH: shares, **others})
    meta = {"name": place("support/desk"), "namespace": SYSTEM}
    api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {ENTRY: text.write(register)}})


EUROS = {"per": "Route", "period": "Month", "money": "400", "currency": "EUR"}


async def test_what_was_spent_outside_and_what_stayed_would_have_cost(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    put(connected, EUROS, price=PRICE)
    put_register(connected)
    book = Book({"support/bot": Account({}, 0, Usage(9, 1_000_000, 500_000)), "support/other": Account({}, 0)})
    state = State(0, microseconds(NOW), {"2026-11": book})
    assert await Spend(connected.client(), SYSTEM).save(checkpoint.dump(state))
    assert await cost("desk", "support", SYSTEM, "json", NOW) == 0
    found = capsys.readouterr()
    assert json.loads(found.out) == {
        "outside": [{"window": "2026-11", "caller": "", "currency": "EUR", "spent": "1.500001", "held": "1.999999"}],
        "inside": [
            {
                "model": "support/bot",
                "promptTokens": 1_000_000,
                "generatedTokens": 500_000,
                "target": "cloud",
                "currency": "EUR",
                "wouldCost": "0.45",
            }
        ],
    }
    assert "whoever asked them" in found.err
    assert await cost("desk", "support", SYSTEM, "table", NOW) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["2026-11", "1.500001", "EUR", "1.999999", "EUR"]
    assert rows[3] == ["support/bot", "1000000", "500000", "cloud", "0.45", "EUR"]


async def test_what_is_not_counted_is_said(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await cost("desk", "support", SYSTEM, "table", NOW) == 1
    assert "does not exist" in capsys.readouterr().err
    put(connected)
    assert await cost("desk", "support", SYSTEM, "table", NOW) == 1
    assert "is missing" in capsys.readouterr().err
    put_register(connected)
    assert await cost("desk", "support", SYSTEM, "json", NOW) == 0
    found = capsys.readouterr()
    assert "is not counted: give it a budget in money" in found.err
    assert json.loads(found.out)["inside"] == []
