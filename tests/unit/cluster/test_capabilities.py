"""What the cluster can do is found out by asking it."""

from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cluster.capabilities import NotInstalled, discover
from smallmodel_operator.cluster.client import ApiError

OURS = "/apis/smallmodel.dev/v1alpha1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def resources(*names: str) -> dict[str, Any]:
    return {"resources": [{"name": n} for n in names]}


@pytest.fixture
def cluster(api: FakeApiServer) -> FakeApiServer:
    """A cluster that can everything."""
    api.answers = {
        "/version": {"gitVersion": "v1.36.2"},
        OURS: resources("smallmodels", "smallmodels/status", "modelroutes", "computeprofiles", "clusterboundaries"),
        ADMISSION: resources("validatingadmissionpolicies"),
    }
    return api


async def test_a_cluster_that_can_everything(cluster: FakeApiServer) -> None:
    found = await discover(cluster.client(), "smallmodel-system")
    assert (found.version, found.image_volumes, found.admission_policies) == ("v1.36.2", True, True)


async def test_asking_leaves_nothing_behind(cluster: FakeApiServer) -> None:
    await discover(cluster.client(), "smallmodel-system")
    assert cluster.objects == {}
    assert [s.query["dryRun"] for s in cluster.writes] == ["All"]


async def test_no_image_volumes(cluster: FakeApiServer) -> None:
    cluster.refuse("POST", "deployments", 422, "Invalid", "spec.volumes[0]: Required value")
    assert not (await discover(cluster.client(), "x")).image_volumes


@pytest.mark.parametrize("status", [403, 404])
async def test_a_probe_that_may_not_be_made_tells_nothing_about_volumes(cluster: FakeApiServer, status: int) -> None:
    cluster.refuse("POST", "deployments", status, "X", "quota")
    assert (await discover(cluster.client(), "x")).image_volumes


async def test_no_admission_policies(cluster: FakeApiServer) -> None:
    cluster.answers[ADMISSION] = resources("validatingwebhookconfigurations")
    assert not (await discover(cluster.client(), "x")).admission_policies
    del cluster.answers[ADMISSION]
    assert not (await discover(cluster.client(), "x")).admission_policies


@pytest.mark.parametrize("there", [None, (), ("smallmodels",), ("smallmodels", "modelroutes")])
async def test_missing_kinds_are_named_with_the_way_out(cluster: FakeApiServer, there: tuple[str, ...] | None) -> None:
    if there is None:
        del cluster.answers[OURS]
    else:
        cluster.answers[OURS] = resources(*there)
    with pytest.raises(NotInstalled, match="kubectl apply --server-side -k crds/"):
        await discover(cluster.client(), "x")


async def test_an_outage_is_not_an_answer(cluster: FakeApiServer) -> None:
    cluster.refuse("POST", "deployments", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError):
        await discover(cluster.client(), "x")
