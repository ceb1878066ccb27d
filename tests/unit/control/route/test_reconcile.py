"""The flow of a route against a fake API server."""

from typing import Any, cast

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer, kinds_written
from tests.fakes.gateways import FakeSignals
from tests.unit.routing.test_given import text

from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control.route import classified
from smallmodel_operator.control.route.reconcile import RouteReconciler
from smallmodel_operator.core.facts import Capabilities
from smallmodel_operator.core.routes import Served
from smallmodel_operator.resolve import Site
from smallmodel_operator.routing.choice import given

KEY = ("support", "desk")
ROUTE = {
    "apiVersion": "smallmodel.dev/v1alpha1",
    "kind": "ModelRoute",
    "metadata": {
        "name": "desk", "namespace": "support", "uid": "r-1", "generation": 1, "resourceVersion": "10",
        "creationTimestamp": "2026-11-20T10:00:00Z",
    },
    "spec": {"targets": [{"name": "small", "smallModelRef": {"name": "bot"}}]},
}  # fmt: skip


class World:
    """A reconciler whose watches show the fake server's objects at once."""

    def __init__(self, api: FakeApiServer) -> None:
        self.api = api
        client = api.client(None)
        signals = cast(Signals, FakeSignals())
        statuses = StatusWriter(client)
        observer = Observer(client, Children(), statuses, Capabilities(), Secrets(client), signals)
        self.named = observer.named
        self.named.served = {("support", "bot"): [Served("2026-11-20T09:00:00Z", ready=True, reason="Serving")]}
        self.keys = KeyTable(client, "smallmodel-system")
        self.reconciler = RouteReconciler(client, observer, signals, Events(client, "test"), Site(), self.keys)
        api.put(cast(Any, ROUTE), manager="user")

    def body(self) -> dict[str, Any]:
        found = self.api.get("ModelRoute", "desk")
        assert found is not None
        return found

    async def step(self) -> list[str]:
        services = [o for (kind, _, _), o in self.api.objects.items() if kind == "Service"]
        self.reconciler.children.indices = {"Service": {KEY: services}}
        self.api.sent.clear()
        await self.reconciler.reconcile(self.body())
        return list(kinds_written(self.api))

    def condition(self, name: str) -> tuple[str, str]:
        found = {c["type"]: (c["status"], c["reason"]) for c in self.body()["status"]["conditions"]}
        return found[name]


@pytest.fixture
def world(api: FakeApiServer) -> World:
    return World(api)


async def test_a_first_pass_writes_all_and_the_second_nothing(world: World) -> None:
    assert sorted(await world.step()) == ["Event", "ModelRoute", "Secret", "Service"]
    service = world.api.get("Service", "desk")
    assert service is not None
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ModelRoute", "r-1")
    assert world.condition("Ready") == ("True", "Serving")
    assert list(world.keys._offered) == [KEY]
    assert await world.step() == []


async def test_the_service_comes_back(world: World) -> None:
    await world.step()
    del world.api.objects["Service", "support", "desk"]
    world.reconciler.children.forget(KEY)
    assert await world.step() == ["Service"]


async def test_somebody_elses_service_is_left_alone(world: World) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "desk", "namespace": "support"}, "spec": {}}
    world.api.put(cast(Any, theirs), manager="user")
    world.reconciler.children.indices = {}
    await world.reconciler.reconcile(world.body())
    assert world.condition("Stalled") == ("True", "NameTaken")
    service = world.api.get("Service", "desk")
    assert service is not None
    assert "ownerReferences" not in service["metadata"]


async def test_an_older_models_name_is_given_up_with_all_that_was_made_for_it(world: World) -> None:
    await world.step()
    world.named.served = {**world.named.served, KEY: [Served("2026-11-20T09:00:00Z")]}
    await world.step()
    assert world.condition("Stalled") == ("True", "NameTaken")
    assert world.api.get("Service", "desk") is None
    assert world.keys._offered == {}


async def test_forgetting_a_route_leaves_the_keys_of_a_model_of_its_name(world: World) -> None:
    await world.step()
    world.keys.offer(KEY, {}, objects.UID)
    world.reconciler.forget(world.body())
    assert list(world.keys._offered) == [KEY]


async def test_an_outage_is_told(world: World) -> None:
    await world.reconciler.report_outage(world.body(), "The API server is away.")
    assert world.condition("Reconciling") == ("True", "Retrying")


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tasks", "namespace": "support"}}


async def test_a_classifier_is_looked_for_until_it_is_there_and_read_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {
        **ROUTE["spec"],  # type: ignore[dict-item]
        "default": "small",
        "rules": [{"name": "legal", "match": {"taskClass": "legal"}, "target": "small"}],
        "classifier": {"configMapRef": {"name": "tasks"}},
    }
    world.api.put(cast(Any, {**ROUTE, "spec": spec}), manager="user")
    await world.step()
    assert world.condition("ClassifierReady") == ("False", "ClassifierNotFound")
    assert world.condition("Stalled") == ("True", "ClassifierNotFound")
    assert world.condition("Ready") == ("True", "Serving")
    world.api.put(cast(Any, {**CONFIG_MAP, "data": {"tasks.json": text()}}), manager="user")
    await world.step()
    assert world.condition("ClassifierReady") == ("True", "ClassifierRead")
    assert world.body()["status"]["classifier"]["classes"] == 3

    def never(_: str) -> given.Given:
        raise AssertionError("the same text is not read twice")

    monkeypatch.setattr(given, "read", never)
    monkeypatch.setattr(classified, "GIVEN_SECONDS", 0.0)
    assert await world.step() == []
    del world.api.objects["ConfigMap", "support", "tasks"]
    await world.step()
    assert world.condition("ClassifierReady") == ("False", "ClassifierNotFound")
    assert "classifier" not in world.body()["status"]
