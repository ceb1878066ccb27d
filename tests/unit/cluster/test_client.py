"""The client speaks the API server's language and passes its words on."""

import aiohttp
import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.kinds import CHILD_KINDS, KINDS


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        ("Service", "a", "b", "/api/v1/namespaces/a/services/b"),
        ("Deployment", "a", "b", "/apis/apps/v1/namespaces/a/deployments/b"),
        ("Deployment", None, None, "/apis/apps/v1/deployments"),
        ("Node", "ignored", None, "/api/v1/nodes"),
        ("ComputeProfile", None, "p", "/apis/smallmodel.dev/v1alpha1/computeprofiles/p"),
    ],
)
def test_paths(kind: str, namespace: str | None, name: str | None, path: str) -> None:
    assert KINDS[kind].path(namespace, name) == path


def test_children_are_known_kinds() -> None:
    assert set(CHILD_KINDS) <= set(KINDS)


async def test_objects_go_there_and_back(api: FakeApiServer) -> None:
    client = api.client()
    assert await client.get("Service", "x", "support") is None
    made = await client.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "support"}}
    )
    assert await client.get("Service", "x", "support") == made
    assert await client.list("Service", "support") == [made]
    assert await client.names("Service", "support") == {"x"}
    assert await client.names("Service", "elsewhere") == set()
    changed = await client.merge("Service", "x", "support", {"spec": {"type": "ClusterIP"}})
    assert changed["spec"] == {"type": "ClusterIP"}
    await client.delete("Service", "x", "support", made["metadata"]["uid"])
    assert api.get("Service", "x") is None


async def test_a_long_list_comes_in_pages(api: FakeApiServer) -> None:
    assert [page async for page in api.client().pages("Pod", 2)] == [[]]
    for name in "abc":
        api.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "support"}})
    pages = [page async for page in api.client().pages("Pod", 2, fieldSelector="spec.nodeName!=")]
    assert [[p["metadata"]["name"] for p in page] for page in pages] == [["a", "b"], ["c"]]
    assert {s.query["fieldSelector"] for s in api.sent[1:]} == {"spec.nodeName!="}


async def test_every_request_says_who_we_are(api: FakeApiServer) -> None:
    await api.client().apply(objects.deployment(), force=False)
    (sent,) = api.sent
    assert sent.headers["User-Agent"] == "smallmodel-operator"
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"
    assert sent.query == {"fieldManager": "smallmodel-operator", "force": "false"}


async def test_a_token_is_sent_and_read_anew_each_time(api: FakeApiServer) -> None:
    client = api.client()
    tokens = iter(["Bearer one", "Bearer two"])

    async def next_token(_: str) -> str:
        return next(tokens)

    client._configuration.get_api_key_with_prefix = next_token
    await client.list("Service")
    await client.list("Service")
    assert [s.headers["Authorization"] for s in api.sent] == ["Bearer one", "Bearer two"]


async def test_an_error_is_the_servers_own_words(api: FakeApiServer) -> None:
    api.refuse("POST", "services", 403, "Forbidden", 'services "x" is forbidden: no')
    with pytest.raises(ApiError) as caught:
        await api.client().create({"kind": "Service", "metadata": {"name": "x", "namespace": "a"}})
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert caught.value.message == 'services "x" is forbidden: no'


async def test_an_answer_that_is_no_status_is_still_an_error(api: FakeApiServer) -> None:
    api.answers["/apis/apps/v1/namespaces/a/deployments/x"] = {"fine": True}
    client = api.client()
    assert await client.get("Deployment", "x", "a") == {"fine": True}
    with pytest.raises(ApiError, match="404"):
        await client.request("GET", "/nowhere")


async def test_no_answer_is_an_outage_not_an_api_error(api: FakeApiServer) -> None:
    api.down = True
    with pytest.raises(aiohttp.ClientError):
        await api.client().create({"kind": "Service", "metadata": {"name": "x", "namespace": "a"}})


async def test_deleting_what_is_gone_or_replaced_is_no_error(api: FakeApiServer) -> None:
    client = api.client()
    await client.delete("Service", "x", "support", "old")
    made = api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "support"}})
    await client.delete("Service", "x", "support", "another-uid")
    assert api.get("Service", "x") == made, "another object of the name is left alone"


async def test_requests_and_writes_are_counted(api: FakeApiServer) -> None:
    client = api.client()
    await client.list("Service")
    await client.apply(objects.deployment(), force=True)
    assert (client.requests, client.writes) == (2, 1)
