"""One run of the canary against an API server: what it writes, what it waits for, and that nothing of it stays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.api.names import CANARY, CANARY_MODEL, LABEL_CANARY, LABEL_CANARY_ROLE
from smallmodel_operator.boundary import canary
from smallmodel_operator.boundary.canary import Check, Outcome, Report, Target, Way
from smallmodel_operator.boundary.nodes import CORDONED
from smallmodel_operator.cluster import canary as module
from smallmodel_operator.cluster.canary import CanaryPods, CannotProbe, Where
from smallmodel_operator.cluster.fence import Fence, NotLeader
from smallmodel_operator.cluster.kinds import Kind

SYSTEM = "smallmodel-system"
REPORT = Report((Check("x", Target("y", Way.TALK, "10.0.0.1", 8080), Outcome.SILENT, Outcome.ANSWERED),))
ROLES = {"model": "10.1.0.1", "stranger": "10.1.0.2", "caller": "10.1.0.3"}
"""Whom a pod stands for -> the address it gets."""


class Selecting(FakeApiServer):
    """Lists what a label selector selects: `key`, or `key=value` several times."""

    def _list(self, kind: Kind, namespace: str, query: Any, accept: str) -> web.Response:
        terms = [term.partition("=") for term in query.get("labelSelector", "").split(",") if term]
        answer = json.loads(super()._list(kind, namespace, query, accept).text or "")
        answer["items"] = [
            o
            for o in answer["items"]
            for labels in [o["metadata"].get("labels", {})]
            if all(labels.get(key) == value if equal else key in labels for key, equal, value in terms)
        ]
        return web.json_response(answer)


@pytest.fixture
async def selecting() -> AsyncIterator[FakeApiServer]:
    async with Selecting() as server:
        yield server


def pods(api: FakeApiServer) -> CanaryPods:
    return CanaryPods(api.client(), Where(SYSTEM, "registry/op:1", "cluster.local"), look_seconds=0.01)


def operator(api: FakeApiServer) -> None:
    meta = {"name": "smallmodel-operator", "namespace": SYSTEM, "uid": "own-uid"}
    template = {"spec": {"imagePullSecrets": [{"name": "reg"}], "containers": []}}
    api.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template}})


class Kubelet:
    """Makes the pods of Jobs run. `said`: the leading pod's last words; `states`: what pods are instead of running."""

    def __init__(self, api: FakeApiServer, said: str = "") -> None:
        self.api = api
        self.said = said or canary.encode(REPORT)
        self.states: dict[str, dict[str, Any]] = {}
        self.jobs: list[dict[str, Any]] = []

    async def work(self) -> None:
        while True:
            for (kind, _, name), job in list(self.api.objects.items()):
                if kind == "Job" and self.api.get("Pod", f"{name}-x", SYSTEM) is None:
                    self.jobs.append(job)
                    self._start(name, job)
            await asyncio.sleep(0.005)

    def _start(self, name: str, job: dict[str, Any]) -> None:
        labels = job["spec"]["template"]["metadata"]["labels"]
        role = labels[LABEL_CANARY_ROLE]
        ip = ROLES[role]
        status: dict[str, Any] = {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}, {"ip": "fd00::1"}], "hostIP": "192.0.2.1",
        }  # fmt: skip
        if role == "caller":
            ended = {"terminated": {"exitCode": 0, "message": self.said}}
            status = {"phase": "Succeeded", "containerStatuses": [{"name": "canary", "state": ended}]}
        status = self.states.get(role, status)
        self.api.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{name}-x", "namespace": SYSTEM, "labels": labels},
                "spec": {} if status is UNFIT else {"nodeName": "node-7"},
                "status": status,
            }
        )


@asynccontextmanager
async def kubelet(api: FakeApiServer, said: str = "") -> AsyncIterator[Kubelet]:
    made = Kubelet(api, said)
    task = asyncio.create_task(made.work())
    try:
        yield made
    finally:
        task.cancel()


def _left(api: FakeApiServer) -> list[str]:
    return [name for (kind, _, name) in api.objects if kind == "Job"]


