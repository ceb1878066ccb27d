"""`slm cost breakeven` as its users write it."""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

PROFILE = """\
apiVersion: smallmodel.dev/v1alpha1
kind: ComputeProfile
metadata: {name: cpu}
spec:
  price: {purchase: "12000", amortizationYears: 4, currency: USD}
  power: {watts: 400, pue: "1.4", pricePerKilowattHour: "0.20"}
"""
MODEL = """\
apiVersion: smallmodel.dev/v1alpha1
kind: SmallModel
metadata: {name: bot}
spec: {compute: {profileRef: {name: cpu}}}
status:
  capacity:
    prefillTokensPerSecond: "300.0"
    decodeTokensPerSecond: [{concurrency: 1, tokensPerSecond: "40.0"}, {concurrency: 8, tokensPerSecond: "300.0"}]
"""
PRICES = """\
read: "2999-01-01"
currency: USD
prices:
- {name: small, promptPerMillionTokens: "0.60", generatedPerMillionTokens: "0.60"}
- {name: cheap, promptPerMillionTokens: "0.05", generatedPerMillionTokens: "0.40"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("profile", PROFILE), ("model", MODEL), ("prices", PRICES)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def slm(folder: Path, *more: str, files: tuple[str, ...] = ("profile", "model")) -> tuple[int, str, str]:
    named = [str(folder / f"{name}.yaml") for name in files]
    given = ["cost", "breakeven", *named, "--prices", str(folder / "prices.yaml"), *more]
    done = CliRunner().invoke(app, given)
    return done.exit_code, done.stdout, done.stderr


def test_the_table_says_when_who_wins(folder: Path) -> None:
    code, out, err = slm(folder)
    assert (code, err) == (0, "")
    assert "0.4545 USD an hour" in out
    assert "1080000 tokens an hour" in out
    small, cheap = (next(line for line in out.splitlines() if line.startswith(name)) for name in ("small", "cheap"))
    assert "70.1 % busy" in small
    assert "never: the cloud is cheaper" in cheap
    assert "read on 2999-01-01" in out


def test_json_has_the_numbers_as_text(folder: Path) -> None:
    code, out, _ = slm(folder, "-o", "json", "--utilization", "100")
    assert code == 0
    found = json.loads(out)
    assert found["cloudWinsBelowPerMillionTokens"] == "0.4208"
    assert [one["cheaper"] for one in found["compared"]] == ["local", "cloud"]
    assert found["compared"][0]["breakEvenUtilizationPercent"] == "70.1"
    months = 12000 / ((1.08 * 0.60 - 0.112) * 730)
    assert float(found["compared"][0]["paybackMonths"]) == pytest.approx(months, abs=0.06)


def test_csv_is_a_row_a_price(folder: Path) -> None:
    code, out, _ = slm(folder, "-o", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["cloud"] for row in rows] == ["small", "cheap"]
    assert rows[0]["localPerMillionTokens"] == "0.8416"
    assert rows[1]["paybackMonths"] == ""


def test_the_speed_may_be_said(folder: Path) -> None:
    said = ("--prefill-tokens-per-second", "300", "--decode-tokens-per-second", "300", "-o", "json")
    assert slm(folder, *said, files=("profile",)) == slm(folder, "-o", "json")


def test_the_price_list_may_be_the_config_map(folder: Path) -> None:
    plain = slm(folder)
    config_map = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "p"}, "data": {"prices.yaml": PRICES}}
    (folder / "prices.yaml").write_text(yaml.safe_dump(config_map))
    assert slm(folder) == plain


def test_an_old_price_list_is_said_and_counts_all_the_same(folder: Path) -> None:
    (folder / "prices.yaml").write_text(PRICES.replace("2999-01-01", "2020-01-01"))
    code, out, err = slm(folder)
    assert code == 0
    assert "on 2020-01-01: read them again" in err
    assert "small" in out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('purchase: "12000"', 'purchase: "0"', "spec.price.purchase"),
        ("watts: 400", "watts: 0", "spec.power.watts"),
        ("  price: ", "  cost: ", "spec.power must be unset"),
        ("currency: USD", "currency: EUR", "exchange.EUR"),
        ("kind: ComputeProfile", "kind: Node", "no ComputeProfile"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_by_name(folder: Path, old: str, new: str, says: str) -> None:
    (folder / "profile.yaml").write_text(PROFILE.replace(old, new, 1))
    code, out, err = slm(folder)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--utilization", "0"), "utilization"),
        (("--utilization", "high"), "--utilization"),
        (("--prompt-tokens", "-5"), "--prompt-tokens"),
        (("--replicas-per-node", "0"), "replicas per node"),
        (("--decode-tokens-per-second", "0", "--prefill-tokens-per-second", "9"), "--decode-tokens-per-second"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(folder: Path, options: tuple[str, ...], says: str) -> None:
    code, out, err = slm(folder, *options)
    assert (code, out) == (2, "")
    assert says in err


def test_without_a_speed_it_says_how_to_get_one(folder: Path) -> None:
    code, _, err = slm(folder, files=("profile",))
    assert code == 2
    assert "status.capacity" in err


def test_missing_files_are_named(folder: Path) -> None:
    assert "gone.yaml" in slm(folder, files=("gone",))[2]
    (folder / "prices.yaml").unlink()
    code, _, err = slm(folder)
    assert code == 2
    assert "prices.yaml" in err
