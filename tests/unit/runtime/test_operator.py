"""Leading, standing by, waiting for the cluster, ending. The watches run in the tiers with a real API server."""

import asyncio
import logging

import kopf
import pytest
from prometheus_client import generate_latest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until

from smallmodel_operator.api.names import FINALIZER
from smallmodel_operator.cluster import lease
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.kinds import CHILD_KINDS, KINDS
from smallmodel_operator.runtime import operator
from smallmodel_operator.runtime.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(lease, "RETRY_EVERY", 0.02)
    monkeypatch.setattr(lease, "RENEW_EVERY", 0.02)
    monkeypatch.setattr(operator, "START_RETRY_SECONDS", 0.02)
    return Settings(identity="a", http_port=0)  # type: ignore[call-arg]


def cluster(api: FakeApiServer) -> None:
    plurals = ("smallmodels", "modelroutes", "computeprofiles", "clusterboundaries")
    ours = {"resources": [{"name": plural} for plural in plurals]}
    api.answers = {"/version": {"gitVersion": "v1.36.2"}, "/apis/smallmodel.dev/v1alpha1": ours}


def holder(api: FakeApiServer) -> str:
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    return str(live["spec"]["holderIdentity"]) if live else "nobody"


async def test_a_follower_waits_and_ends_when_asked(api: FakeApiServer, settings: Settings) -> None:
    other = lease.Lease(api.client(Fence()), "smallmodel-system", "smallmodel-operator", "other")
    await other.acquire()
    stop = asyncio.Event()
    running = asyncio.create_task(operator.run(settings, api.client(Fence()), stop))
    await asyncio.sleep(0.1)
    assert holder(api) == "other"
    stop.set()
    async with asyncio.timeout(10):
        assert await running == 0
    assert holder(api) == "other"


async def test_a_cluster_without_our_kinds_is_waited_for_and_said(
    api: FakeApiServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    api.answers = {"/version": {"gitVersion": "v1.36.2"}}
    stop = asyncio.Event()
    running = asyncio.create_task(operator.run(settings, api.client(Fence()), stop))
    await until(lambda: "CustomResourceDefinition smallmodels.smallmodel.dev is not installed" in caplog.text)
    assert not running.done()
    stop.set()
    async with asyncio.timeout(10):
        assert await running == 0
    assert holder(api) == "", "given up, so that a follower need not wait"


async def test_losing_the_lease_ends_the_process_with_its_own_code(
    api: FakeApiServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(api)

    async def watch(*given: object) -> None:
        stop = given[-1]
        assert isinstance(stop, asyncio.Event)
        await stop.wait()

    monkeypatch.setattr(operator, "_watch", watch)
    running = asyncio.create_task(operator.run(settings, api.client(Fence()), asyncio.Event()))
    await until(lambda: holder(api) == "a")
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    assert live is not None
    api.put({**live, "spec": {**live["spec"], "holderIdentity": "other"}})
    async with asyncio.timeout(15):
        assert await running == operator.LOST_LEASE
    assert holder(api) == "other"


async def test_a_lease_lost_before_the_first_pass_ends_the_process_with_its_own_code(
    api: FakeApiServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(api)
    taken = asyncio.Event()

    async def looks(client: Client, _: str) -> None:
        live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
        assert live is not None
        api.put({**live, "spec": {**live["spec"], "holderIdentity": "other"}})
        await until(lambda: client.fence.remaining <= 0)
        taken.set()
        client.fence.check()

    monkeypatch.setattr(operator, "discover", looks)
    async with asyncio.timeout(15):
        assert await operator.run(settings, api.client(Fence()), asyncio.Event()) == operator.LOST_LEASE
    assert taken.is_set()


async def test_a_dead_lease_thread_is_not_healthy(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: lease.Lease) -> None:
        raise MemoryError("no more")

    state = operator._State(api.client(Fence()))
    assert state.healthy()
    state.lease = lease.Lease(api.client(Fence()), "smallmodel-system", "smallmodel-operator", "a")
    assert state.healthy(), "it stands by"
    monkeypatch.setattr(lease.Lease, "hold", broken)
    async with state.lease.held():
        await until(lambda: not state.healthy())


async def test_watches_that_die_end_the_process_and_free_the_lease(
    api: FakeApiServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster(api)

    async def watch(*_: object) -> None:
        raise RuntimeError("kopf fell over")

    monkeypatch.setattr(operator, "_watch", watch)
    async with asyncio.timeout(10):
        assert await operator.run(settings, api.client(Fence()), asyncio.Event()) == 1
    assert "kopf fell over" in caplog.text
    assert holder(api) == ""


async def test_a_scrape_tells_how_the_key_table_stands(api: FakeApiServer) -> None:
    state = operator._State(api.client(Fence()))
    state.scrape()
    state.keys = KeyTable(api.client(Fence()), "smallmodel-system")
    state.keys.size, state.keys.compared = 123, 1e9
    state.scrape()
    text = generate_latest().decode()
    assert "smallmodel_operator_key_table_size_bytes 123.0" in text
    assert "smallmodel_operator_key_table_last_success_timestamp_seconds 1e+09" in text


def test_kopf_is_told_everything_we_depend_on() -> None:
    made = operator.kopf_settings()
    assert made.persistence.finalizer == FINALIZER
    assert made.posting.enabled is False
    assert made.scanning.disabled
    for kind in (*CHILD_KINDS, "Pod"):
        group = KINDS[kind].api_version.rpartition("/")[0]
        assert made.watching.label_selectors[group, KINDS[kind].plural]


def test_handlers_are_declared_on_a_registry_of_their_own(api_free_registry: kopf.OperatorRegistry) -> None:
    daemons = [h.id for h in api_free_registry._spawning.get_all_handlers()]
    indices = {h.id for h in api_free_registry._indexing.get_all_handlers()}
    assert len(daemons) == 2, "one of models, one of routes"
    assert {
        "models",
        "routes",
        "served",
        "leading",
        "route_services",
        "profiles",
        "weights",
        "jobs_by_artifact",
        "children_pod",
    } <= indices
    assert not list(api_free_registry._changing.get_all_handlers()), "no on.update forests: one loop per model"


@pytest.fixture
def api_free_registry() -> kopf.OperatorRegistry:
    from unittest.mock import Mock

    from smallmodel_operator.handlers import register

    registry = kopf.OperatorRegistry()
    register(registry, Mock(), Mock(), Mock(), Mock())
    return registry