async def test_a_run(selecting: FakeApiServer) -> None:
    operator(selecting)
    async with kubelet(selecting) as node:
        report, where = await pods(selecting).run()
    assert (report, where) == (REPORT, "node-7")
    model, stranger, leader = node.jobs
    assert [j["metadata"]["name"].rsplit("-", 1)[0] for j in node.jobs] == [
        f"{CANARY}-{role}" for role in ("model", "stranger", "caller")
    ]
    args = leader["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[:2] == ["canary", "lead"]
    words = dict(zip(args[2::2], args[3::2], strict=True))
    assert (words["--model"], words["--node"], words["--domain"]) == ("10.1.0.1", "192.0.2.1", "cluster.local")
    assert [a for f, a in pairwise(args) if f == "--stranger"] == ["10.1.0.2", "fd00::1"]
    for listening in (model, stranger):
        args = listening["spec"]["template"]["spec"]["containers"][0]["args"]
        assert args == ["canary", "listen", "--run", words["--run"], "--domain", "cluster.local"]
    assert _left(selecting) == [], "nothing stays but its two policies"
    assert {n for (kind, _, n) in selecting.objects if kind == "NetworkPolicy"} == {CANARY, CANARY_MODEL}


async def test_the_models_pod_tolerates_what_models_do_and_nodes_closed_to_it_are_known(
    selecting: FakeApiServer,
) -> None:
    operator(selecting)
    gpu = {"key": "gpu", "operator": "Exists"}
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    there = {"cpu": [cordoned], "gpu": [{"key": "gpu", "effect": "NoSchedule"}], "db": [{"key": "db"}]}
    for name, taints in there.items():
        selecting.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": taints}})
    ours = CanaryPods(selecting.client(), Where(SYSTEM, "i", "d"), lambda: [gpu], look_seconds=0.01)
    async with kubelet(selecting) as node:
        await ours.run()
    model, stranger, _ = (j["spec"]["template"]["spec"] for j in node.jobs)
    assert model["tolerations"] == [gpu, CORDONED]
    assert "tolerations" not in stranger
    found = await ours.nodes()
    assert found is not None
    assert (found.names, found.closed) == ({"cpu", "gpu", "db"}, {"db"})


async def test_without_the_right_to_list_nodes_none_is_known(api: FakeApiServer) -> None:
    operator(api)
    api.refuse("GET", "nodes", 403, "Forbidden", "nodes is forbidden")
    assert await pods(api).nodes() is None


async def test_policies_are_there_before_the_first_pod(selecting: FakeApiServer) -> None:
    operator(selecting)
    async with kubelet(selecting):
        await pods(selecting).run()
    written = [s.path.rsplit("/", 2)[-2:] for s in selecting.writes]
    assert [w[0] for w in written[:2]] == ["networkpolicies", "networkpolicies"]


async def test_what_a_run_before_left_goes_first(selecting: FakeApiServer) -> None:
    operator(selecting)
    old = {"name": "smallmodel-canary-model-old", "namespace": SYSTEM, "labels": {LABEL_CANARY: "old"}}
    pod = {"metadata": {"labels": {LABEL_CANARY_ROLE: "model", LABEL_CANARY: "old"}}}
    selecting.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": old, "spec": {"template": pod}})
    async with kubelet(selecting):
        await pods(selecting).run()
    assert _left(selecting) == []
    assert selecting.writes[0].method == "DELETE"


async def test_without_the_operators_deployment_there_is_no_run(api: FakeApiServer) -> None:
    with pytest.raises(CannotProbe, match="Run the operator from its chart"):
        await pods(api).run()
    assert api.writes == []


WAITING = {"reason": "ImagePullBackOff", "message": "no such image"}
PULL = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": WAITING}}]}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
UNFIT = {"phase": "Pending", "conditions": [NO_NODE]}


@pytest.mark.parametrize(("role", "status", "says"), [
    ("model", PULL, "ImagePullBackOff no such image"),
    ("stranger", UNFIT, "Unschedulable 0/3 nodes"),
    ("caller", PULL, "ImagePullBackOff"),
    ("model", {"phase": "Failed"}, "Failed"),
])  # fmt: skip
async def test_a_pod_that_does_not_run_says_why(
    selecting: FakeApiServer, monkeypatch: pytest.MonkeyPatch, role: str, status: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.0)
    operator(selecting)
    async with kubelet(selecting) as node:
        node.states[role] = status
        with pytest.raises(CannotProbe, match=says) as raised:
            await pods(selecting).run()
    assert raised.value.node == ("" if status is UNFIT else "node-7")
    assert _left(selecting) == []


async def test_no_pod_at_all(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.05)
    operator(api)
    with pytest.raises(CannotProbe, match="ResourceQuota"):
        await pods(api).run()
    assert _left(api) == []


async def test_last_words_that_are_no_report(selecting: FakeApiServer) -> None:
    operator(selecting)
    async with kubelet(selecting, "Killed"):
        with pytest.raises(CannotProbe, match="left no report"):
            await pods(selecting).run()
    assert _left(selecting) == []


@pytest.mark.parametrize(("status", "says"), [(403, "Its Role"), (422, "refuses the canary's objects")])
async def test_a_refusal_is_explained(api: FakeApiServer, status: int, says: str) -> None:
    operator(api)
    api.refuse("POST", "jobs", status, "X", "exceeded quota: pods")
    with pytest.raises(CannotProbe, match=says):
        await pods(api).run()


async def test_an_outage_is_one(api: FakeApiServer) -> None:
    operator(api)
    api.down = True
    with pytest.raises(CannotProbe, match="does not answer"):
        await pods(api).run()


async def test_who_does_not_lead_starts_nothing(api: FakeApiServer) -> None:
    operator(api)
    with pytest.raises(NotLeader):
        await CanaryPods(api.client(Fence()), Where(SYSTEM, "i", "d")).run()
    assert api.writes == []
