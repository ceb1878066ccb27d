"""BoundaryEnforced on a real API server, with the rights the chart gives: beside gateways' words, and only it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import connect, eventually
from tests.apiserver.rights import as_operator

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.api.names import API_VERSION, BOUNDARY, OPERATOR
from smallmodel_operator.boundary.canary_build import CanaryRequest, Role, job, policies
from smallmodel_operator.cluster.boundary_status import BoundaryStatus
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import Fence

pytestmark = pytest.mark.both_minors
KIND = "ClusterBoundary"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TRUE = Report(Condition.BOUNDARY_ENFORCED, True, Reason.POLICIES_ENFORCED, "Nothing got through. ✓")
FALSE = Report(Condition.BOUNDARY_ENFORCED, False, Reason.POLICIES_NOT_ENFORCED, "x" * 5000)
CANARY = {
    "lastProbeTime": "2026-11-21T11:59:58Z",
    "holdsUntil": "2026-11-21T13:29:58Z",
    "gotThrough": ["a stranger reached a model's pod on TCP 8080"],
}


@pytest.fixture
async def operator(plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Client]:
    """A client with the operator's token, in an installation that serves only its own namespace."""
    client = await connect(as_operator(plane, namespace, tmp_path / "operator.kubeconfig"), Fence.open())
    yield client
    await client.close()


@pytest.fixture
async def boundary(api: Client) -> AsyncIterator[dict[str, Any]]:
    """The cluster's one; tests that need it run one after the other on one API server."""
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": BOUNDARY}, "spec": {}}
    yield await api.apply(body, force=True)
    live = await api.get(KIND, BOUNDARY)
    if live is not None:
        await api.delete(KIND, BOUNDARY, "", live["metadata"]["uid"])


async def status(api: Client) -> dict[str, Any]:
    live = await api.get(KIND, BOUNDARY)
    assert live is not None
    return dict(live.get("status") or {})


async def test_it_is_written_moved_and_bounded(operator: Client, api: Client, boundary: dict[str, Any]) -> None:
    writer = BoundaryStatus(operator)
    await writer.write(boundary, TRUE, NOW, CANARY)
    [first] = (await status(api))["conditions"]
    assert (first["status"], first["reason"], first["message"]) == ("True", "PoliciesEnforced", TRUE.message)
    assert first["observedGeneration"] == boundary["metadata"]["generation"]
    assert (await status(api))["canary"] == CANARY
    live = await api.get(KIND, BOUNDARY)
    assert live is not None
    await writer.write(live, TRUE, NOW.replace(hour=13), CANARY)
    assert (await status(api))["conditions"] == [first], "the same again moves no time"
    await writer.write(live, FALSE, NOW.replace(hour=14), {})
    [second] = (await status(api))["conditions"]
    assert (second["status"], second["lastTransitionTime"]) == ("False", "2026-11-21T14:00:00Z")
    assert len(second["message"]) == 4096
    assert "canary" not in await status(api), "what is not said any more is gone"


async def test_a_gateways_word_stays_beside_it(operator: Client, api: Client, boundary: dict[str, Any]) -> None:
    said = [{"name": "gw-0", "observedGeneration": 1, "inference": "Allowed", "since": "2026-11-21T12:00:00Z"}]
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": BOUNDARY}, "status": {"gateways": said}}
    path = f"/apis/{API_VERSION}/clusterboundaries/{BOUNDARY}/status"
    query = {"fieldManager": "gw-0", "force": "true"}
    await api.request("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")
    writer = BoundaryStatus(operator)
    for report in (TRUE, FALSE):
        await writer.write(boundary, report, NOW, CANARY)
    found = await status(api)
    assert [g["name"] for g in found["gateways"]] == ["gw-0"]
    assert [c["status"] for c in found["conditions"]] == ["False"]


async def test_the_operator_may_not_write_what_is_declared(operator: Client, boundary: dict[str, Any]) -> None:
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": BOUNDARY}, "spec": {"inference": "Stopped"}}
    with pytest.raises(ApiError) as refused:
        await operator.apply(body, force=True)
    assert refused.value.status == 403


async def test_one_that_is_gone_is_no_error(operator: Client, api: Client, boundary: dict[str, Any]) -> None:
    await api.delete(KIND, BOUNDARY, "", boundary["metadata"]["uid"])

    async def gone() -> None:
        assert await api.get(KIND, BOUNDARY) is None

    await eventually(gone)
    await BoundaryStatus(operator).write(boundary, TRUE, NOW, {})
    assert await api.get(KIND, BOUNDARY) is None


async def test_the_canarys_objects_are_accepted_with_the_charts_rights(
    operator: Client, api: Client, namespace: str
) -> None:
    """By Pod Security `restricted` too: a dry run of a pod of each."""
    container = {"name": "x", "image": "x"}
    marks = {"app": "x"}
    own = await api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": OPERATOR, "namespace": namespace},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": marks},
                "template": {"metadata": {"labels": marks}, "spec": {"containers": [container]}},
            },
        }
    )
    for policy in policies(namespace, own):
        await operator.apply(policy, force=True)
        await operator.apply(policy, force=True)
    request = CanaryRequest(namespace, "registry.test/op:1", "0a1b2c3d", own, {}, (("NotIn", ("n1",)), ("In", ("n1",))))
    for role in Role:
        made = await operator.create(job(role, request, ["canary", "listen"]))
        template = made["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p-{role}", "namespace": namespace}}
        await api.create({**pod, "spec": template["spec"]}, dryRun="All")
    jobs = await operator.list("Job", namespace, labelSelector="smallmodel.dev/canary")
    assert len(jobs) == len(Role)
    for one in jobs:
        meta = one["metadata"]
        await operator.delete("Job", meta["name"], namespace, meta["uid"])
    assert await operator.list("Pod", namespace, labelSelector="smallmodel.dev/canary=0a1b2c3d") is not None
