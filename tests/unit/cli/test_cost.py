"""`slm cost`: what the operator kept, in tables, JSON and CSV."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.cost import Asked, show
from smallmodel_operator.cluster.spend import Spend
from smallmodel_operator.core.energy import WATT_HOUR
from smallmodel_operator.core.traffic import Usage
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import GRAINS, HOUR_MICROSECONDS, Account, Book, PoolAccount, microseconds
from smallmodel_operator.cost.state import State

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SYSTEM = "smallmodel-system"
PRICES = """\
read: "2026-11-01"
currency: EUR
prices: [{name: small, promptPerMillionTokens: "1", generatedPerMillionTokens: "2"}]
"""
CAPACITY = {
    "prefillTokensPerSecond": "100.0",
    "decodeTokensPerSecond": [{"concurrency": 1, "tokensPerSecond": "10.0"}],
}
NOVEMBER = Book(
    {
        "support/bot": Account(
            {"EUR": 3 * GRAINS // 10},
            HOUR_MICROSECONDS,
            Usage(9, 100_000, 20_000),
            {"Kepler": 9 * WATT_HOUR, "RequestedShare": 3 * WATT_HOUR},
            120_000,
        ),
        "crm/bot": Account({"EUR": GRAINS}, 2 * HOUR_MICROSECONDS),
    },
    {("cpu", "EUR"): PoolAccount(2 * GRAINS, 7 * GRAINS // 10, 0, 4 * HOUR_MICROSECONDS)},
)


async def keep(api: FakeApiServer, at: datetime = NOW, november: Book = NOVEMBER, currency: str = "EUR") -> None:
    state = State(0, microseconds(at), {"2026-10": Book(), "2026-11": november})
    assert await Spend(api.client(), SYSTEM).save(checkpoint.dump(state))
    meta = {"name": "smallmodel-prices", "namespace": SYSTEM}
    data = {"prices.yaml": PRICES.replace("EUR", currency)}
    api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    api.put({**objects.model("bot"), "status": {"capacity": CAPACITY}})


async def test_a_table_of_models_namespaces_and_pools(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await keep(connected)
    assert await show(Asked(), "table", NOW) == 0
    said = capsys.readouterr()
    lines = [line.split() for line in said.out.splitlines() if line]
    assert [
        "support",
        "bot",
        "0.30",
        "EUR",
        "1.00",
        "9",
        "100000",
        "20000",
        "2.5000",
        "1.0000",
        "10.0000",
        "0.14",
    ] in lines
    assert ["support", "bot", "0.0120", "0.1000", "Kepler", "75", "%,", "RequestedShare", "25", "%"] in lines
    assert ["crm", "1.00", "EUR"] in lines
    assert ["cpu", "4.00", "2.00", "EUR", "1.30", "0.00", "0.70"] in lines
    assert said.err == ""


async def test_json_has_it_all(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    await keep(connected)
    assert await show(Asked(), "json", NOW) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["month"], found["at"]) == ("2026-11", "2026-11-22T09:30:00Z")
    assert [m["spent"] for m in found["models"]] == ["1.00", "0.30"]
    assert [m["kilowattHours"] for m in found["models"]] == ["", "0.0120"]
    assert [m["energySource"] for m in found["models"]] == ["", "Kepler 75 %, RequestedShare 25 %"]
    assert found["namespaces"][1] == {"namespace": "support", "currency": "EUR", "spent": "0.30"}
    assert found["pools"][0]["idle"] == "0.70"


async def test_csv_is_a_row_a_model(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    await keep(connected)
    assert await show(Asked(namespace="support"), "csv", NOW) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["namespace"], row["spent"], row["promptTokens"], row["cloudEquivalent"]) == (
        "support", "0.30", "100000", "0.14",
    )  # fmt: skip
    assert (row["kilowattHours"], row["wattHoursPerThousandTokens"]) == ("0.0120", "0.1000")


async def test_where_nobody_says_what_is_drawn_there_is_no_table_of_it(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    account = Account({"EUR": GRAINS}, HOUR_MICROSECONDS, Usage(1, 10, 10))
    await keep(connected, november=Book({"crm/bot": account}))
    assert await show(Asked(), "table", NOW) == 0
    assert "KWH" not in capsys.readouterr().out


async def test_another_month_may_be_asked_for(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    await keep(connected)
    assert await show(Asked(month="2026-10"), "json", NOW) == 0
    assert json.loads(capsys.readouterr().out)["models"] == []
    assert await show(Asked(month="2026-09"), "table", NOW) == 1
    assert "2026-10, 2026-11" in capsys.readouterr().err


async def test_what_is_doubtful_is_said(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    await keep(connected, NOW - timedelta(hours=1), Book(NOVEMBER.models, {}, 2 * HOUR_MICROSECONDS), "USD")
    assert await show(Asked(), "table", NOW + timedelta(days=400)) == 1
    capsys.readouterr()
    assert await show(Asked(month="2026-11"), "table", NOW + timedelta(days=400)) == 0
    said = " ".join(capsys.readouterr().err.split())
    for words in ("read 421 days ago", "is the operator running?", "2.0 hours nobody looked", "exchange.EUR"):
        assert words in said


async def test_who_may_not_list_models_has_no_split(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await keep(connected)
    connected.refuse("GET", "/smallmodels", 403, "Forbidden", "you may not")
    assert await show(Asked(namespace="support"), "json", NOW) == 0
    said = capsys.readouterr()
    [model] = json.loads(said.out)["models"]
    assert (model["perMillionTokens"], model["perMillionGeneratedTokens"]) == ("2.5000", "")
    assert "count alike" in said.err


async def test_without_a_ledger_it_says_what_makes_one(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await show(Asked(), "table", NOW) == 1
    assert "has a `price`" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("data", [{}, {"ledger.json.gz": "bm8="}])
async def test_a_damaged_ledger_is_said(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], data: dict[str, Any]
) -> None:
    meta = {"name": "smallmodel-spend", "namespace": SYSTEM}
    connected.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": data})
    assert await show(Asked(), "table", NOW) == 1
    assert "ledger.json.gz" in capsys.readouterr().err


def test_a_month_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(app, ["cost", "--month", "2026-13"])
    assert done.exit_code == 2
    assert "--month" in done.stderr
