"""The configuration of each feature: kept to read, and judged by the real Envoy."""

import json
from pathlib import Path
from typing import Any

import pytest
from hack.envoy.validate import complaint
from tests.gateway.cases import CASES
from tests.gateway.running import here

from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import Site, bootstrap, files

GOLDEN = Path(__file__).parent / "golden"
SITE = Site()


def readable(value: Any) -> Any:
    """Without the Lua, which is read where it is written."""
    if isinstance(value, dict):
        return {k: facts(v) if k == "inline_string" and "function" in v else readable(v) for k, v in value.items()}
    return [readable(v) for v in value] if isinstance(value, list) else value


def facts(lua: str) -> list[str]:
    """What stands in front of a filter's text."""
    return lua[: lua.index("do\n--")].splitlines() if "DATA" in lua else ["(Lua)"]


def changes(value: Any, base: Any) -> Any:
    """What differs from the plain case; the whole where there is no such file in it."""
    if isinstance(value, dict) and isinstance(base, dict):
        found = {k: changes(v, base.get(k)) for k, v in value.items() if v != base.get(k)}
        return found | {f"(gone) {k}": True for k in base if k not in value}
    if isinstance(value, list) and isinstance(base, list) and len(value) == len(base):
        return [changes(v, b) if v != b else "(same)" for v, b in zip(value, base, strict=True)]
    return value


def shown(name: str) -> str:
    """The plain case whole, the others as what they change."""
    value = {"bootstrap.json": bootstrap(SITE), **files(CASES[name], SITE)}
    if name != "one-model":
        value = changes(value, {"bootstrap.json": bootstrap(SITE), **files(CASES["one-model"], SITE)})
    return json.dumps(readable(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_as_kept(name: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.write_text(shown(name))
    assert path.exists(), f"no golden file: pytest {Path(__file__).parent.name} --update-golden"
    assert shown(name) == path.read_text()


def test_no_file_without_a_case() -> None:
    assert {p.stem for p in GOLDEN.glob("*.json")} == set(CASES)


def with_certificate(folder: Path) -> Site:
    return here(folder)


@pytest.mark.parametrize("name", CASES)
def test_envoy_takes_it(name: str, tmp_path: Path) -> None:
    site = with_certificate(tmp_path)
    assert complaint(bootstrap(site), files(CASES[name], site), tmp_path) == ""


def test_envoy_would_complain(tmp_path: Path) -> None:
    site = with_certificate(tmp_path)
    broken = json.loads(json.dumps(files(CASES["one-model"], site)))
    broken["xds/rds.json"]["resources"][0]["virtual_hosts"][0]["no_such_field"] = 1
    assert "no_such_field" in complaint(bootstrap(site), broken, tmp_path)


def test_equal_states_give_equal_files() -> None:
    one, other = CASES["access"], CASES["access"]
    turned = State(
        dict(reversed(one.models.items())), one.endpoints, dict(reversed(one.keys.items())), one.engine_master
    )
    assert json.dumps(files(turned, SITE), sort_keys=True) == json.dumps(files(other, SITE), sort_keys=True)


def test_no_key_stands_in_any_file_but_engines_on_their_route() -> None:
    text = json.dumps(files(CASES["access"], SITE))
    assert "slm-support" not in text
    assert "partner-key" not in text
    assert CASES["access"].engine_master.decode() not in text
