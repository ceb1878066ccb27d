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
from smallmodel_operator.cli.boundary import change, sealing, show, unsealing
from smallmodel_operator.cli.boundary_confirm import State, Waiting, judge
from smallmodel_operator.cluster.client import Client

PROOF = {"asked": "word", "observedGeneration": 7, "time": "2026-11-21T14:00:00.000Z", "configuration": "3f2a"}
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
    connected.answers["/api/v1/namespaces/crm"] = {"kind": "Namespace"}
    return connected


@pytest.mark.parametrize("stop", [True, False])
async def test_a_namespace_that_is_not_there_is_no_success(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str], stop: bool
) -> None:
    assert await change(sealing("cmr", stop=stop, reason="leak"), "", Waiting(seconds=0.1)) == 1
    assert "There is no namespace 'cmr': nothing was changed" in " ".join(capsys.readouterr().err.split())
    assert cluster.get("ClusterBoundary", "cluster", "") is None


async def test_who_may_not_see_namespaces_is_believed(cluster: FakeApiServer) -> None:
    cluster.refuse("GET", "/namespaces/cmr", 403, "Forbidden", "no")
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("cmr", stop=True, reason="leak"), "", Waiting()) == 0


async def test_a_seal_without_a_stop_says_so(cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("crm", stop=False, reason=""), "", Waiting()) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Inference was not stopped in namespace crm: that takes --stop."
    )


def boundary(cluster: FakeApiServer) -> dict[str, Any]:
    found = cluster.get("ClusterBoundary", "cluster", "")
    assert found is not None
    return found


@asynccontextmanager
async def obeying(
    cluster: FakeApiServer, *names: str, mute: tuple[str, ...] = (), outside: tuple[str, ...] = ()
) -> AsyncIterator[None]:
    """These gateways take over what is written; the fake keeps one manager's list, so one speaks for all. `mute` prove
    nothing any more, through `outside` something leads out."""

    def entry(found: dict[str, Any], name: str) -> dict[str, Any]:
        at = {"observedGeneration": found["metadata"]["generation"], "since": "2026-11-21T14:00:00.000Z"}
        said = {"name": name, "inference": "Stopped", "cutRequests": 2, **at}
        asked = (found["metadata"].get("annotations") or {}).get("smallmodel.dev/prove", "")
        if not asked:
            return said
        leads = ["cluster crm/bot: 203.0.113.9:443 is none of its pods"] if name in outside else []
        word = "an-older-question" if name in mute else asked
        proof = {"asked": word, "observedGeneration": at["observedGeneration"], "time": "2026-11-21T14:00:00.000Z"}
        return {**said, "proof": {**proof, "configuration": "3f2a" * 16, "leadsOutside": leads}}

    async def obey() -> None:
        while True:
            await asyncio.sleep(0.02)
            found = cluster.get("ClusterBoundary", "cluster", "")
            if found is None:
                continue
            cluster.put({**found, "status": {"gateways": [entry(found, name) for name in names]}})

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
    assert f"NOT in force after 0 s at {GATEWAYS[1]} (it has not said anything):" in error
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


async def test_a_seal_is_proven_by_every_gateway(cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=False, reason=""), "text", Waiting()) == 0
        said = capsys.readouterr().out
        for name in GATEWAYS:
            assert f"{name}: in force 0." in said
        assert (
            said.count("nothing leads outside in configuration 3f2a3f2a3f2a, proven at 2026-11-21T14:00:00.000Z") == 2
        )
        assert "in force and proven at all 2 gateways" in said
        first = boundary(cluster)["metadata"]
        assert await change(sealing("", stop=False, reason=""), "text", Waiting()) == 0
        second = boundary(cluster)["metadata"]
    assert first["generation"] == second["generation"] == 1
    assert first["annotations"] != second["annotations"], "a proof of today says nothing of tomorrow: it is asked anew"
    assert await show("table", "smallmodel-system") == 0
    assert "nothing leads outside in configuration" in capsys.readouterr().out


async def test_a_stop_waits_for_no_proof(cluster: FakeApiServer) -> None:
    async with obeying(cluster, *GATEWAYS, mute=GATEWAYS):
        assert await change(sealing("", stop=True, reason=""), "text", Waiting()) == 0
        assert await change(unsealing("", reason=""), "text", Waiting()) == 0
    assert "annotations" not in boundary(cluster)["metadata"]


