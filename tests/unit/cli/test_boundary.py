"""`slm boundary`: what it writes, and that it says who has not taken it over."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from tests.fakes.apiserver import FakeApiServer
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.boundary import Waiting, change, sealing, show, unsealing
from smallmodel_operator.cluster.client import Client

GATEWAYS = ("smallmodel-gateway-0", "smallmodel-gateway-1")


@pytest.fixture
def cluster(connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> FakeApiServer:
    """Counts generations, and has two gateways."""
    store: Callable[..., Any] = connected._store

    def counting(key: Any, obj: dict[str, Any], managers: Any) -> dict[str, Any]:
        old = connected.objects.get(key)
        before = int(old["metadata"].get("generation", 0)) if old else 0
        changed = old is None or old.get("spec") != obj.get("spec")
        generation = before + int(changed)
        result: dict[str, Any] = store(
            key, {**obj, "metadata": {**obj["metadata"], "generation": generation}}, managers
        )
        return result

    monkeypatch.setattr(connected, "_store", counting)
    endpoints = [{"addresses": [f"10.0.0.{n}"], "targetRef": {"name": name}} for n, name in enumerate(GATEWAYS)]
    labels = {"kubernetes.io/service-name": "smallmodel-gateway-pods"}
    meta = {"name": "gw", "namespace": "smallmodel-system", "labels": labels}
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "endpoints": endpoints}
    connected.put(slices)
    return connected


def boundary(cluster: FakeApiServer) -> dict[str, Any]:
    found = cluster.get("ClusterBoundary", "cluster", "")
    assert found is not None
    return found


@asynccontextmanager
async def obeying(cluster: FakeApiServer, *names: str) -> AsyncIterator[None]:
    """These gateways take over what is written; the fake keeps one manager's list, so one speaks for all."""

    async def obey() -> None:
        while True:
            await asyncio.sleep(0.02)
            found = cluster.get("ClusterBoundary", "cluster", "")
            if found is None:
                continue
            at = {"observedGeneration": found["metadata"]["generation"], "since": "2026-11-21T14:00:00.000Z"}
            entries = [{"name": name, "inference": "Stopped", "cutRequests": 2, **at} for name in names]
            cluster.put({**found, "status": {"gateways": entries}})

    task = asyncio.create_task(obey())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_stop_is_confirmed_by_every_gateway(cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=True, reason="ticket 7"), "", Waiting()) == 0
    said = capsys.readouterr().out
    assert "generation 1: inference is stopped in the whole cluster (ticket 7)" in said
    for name in GATEWAYS:
        assert f"{name}: in force 0." in said
    assert "2 running requests cut" in said
    assert "in force at all 2 gateways" in said
    assert boundary(cluster)["spec"] == {"external": "Denied", "inference": "Stopped", "reason": "ticket 7"}
    assert cluster.writes[0].query["fieldManager"] == "slm"


@pytest.mark.parametrize(("status", "warns"), [("True", False), ("False", True), ("Unknown", True), ("", True)])
async def test_a_stop_says_who_may_go_past_the_gateways(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str], status: str, warns: bool
) -> None:
    said = [{"type": "BoundaryEnforced", "status": status, "reason": "X", "message": "DNS got out."}] if status else []
    body = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}}
    cluster.put({**body, "spec": {}, "status": {"conditions": said}})
    await change(sealing("", stop=True, reason=""), "", Waiting(0.0))
    error = " ".join(capsys.readouterr().err.split())
    assert ("past the gateways" in error) is warns
    assert ("DNS got out." in error) is (warns and bool(status))
    await change(unsealing("", reason=""), "", Waiting(0.0))
    assert "past the gateways" not in " ".join(capsys.readouterr().err.split())


