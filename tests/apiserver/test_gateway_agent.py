"""The gateway's agent against a real API server: what it sees, how fast, and what it keeps when nobody answers."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from kubernetes.aio.client import Configuration
from tests.apiserver import direct
from tests.apiserver.conftest import apply, connect, eventually
from tests.apiserver.objects import model
from tests.apiserver.rights import as_operator
from tests.fakes.renderer import PlainRenderer

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.core.keys import Identity, dump
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.scale import NotWoken
from smallmodel_operator.gateway.settings import GatewaySettings

RIGHTS = (
    ("smallmodel.dev", "smallmodels", ("list", "watch"), ""),
    ("smallmodel.dev", "modelroutes", ("list", "watch"), ""),
    ("smallmodel.dev", "clusterboundaries", ("get", "list", "watch"), ""),
    ("smallmodel.dev", "clusterboundaries/status", ("patch",), ""),
    ("discovery.k8s.io", "endpointslices", ("list", "watch"), ""),
    ("apps", "deployments/scale", ("get", "patch"), ""),
    ("", "configmaps", ("get",), ""),
    ("", "secrets", ("get", "list", "watch"), "smallmodel-gateway-keys"),
)
"""What an agent may do and no more (the Secret by its name only); keys of tokens are open to every ServiceAccount."""


def rights(namespace: str) -> list[dict[str, Any]]:
    account = {"kind": "ServiceAccount", "name": "smallmodel-gateway", "namespace": namespace}
    name, group = f"gateway-{namespace}", "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [g], "resources": [r], "verbs": list(v), **({"resourceNames": [only]} if only else {})}
        for g, r, v, only in RIGHTS
    ]
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [account],
    }
    own = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {k: account[k] for k in ("name", "namespace")}}
    return [own, role, binding]


class Deaf(Client):
    """A client that loses what watches say, while `deaf` is set."""

    deaf = False
    lost = 0

    async def lines(self, path: str, query: Mapping[str, str], silence: float) -> AsyncGenerator[bytes, None]:
        async with aclosing(super().lines(path, query, silence)) as lines:
            async for line in lines:
                if not self.deaf:
                    yield line
                else:
                    self.lost += 1


class Gateway:
    """A running agent and its files."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self.agent = agent
        self.folder = folder

    def file(self, name: str) -> Any:
        path = self.folder / "xds" / name
        return json.loads(path.read_text()) if path.exists() else None

    def addresses(self, target: str) -> list[str]:
        value = self.file(f"eds/{target.replace('/', '.')}.json")
        assert value is not None, "no endpoint file"
        found = value["resources"][0]["endpoints"][0]["lb_endpoints"]
        return [e["endpoint"]["address"]["socket_address"]["address"] for e in found]

    async def said(self) -> str:
        return (await self.agent.readiness()).text

    async def says(self, *words: str) -> None:
        """Wait until all of them are in what its readiness says."""

        async def together() -> None:
            said = await self.said()
            assert all(word in said for word in words), said

        await eventually(together)


@pytest.fixture
def start(plane: ControlPlane, namespace: str, tmp_path: Path) -> Callable[..., Any]:
    """`async with start() as gateway:` runs an agent with the rights above; `client` replaces its connection."""
    direct.put(plane, rights(namespace))

    @asynccontextmanager
    async def running(client: Client | None = None, relist: float = 60.0) -> AsyncIterator[Gateway]:
        if client is None:
            made = await connect(
                as_operator(plane, namespace, tmp_path / "gateway.kubeconfig", "smallmodel-gateway"), Fence.open()
            )
            client = Deaf(made._configuration, Fence.open())
        folder = tmp_path / "run"
        settings = GatewaySettings(
            gateway_dir=folder,
            namespace=namespace,
            gateway_http_port=0,
            gateway_relist_seconds=relist,
            pod_ip="10.9.0.1",
        )
        agent, stop = Agent(settings, client, PlainRenderer()), asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        try:
            yield Gateway(agent, folder)
        finally:
            stop.set()
            code = await asyncio.wait_for(task, 60)
            await client.close()
            assert code == 0, "a part of the agent ended"

    return running