async def test_a_gateway_that_proves_nothing_is_named(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it said before its node died is no proof of now."""
    async with obeying(cluster, *GATEWAYS, mute=GATEWAYS[1:]):
        assert await change(sealing("", stop=False, reason=""), "text", Waiting(0.5)) == 1
    said = capsys.readouterr()
    assert f"{GATEWAYS[0]}: in force" in said.out
    assert f"{GATEWAYS[1]}: in force" not in said.out
    assert f"at {GATEWAYS[1]} (it has not proven that nothing leads outside):" in " ".join(said.err.split())


async def test_a_gateway_through_which_something_leads_outside_is_named_at_once(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with obeying(cluster, *GATEWAYS, outside=GATEWAYS[:1]):
        assert await change(sealing("", stop=False, reason=""), "text", Waiting(600)) == 1
    said = capsys.readouterr()
    assert f"NOT SEALED at {GATEWAYS[0]}: cluster crm/bot: 203.0.113.9:443 is none of its pods" in " ".join(
        said.err.split()
    )
    assert f"{GATEWAYS[1]}: in force" in said.out
    await show("table", "smallmodel-system")
    assert "LEADS OUTSIDE: cluster crm/bot" in capsys.readouterr().out


async def test_a_seal_as_json(cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=False, reason=""), "json", Waiting()) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["generation"], said["confirmed"]) == (1, True)
    assert said["asked"] == boundary(cluster)["metadata"]["annotations"]["smallmodel.dev/prove"]
    assert [(g["name"], g["state"], g["proof"]["asked"]) for g in said["gateways"]] == [
        (name, "confirmed", said["asked"]) for name in GATEWAYS
    ]
    async with obeying(cluster, *GATEWAYS, mute=GATEWAYS[1:], outside=GATEWAYS[:1]):
        assert await change(sealing("", stop=False, reason=""), "json", Waiting(0.5)) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["confirmed"]
    assert [(g["state"], g["why"].partition(":")[0]) for g in said["gateways"]] == [
        ("broken", "cluster crm/bot"), ("missing", "it has not proven that nothing leads outside"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        ({}, State.MISSING),
        ({"observedGeneration": 6, "proof": PROOF}, State.MISSING),
        ({"observedGeneration": 7}, State.MISSING),
        ({"observedGeneration": 7, "proof": {**PROOF, "asked": "older"}}, State.MISSING),
        ({"observedGeneration": 7, "proof": {**PROOF, "observedGeneration": 6}}, State.MISSING),
        ({"observedGeneration": 7, "proof": {**PROOF, "asked": "older", "leadsOutside": ["x"]}}, State.MISSING),
        ({"observedGeneration": 6, "proof": {**PROOF, "leadsOutside": ["x"]}}, State.BROKEN),
        ({"observedGeneration": 7, "proof": PROOF}, State.CONFIRMED),
        ({"observedGeneration": 8, "proof": {**PROOF, "observedGeneration": 8}}, State.CONFIRMED),
    ],
)
def test_what_an_entry_answers(entry: dict[str, Any], state: State) -> None:
    found = judge(entry, 7, "word")
    assert found.state is state
    assert bool(found.why) is (state is not State.CONFIRMED)


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
        said = capsys.readouterr().out
        assert "inference is stopped in namespace crm (leak)" in said
        assert said.splitlines()[-1] == (
            "Inference STAYS stopped in namespace crm (leak): `slm boundary unseal --namespace crm` allows it there."
        )
        assert await change(unsealing("crm", reason=""), "", Waiting()) == 0
    said = capsys.readouterr().out
    assert "inference is allowed" in said
    assert "STAYS" not in said
    assert boundary(cluster)["spec"] == {
        "namespaces": [{"name": "crm", "external": "Denied", "inference": "Allowed"}],
        "external": "Denied",
        "inference": "Allowed",
        "reason": "drill over",
    }


async def test_the_undo_of_a_namespace_says_that_the_cluster_is_still_stopped(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["/api/v1/namespaces/hr"] = {"kind": "Namespace"}
    async with obeying(cluster, *GATEWAYS):
        for where in ("crm", "hr", ""):
            assert await change(sealing(where, stop=True, reason="drill"), "", Waiting()) == 0
        capsys.readouterr()
        assert await change(unsealing("crm", reason=""), "", Waiting()) == 0, "it did what it was asked for"
        said = capsys.readouterr().out
        assert said.splitlines()[-1] == (
            "Inference STAYS stopped in the whole cluster (drill): `slm boundary unseal --all` allows it there."
        )
        assert said.count("STAYS") == 1, "hr is none of its business"
        assert await change(unsealing("crm", reason=""), "json", Waiting()) == 0
    assert [stop["namespace"] for stop in json.loads(capsys.readouterr().out)["stopped"]] == ["", "hr"]


async def test_a_seal_of_what_is_stopped_already_does_not_say_that_it_is_not(
    cluster: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with obeying(cluster, *GATEWAYS):
        assert await change(sealing("", stop=True, reason="drill"), "", Waiting()) == 0
        assert await change(sealing("crm", stop=False, reason=""), "", Waiting()) == 0
    assert "was not stopped" not in capsys.readouterr().out


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
    said = capsys.readouterr().out
    assert "inference is allowed everywhere, and no record says whether the network enforces policies" in said
    assert "`slm boundary seal --all` makes one" in said
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