async def test_a_gateway_that_does_not_obey_is_named(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with obeying(cluster, GATEWAYS[0]):
        assert await change(sealing("", stop=True, reason=""), "", Waiting(0.5)) == 1
    said = capsys.readouterr()
    assert f"{GATEWAYS[0]}: in force" in said.out
    error = " ".join(said.err.split())
    assert f"NOT in force after 0 s at {GATEWAYS[1]}:" in error
    assert f"logs {GATEWAYS[1]} -c agent" in error
    assert f"delete pod {GATEWAYS[1]} --grace-period=0 --force" in error
    assert await show("table", "smallmodel-system") == 1
    assert f"{GATEWAYS[1]}: NOT in force: has not said anything yet" in capsys.readouterr().out


async def test_all_gateways_that_do_not_obey_are_in_the_command_that_ends_them(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await change(sealing("", stop=True, reason=""), "", Waiting(0.0)) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert f"delete pod {GATEWAYS[0]} {GATEWAYS[1]} --grace-period=0 --force" in error
    for name in GATEWAYS:
        assert f"logs {name} -c agent" in error
    assert "Role smallmodel-boundary" in error


async def test_without_any_gateway_nothing_is_confirmed(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await change(sealing("", stop=True, reason=""), "", Waiting(namespace="elsewhere")) == 1
    assert "no gateway runs in namespace elsewhere" in " ".join(capsys.readouterr().err.split())
    assert boundary(cluster)["spec"]["inference"] == "Stopped", "written all the same: those that start obey it"


async def test_the_undo_leaves_what_somebody_else_stopped(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("crm", stop=True, reason="leak"), "", Waiting()) == 0
        assert await change(sealing("", stop=True, reason="drill"), "", Waiting()) == 0
        capsys.readouterr()
        assert await change(unsealing("", reason="drill over"), "", Waiting()) == 0
        assert "inference is stopped in namespace crm (leak)" in capsys.readouterr().out
        assert await change(unsealing("crm", reason=""), "", Waiting()) == 0
    assert "inference is allowed" in capsys.readouterr().out
    assert boundary(cluster)["spec"] == {
        "namespaces": [{"name": "crm", "external": "Denied", "inference": "Allowed"}],
        "external": "Denied",
        "inference": "Allowed",
        "reason": "drill over",
    }


async def test_a_write_that_meets_another_is_made_again(cluster: FakeApiServer) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=False, reason=""), "", Waiting()) == 0
        cluster.refuse("PUT", "clusterboundaries", 409, "Conflict", "modified", times=2)
        assert await change(sealing("", stop=True, reason=""), "", Waiting()) == 0
    assert boundary(cluster)["spec"]["inference"] == "Stopped"


async def test_saying_it_again_writes_nothing(cluster: FakeApiServer) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=True, reason="ticket 7"), "", Waiting()) == 0
        written = len(cluster.writes)
        assert await change(sealing("", stop=True, reason=""), "", Waiting()) == 0
        assert len(cluster.writes) == written


async def test_for_git_it_is_printed_and_nothing_is_written(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.put(
        {
            "apiVersion": "smallmodel.dev/v1alpha1",
            "kind": "ClusterBoundary",
            "metadata": {"name": "cluster"},
            "spec": {"namespaces": [{"name": "crm", "inference": "Stopped"}]},
        }
    )
    assert await change(sealing("", stop=True, reason="x"), "yaml", Waiting()) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["metadata"] == {"name": "cluster"}
    assert printed["spec"] == {
        "namespaces": [{"name": "crm", "inference": "Stopped"}],
        "external": "Denied",
        "inference": "Stopped",
        "reason": "x",
    }
    assert cluster.writes == []
    cluster.down = True
    assert await change(sealing("", stop=True, reason="x"), "yaml", Waiting()) == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["spec"]["inference"] == "Stopped"
    assert "cannot be read" in said.err


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "ClusterRole smallmodel-boundary gives the right"), (404, "install the CRDs"), (422, "must be cluster")],
)
async def test_a_refusal_says_what_helps(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str], status: int, says: str
) -> None:
    cluster.refuse("POST", "clusterboundaries", status, "X", "must be cluster")
    assert await change(sealing("", stop=True, reason=""), "", Waiting()) == 1
    assert says in " ".join(capsys.readouterr().err.split())


async def test_status_as_json(cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await show("table", "smallmodel-system") == 0
    assert "inference is allowed everywhere" in capsys.readouterr().out
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("crm", stop=True, reason="leak"), "", Waiting()) == 0
    capsys.readouterr()
    assert await show("json", "smallmodel-system") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["generation"] == 1
    assert [(g["name"], g["inForce"]) for g in said["gateways"]] == [(name, True) for name in GATEWAYS]


async def test_status_says_whether_the_network_enforces_policies(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"type": "BoundaryEnforced", "status": "False", "reason": "PoliciesNotEnforced", "message": "DNS got out."}
    body = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}}
    cluster.put({**body, "spec": {}})
    await show("table", "smallmodel-system")
    assert "was not said yet" in capsys.readouterr().out
    cluster.put({**body, "spec": {}, "status": {"conditions": [said]}})
    await show("table", "smallmodel-system")
    assert "network: BoundaryEnforced False (PoliciesNotEnforced): DNS got out." in capsys.readouterr().out
    await show("json", "smallmodel-system")
    assert json.loads(capsys.readouterr().out)["network"] == said


@pytest.mark.parametrize("words", [
    ["seal", "--all", "--stop", "-o", "yml"], ["unseal", "--all", "-o", "jsn"], ["status", "-o", "yaml"],
])  # fmt: skip
def test_a_typo_in_the_form_of_output_changes_nothing(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It asked for a dry run; to take it for none would stop a cluster."""
    reached: list[object] = []

    async def connect(*given: object) -> None:
        reached.append(given)
        raise OSError("no cluster")

    monkeypatch.setattr(Client, "connect", connect)
    done = CliRunner().invoke(app, ["boundary", *words])
    assert done.exit_code == 2
    assert "'--output'" in done.output
    assert reached == []


@pytest.mark.parametrize("words", [["seal"], ["seal", "--all", "-n", "crm"], ["unseal"]])
def test_who_does_not_say_where_is_asked(words: list[str]) -> None:
    done = CliRunner().invoke(app, ["boundary", *words])
    assert done.exit_code == 2
    assert "--all" in done.output