def endpoint_slice(namespace: str, name: str = "bot", **addresses: dict[str, bool]) -> dict[str, Any]:
    """Keyword `a=dict(ready=True)` is an endpoint 10.1.0.<ord>."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-hand",
            "namespace": namespace,
            "labels": {
                "smallmodel.dev/model": name,
                "kubernetes.io/service-name": f"{name}-pods",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.1.0.{ord(k)}"],
                "conditions": {"ready": False, "terminating": False, **conditions},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": f"{name}-{k}"},
            }
            for k, conditions in addresses.items()
        ],
    }


A, B = f"10.1.0.{ord('a')}", f"10.1.0.{ord('b')}"
UP, DOWN, ENDING = {"ready": True}, {"ready": False}, {"ready": False, "terminating": True}


def keys_secret(namespace: str, master: bytes = b"m" * 32, **keys: str) -> dict[str, Any]:
    table = dump({sha * 64: Identity(namespace, name) for sha, name in keys.items()})
    data = {"keys.json": base64.b64encode(table.encode()).decode(), "engine-master": base64.b64encode(master).decode()}
    meta = {"name": "smallmodel-gateway-keys", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


async def put_slice(api: Client, obj: dict[str, Any]) -> None:
    path = f"/apis/discovery.k8s.io/v1/namespaces/{obj['metadata']['namespace']}/endpointslices"
    await api.request(
        "PATCH", f"{path}/{obj['metadata']['name']}", query={"fieldManager": "test", "force": "true"}, body=obj,
        content_type="application/apply-patch+yaml",
    )  # fmt: skip


async def becomes(check: Callable[[], Any], value: Any, timeout: float = 60.0) -> None:
    def same() -> None:
        assert check() == value

    await eventually(same, timeout=timeout, every=0.005)


async def test_from_nothing_to_endpoints_and_away_again(api: Client, namespace: str, start: Callable[..., Any]) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace, a="key:x/y"))
    async with start() as gateway:
        await apply(api, model(namespace))
        await put_slice(api, endpoint_slice(namespace, a=UP, b=DOWN))
        await becomes(lambda: gateway.addresses(target), [A])
        assert target in gateway.file("cds.json")
        assert gateway.file("rds.json")["keys"] == ["a" * 64]
        await becomes(lambda: bool(gateway.file("lds.json")), True)  # the issuer of tokens
        assert [e.address for e in gateway.agent.not_ready(target)] == [B]

        took = []
        for conditions, left in ((DOWN, []), (UP, [A]), (ENDING, [])):
            await put_slice(api, endpoint_slice(namespace, a=conditions, b=DOWN))
            began = time.monotonic()
            await becomes(lambda: gateway.addresses(target), left)
            took.append(time.monotonic() - began)
        print(f"endpoints moved within {max(took) * 1000:.0f} ms of the answer to the write")
        assert min(took) < 0.1, took

        await api.request("DELETE", f"/apis/smallmodel.dev/v1alpha1/namespaces/{namespace}/smallmodels/bot")
        await becomes(lambda: gateway.file(f"eds/{namespace}.bot.json"), None)
        assert target not in gateway.file("cds.json")
        assert not list(gateway.folder.rglob(".*.new"))


async def test_an_outage_of_the_api_server_changes_nothing(
    api: Client, plane: ControlPlane, namespace: str, start: Callable[..., Any]
) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace, a="key:x/y"), model(namespace))
    await put_slice(api, endpoint_slice(namespace, a=UP))
    async with start() as gateway:
        await becomes(lambda: gateway.addresses(target), [A])
        await becomes(lambda: bool(gateway.file("lds.json")), True)
        before = {p: p.stat() for p in (gateway.folder / "xds").rglob("*.json")}
        await asyncio.to_thread(plane.kill, "kube-apiserver")
        try:
            await gateway.says("endpointslices cannot be followed since", "what was known is kept")
            assert {p: p.stat() for p in (gateway.folder / "xds").rglob("*.json")} == before
        finally:
            await asyncio.to_thread(plane.start)
        await put_slice(api, endpoint_slice(namespace, a=UP, b=UP))
        await becomes(lambda: gateway.addresses(target), [A, B])
        await becomes(lambda: "cannot be followed" in "".join(gateway.agent.world.problems()), False)


async def test_an_agent_that_starts_without_the_api_server_keeps_what_is_there(
    api: Client, namespace: str, start: Callable[..., Any]
) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace, a="key:x/y"), model(namespace))
    await put_slice(api, endpoint_slice(namespace, a=UP))
    async with start() as gateway:
        await becomes(lambda: gateway.addresses(target), [A])
        before = {p: p.read_bytes() for p in (gateway.folder / "xds").rglob("*.json")}
    nobody = Client(Configuration(host="http://127.0.0.1:1"), Fence.open())
    async with start(client=nobody) as gateway:
        await gateway.says("cannot be followed")
        assert {p: p.read_bytes() for p in (gateway.folder / "xds").rglob("*.json")} == before
        assert gateway.agent.writer.written, "an old configuration serves"
        assert gateway.agent.discovery._resources.keys() >= {target}, "endpoints are served from disk"


async def test_a_lost_event_leaves_no_dead_endpoint_for_long(
    api: Client, namespace: str, start: Callable[..., Any]
) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace), model(namespace))
    await put_slice(api, endpoint_slice(namespace, a=UP, b=UP))
    async with start(relist=3.0) as gateway:
        await becomes(lambda: gateway.addresses(target), [A, B])
        gateway.agent.client.deaf = True
        await put_slice(api, endpoint_slice(namespace, a=UP))
        await becomes(lambda: gateway.agent.client.lost > 0, True)
        await becomes(lambda: gateway.addresses(target), [A])


async def test_a_version_that_is_gone_is_no_problem(
    api: Client, plane: ControlPlane, namespace: str, start: Callable[..., Any]
) -> None:
    target = f"{namespace}/bot"
    await apply(api, keys_secret(namespace), model(namespace))
    await asyncio.to_thread(plane.kill, "kube-apiserver")
    await asyncio.to_thread(plane.start)  # what it knows begins now: older versions are gone
    async with start(relist=2.0) as gateway:
        (slices,) = gateway.agent.world.slices.informers
        await eventually(lambda: _true(slices.synced))
        follow, failed, gone = slices._follow, slices._failed, []

        async def from_the_past(until: float) -> None:
            if len(gone) < 2:
                slices._version = "1"
            await follow(until)

        async def noted(error: Exception) -> None:
            gone.append(error)
            await failed(error)

        slices._failed, slices._follow, slices._relist = noted, from_the_past, 60.0
        await eventually(lambda: _true(len(gone) == 2))
        assert {getattr(error, "status", None) for error in gone} == {410}, gone
        await put_slice(api, endpoint_slice(namespace, a=UP))
        await becomes(lambda: gateway.addresses(target), [A])
        assert not slices.problem


def _true(value: bool) -> None:
    assert value


async def test_keys_that_are_gone_or_broken_leave_the_last_in_force(
    api: Client, plane: ControlPlane, namespace: str, start: Callable[..., Any]
) -> None:
    await apply(api, keys_secret(namespace, a="key:x/y"))
    async with start() as gateway:
        await becomes(lambda: (gateway.file("rds.json") or {}).get("keys"), ["a" * 64])
        await apply(api, keys_secret(namespace, b"short", b="key:x/y"))
        await becomes(lambda: "has 5 bytes" in "".join(gateway.agent.world.problems()), True)
        assert gateway.file("rds.json")["keys"] == ["a" * 64]
        await asyncio.to_thread(plane.kubectl, "delete", "secret", "smallmodel-gateway-keys", "-n", namespace)
        await asyncio.sleep(0.5)
        assert gateway.file("rds.json")["keys"] == ["a" * 64]
    async with start() as gateway:
        await becomes(lambda: "is missing in namespace" in "".join(gateway.agent.world.problems()), True)
        assert "is missing in namespace" in await gateway.said()
        await becomes(lambda: gateway.agent.world.complete, True)
        await asyncio.sleep(0.3)
        assert gateway.file("rds.json")["keys"] == ["a" * 64], "also after a restart"
        await apply(api, keys_secret(namespace, a="key:x/y", c="key:x/z"))
        await becomes(lambda: gateway.file("rds.json")["keys"], ["a" * 64, "c" * 64])
        await becomes(lambda: "is missing" in "".join(gateway.agent.world.problems()), False)


async def test_waking_goes_from_zero_to_one_and_touches_nothing_else(
    api: Client, namespace: str, start: Callable[..., Any]
) -> None:
    labels = {"app": "bot"}
    pod = {"containers": [{"name": "c", "image": "registry.test/x"}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bot", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    await apply(api, deployment)

    async def replicas() -> int:
        found = await api.get("Deployment", "bot", namespace)
        assert found is not None
        return int(found["spec"]["replicas"])

    async with start() as gateway:
        answers = await asyncio.gather(*(gateway.agent.wake(f"{namespace}/bot") for _ in range(8)))
        assert sum(answers) == 1, "one of many at once is the one that woke it"
        assert await replicas() == 1
        await apply(api, {**deployment, "spec": {**deployment["spec"], "replicas": 3}})
        assert await gateway.agent.wake(f"{namespace}/bot") is False
        assert await replicas() == 3
        with pytest.raises(NotWoken, match="not found"):
            await gateway.agent.wake(f"{namespace}/nobody")
