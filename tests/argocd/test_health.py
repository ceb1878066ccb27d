"""Argo CD's view of a SmallModel: health.lua and the actions, run unchanged in the Lua version Argo CD uses.

The test data lies in Argo CD's own layout (health_test.yaml, testdata/) and is what the operator really writes: it is
compared with the golden cases.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.paths import REPOSITORY
from lupa.lua51 import LuaRuntime, lua_type

HERE = REPOSITORY / "crds/argocd/resource_customizations/smallmodel.dev/SmallModel"
OF_ROUTES = HERE.parent / "ModelRoute/health.lua"
GOLDEN = REPOSITORY / "tests/golden"
TESTS: list[dict[str, Any]] = yaml.safe_load((HERE / "health_test.yaml").read_text())["tests"]
ACTIONS: dict[str, Any] = yaml.safe_load((HERE / "actions/action_test.yaml").read_text())


def _to_lua(lua: LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({k: _to_lua(lua, v) for k, v in value.items()})
    if isinstance(value, list):
        return lua.table_from([_to_lua(lua, v) for v in value])
    return value


def _to_python(value: Any) -> Any:
    return {k: _to_python(v) for k, v in value.items()} if lua_type(value) == "table" else value


def _run(script: Path, obj: dict[str, Any]) -> dict[str, Any]:
    lua = LuaRuntime(unpack_returned_tuples=True)
    for library in ("os", "io", "string", "table", "math", "require", "load", "dofile"):
        lua.execute(f"{library} = nil")  # Argo CD runs health scripts without Lua's libraries
    lua.globals().obj = _to_lua(lua, obj)
    return dict(_to_python(lua.execute(script.read_text())))


def _golden(case: str) -> dict[str, Any]:
    model = yaml.safe_load((GOLDEN / case / "model.yaml").read_text())
    status = yaml.safe_load((GOLDEN / case / "status.yaml").read_text())["status"]
    generation = status["observedGeneration"]
    return {**model, "metadata": {**model["metadata"], "generation": generation}, "status": status}


@pytest.mark.parametrize("test", TESTS, ids=lambda t: Path(t["inputPath"]).stem)
def test_health(test: dict[str, Any]) -> None:
    obj = yaml.safe_load((HERE / test["inputPath"]).read_text())
    assert _run(HERE / "health.lua", obj) == test["healthStatus"]


@pytest.mark.parametrize(
    "test", [t for t in TESTS if "golden" in t["inputPath"]], ids=lambda t: Path(t["inputPath"]).stem
)
def test_test_data_is_what_the_operator_writes(test: dict[str, Any]) -> None:
    case = Path(test["inputPath"]).stem.removeprefix("golden-")
    assert yaml.safe_load((HERE / test["inputPath"]).read_text()) == _golden(case)


@pytest.mark.parametrize("case", sorted(p.parent.name for p in GOLDEN.glob("*/status.yaml")))
def test_every_state_has_a_health(case: str) -> None:
    obj = _golden(case)
    conditions = {c["type"]: c for c in obj["status"]["conditions"]}
    health = _run(HERE / "health.lua", obj)
    if conditions["Stalled"]["status"] == "True":
        assert health["status"] == "Degraded"
    elif conditions["Ready"]["reason"] in ("Suspended", "ScaledToZero", "InferenceStopped"):
        assert health["status"] == "Suspended"
    elif conditions["Reconciling"]["status"] == "True":
        assert health["status"] == "Progressing"
    elif conditions["Ready"]["status"] == "True":
        assert health["status"] == "Healthy"
    else:
        assert health["status"] == "Suspended"
    assert health["message"]


def test_routes_have_the_script_of_models() -> None:
    assert OF_ROUTES.read_text() == (HERE / "health.lua").read_text()


@pytest.mark.parametrize(
    ("ready", "stalled", "reconciling", "health"),
    [
        (("True", "Serving"), "False", "False", "Healthy"),
        (("False", "TargetNotReady"), "False", "True", "Progressing"),
        (("False", "TargetNotFound"), "True", "False", "Degraded"),
        (("False", "TargetNotReady"), "False", "False", "Suspended"),  # its target is off, as its owner wants it
        (("False", "InferenceStopped"), "False", "False", "Suspended"),
    ],
)
def test_health_of_a_route(ready: tuple[str, str], stalled: str, reconciling: str, health: str) -> None:
    said = {"Ready": ready[0], "Stalled": stalled, "Reconciling": reconciling}
    conditions = [
        {"type": kind, "status": status, "reason": ready[1], "message": kind} for kind, status in said.items()
    ]
    obj = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": conditions}}
    assert _run(OF_ROUTES, obj)["status"] == health


@pytest.mark.parametrize("test", ACTIONS["discoveryTests"], ids=lambda t: Path(t["inputPath"]).stem)
def test_offered_actions(test: dict[str, Any]) -> None:
    offered = _run(HERE / "actions/discovery.lua", yaml.safe_load((HERE / "actions" / test["inputPath"]).read_text()))
    assert [{"name": name, **offered[name]} for name in sorted(offered)] == sorted(
        test["result"], key=lambda action: str(action["name"])
    )


@pytest.mark.parametrize("test", ACTIONS["actionTests"], ids=lambda t: str(t["action"]))
def test_actions(test: dict[str, Any]) -> None:
    here = HERE / "actions"
    before = yaml.safe_load((here / test["inputPath"]).read_text())
    wanted = yaml.safe_load((here / test["expectedOutputPath"]).read_text())
    after = _run(here / test["action"] / "action.lua", before)
    assert after["spec"] == wanted["spec"]
    assert {**wanted, "spec": before["spec"]} == before, "an action changes `spec` and nothing else"


def test_the_documented_setting_is_the_script() -> None:
    page = (REPOSITORY / "docs/how-to/gitops.md").read_text()
    block = next(b for b in page.split("```yaml\n")[1:] if "argocd-cm" in b).split("```")[0]
    config = yaml.safe_load(block)
    assert (
        config["data"]["resource.customizations.health.smallmodel.dev_SmallModel"] == (HERE / "health.lua").read_text()
    )
