"""`slm release`: nothing waits for an operator that is gone."""

from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.api.names import FINALIZER
from smallmodel_operator.cli import release as module
from smallmodel_operator.cli.release import release


def place(api: FakeApiServer, name: str, *finalizers: str) -> None:
    body = objects.model(name)
    body["metadata"].update(finalizers=list(finalizers), uid=f"uid-{name}")
    api.put(body)


def operator(api: FakeApiServer, pods: int = 0) -> None:
    meta = {"name": "smallmodel-operator", "namespace": "smallmodel-system"}
    api.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta})
    for number in range(pods):
        api.put({"kind": "Pod", "metadata": {"name": f"operator-{number}", "namespace": "smallmodel-system"}})


async def run(timeout: float = 5) -> int:
    return await release("smallmodel-system", "smallmodel-operator", timeout)


async def test_the_operator_is_stopped_and_every_model_let_go(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    operator(connected)
    place(connected, "a", FINALIZER, "theirs/finalizer")
    place(connected, "b", FINALIZER)
    place(connected, "c", "theirs/finalizer")
    assert await run() == 0
    left: dict[str, Any] = {
        k[2]: o["metadata"]["finalizers"] for k, o in connected.objects.items() if k[0] == "SmallModel"
    }
    assert left == {"a": ["theirs/finalizer"], "b": [], "c": ["theirs/finalizer"]}
    assert connected.writes[0].path.endswith("/scale"), "first of all: it would put them back"
    assert "3 SmallModel(s) keep serving" in capsys.readouterr().out


async def test_routes_are_let_go_too(connected: FakeApiServer) -> None:
    route = objects.route(small=1)
    route["metadata"]["finalizers"] = [FINALIZER]
    connected.put(route)
    assert await run() == 0
    assert connected.objects["ModelRoute", "support", "desk"]["metadata"]["finalizers"] == []


async def test_it_is_no_error_to_run_it_twice_or_without_an_operator(connected: FakeApiServer) -> None:
    place(connected, "a", FINALIZER)
    assert await run() == 0
    before = len(connected.writes)
    assert await run() == 0
    assert all("smallmodels" not in s.path for s in connected.writes[before:])


async def test_it_waits_for_the_operators_pods(
    connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    operator(connected, pods=1)
    place(connected, "a", FINALIZER)
    assert await run(timeout=0.2) == 1
    assert "not done within" in capsys.readouterr().out
    assert (connected.get("SmallModel", "a") or {})["metadata"]["finalizers"] == [FINALIZER]


async def test_an_edit_meanwhile_is_not_overwritten(connected: FakeApiServer) -> None:
    place(connected, "a", FINALIZER)
    connected.refuse("PATCH", "smallmodels/a", 409, "Conflict", "modified", times=1)
    assert await run() == 0
    assert (connected.get("SmallModel", "a") or {})["metadata"]["finalizers"] == []


async def test_a_refusal_is_told(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    place(connected, "a", FINALIZER)
    connected.refuse("PATCH", "smallmodels/a", 403, "Forbidden", "smallmodels is forbidden")
    assert await run() == 1
    assert "smallmodels is forbidden" in capsys.readouterr().out


async def test_an_api_server_that_is_away_is_told(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.down = True
    assert await run() == 1
    assert "does not answer" in capsys.readouterr().out


async def test_without_a_cluster_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert await run() == 1
    assert "point KUBECONFIG at" in capsys.readouterr().out


async def test_with_named_namespaces_only_these_are_listed(
    connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chart gives Roles there and no right to list all; a list over all is refused."""
    own = objects.model("a")["metadata"]["namespace"]
    monkeypatch.setenv("SLM_WATCH_NAMESPACES", f"{own},legal")
    connected.refuse("GET", "/v1alpha1/smallmodels", 403, "Forbidden", "smallmodels is forbidden at the cluster scope")
    place(connected, "a", FINALIZER)
    assert await run() == 0
    assert (connected.get("SmallModel", "a") or {})["metadata"]["finalizers"] == []
