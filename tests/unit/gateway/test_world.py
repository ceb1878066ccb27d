"""When a gateway knows enough to be one: keys above all, for without them it would refuse every caller."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio.client import Configuration

from smallmodel_operator.api.names import GATEWAY_KEYS
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.core.keys import ENGINE_MASTER, TABLE, Identity, dump
from smallmodel_operator.gateway.pods import CONTROLLER, MANAGED_BY
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.view import Keys
from smallmodel_operator.gateway.world import World

MASTER = b"m" * 32
WHOLE = {
    TABLE: base64.b64encode(dump({}).encode()).decode(),
    ENGINE_MASTER: base64.b64encode(MASTER).decode(),
}


class Listed:
    """A world whose first lists have come; the Secret of keys is what a test says."""

    def __init__(self, client: Client, known: Keys | None) -> None:
        self.changes = 0
        self.world = World(client, GatewaySettings(), (known, None), (), self._changed, lambda _: None)
        self.world.tokens.asked = True

    def _changed(self) -> None:
        self.changes += 1

    def list(self, data: dict[str, str] | None) -> None:
        """The first lists; None: there is no Secret."""
        for informer in self.world.informers:
            informer.synced = True
        self.watch(data)

    def watch(self, data: dict[str, str] | None) -> None:
        if data is not None:
            meta = {"name": GATEWAY_KEYS, "namespace": "smallmodel-system"}
            self.world._secret._take((meta["namespace"], meta["name"]), {"metadata": meta, "data": data})

    def said(self) -> str:
        return "\n".join(self.world.problems())


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(Configuration(host="http://127.0.0.1:1"), Fence.open())
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "is missing in namespace smallmodel-system"),
        ({}, "it has no entry 'keys.json'"),
        ({k: v for k, v in WHOLE.items() if k != TABLE}, "it has no entry 'keys.json'"),
        ({**WHOLE, TABLE: "e30="}, "the key table cannot be read"),
    ],
)
async def test_a_gateway_that_never_saw_keys_waits_for_the_operator(
    client: Client, data: dict[str, str] | None, said: str
) -> None:
    """Ready, it would answer 401 to callers whose keys are right."""
    listed = Listed(client, None)
    listed.list(data)
    assert not listed.world.complete
    assert said in listed.said()
    assert "takes no requests until the operator has written it" in listed.said()
    assert "kept" not in listed.said(), "there is nothing to keep"
    assert listed.world.waiting_for_keys
    listed.watch(WHOLE)
    assert listed.world.complete
    assert listed.changes
    assert not listed.said()
    assert not listed.world.waiting_for_keys


async def test_a_table_without_keys_is_a_table(client: Client) -> None:
    """A fresh cluster without models: the gateway is there before the first of them."""
    listed = Listed(client, None)
    listed.list(WHOLE)
    assert listed.world.complete
    assert listed.world.state().engine_master == MASTER


@pytest.mark.parametrize(("data", "said"), [(None, "is missing"), ({}, "it has no entry 'keys.json'")])
async def test_a_gateway_that_knew_keys_goes_on_with_them(
    client: Client, data: dict[str, Any] | None, said: str
) -> None:
    listed = Listed(client, Keys({"a" * 64: Identity("support", "key:support/bot")}, MASTER))
    listed.list(data)
    assert listed.world.complete
    assert said in listed.said()
    assert "the last keys are kept" in listed.said()
    assert list(listed.world.state().keys) == ["a" * 64]
    assert not listed.world.waiting_for_keys


async def test_who_does_not_know_whether_it_may_serve_does_not(client: Client) -> None:
    listed = Listed(client, None)
    listed.list(WHOLE)
    listed.world.boundaries.synced = False
    assert not listed.world.complete
    remembered = World(
        client,
        GatewaySettings(),
        (None, None),
        (),
        lambda: None,
        lambda _: None,
        boundary=Boundary("u", 1, stopped=True),
    )
    assert remembered.boundaries.known
    assert remembered.boundary.stopped


async def test_a_boundary_stops_the_models_of_its_namespaces(client: Client) -> None:
    listed = Listed(client, None)
    listed.list(WHOLE)
    listed.world.models.informers[0]._take(("support", "bot"), smallmodel())
    listed.world.models.informers[0]._take(("crm", "notes"), smallmodel(namespace="crm", name="notes"))

    def stopped() -> dict[str, bool]:
        return {target: model.stopped for target, model in listed.world.state().models.items()}

    assert stopped() == {"support/bot": False, "crm/notes": False}
    meta = {"name": "cluster", "uid": "u", "generation": 2}
    changes = listed.changes
    for spec, which in (
        ({"namespaces": [{"name": "crm", "inference": "Stopped"}]}, {"crm/notes"}),
        ({"inference": "Stopped"}, {"crm/notes", "support/bot"}),
        ({}, set()),
    ):
        listed.world.boundaries._take(("", "cluster"), {"metadata": meta, "spec": spec})
        assert {target for target, is_stopped in stopped().items() if is_stopped} == which
        asked = listed.world.model("crm/notes")
        assert asked is not None
        assert asked.stopped is ("crm/notes" in which), "as the activator asks"
    assert listed.changes == changes + 3, "each is a reason to write"


def smallmodel(namespace: str = "support", name: str = "bot", **status: Any) -> dict[str, Any]:
    meta = {"namespace": namespace, "name": name, "uid": "u", "generation": 1}
    return {"metadata": meta, "spec": {}, "status": {"observedGeneration": 1, **status}}


def stalled(reason: str, message: str) -> dict[str, Any]:
    said = {"status": "True", "reason": reason, "message": message}
    return smallmodel(conditions=[{"type": "Stalled", **said}, {"type": "Ready", **said, "status": "False"}])


async def test_only_what_a_file_contains_writes_them(client: Client) -> None:
    """The whole configuration takes a core most of a second at a thousand models, in every gateway."""
    listed = Listed(client, Keys({}, MASTER))
    (models,) = listed.world.models.informers

    def writes(obj: dict[str, Any]) -> int:
        before = listed.changes
        models._take(("support", "bot"), obj)
        return listed.changes - before

    assert writes(smallmodel()) == 1
    assert writes(smallmodel(scaling={"coldStart": {"totalMilliseconds": 1400}})) == 0, "a wake was measured"
    assert listed.world.model("support/bot").cold_start == 1.4, "what the activator asks for is as new"  # type: ignore[union-attr]
    assert writes(stalled("CrashLoop", "It ended with 1.")) == 1, "not listed any more"
    assert writes(stalled("CrashLoop", "It ended with 2.")) == 0
    assert writes(stalled("ImagePullFailed", "No such image.")) == 0
    assert listed.world.model("support/bot").stalled == "ImagePullFailed"  # type: ignore[union-attr]
    assert writes(smallmodel(weights={"digest": "sha256:1"})) == 1
    before = listed.changes
    models._drop(("support", "bot"))
    assert listed.changes == before + 1


async def test_an_address_that_is_no_pod_is_not_used_and_said_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    listed = Listed(client, None)
    marks = {"smallmodel.dev/model": "bot", "kubernetes.io/service-name": "bot-pods", MANAGED_BY: CONTROLLER}
    target = {"kind": "Pod", "namespace": "support", "name": "bot-1"}
    up = {"conditions": {"ready": True}}
    written: dict[str, Any] = {
        "metadata": {"name": "bot-x", "namespace": "support", "labels": marks},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [
            {"addresses": ["10.0.0.1"], "targetRef": target, **up},
            {"addresses": ["203.0.113.9"], **up},
        ],
    }
    (slices,) = listed.world.slices.informers
    for _ in range(2):
        slices._take(("support", "bot-x"), written)
    assert [e.address for e in listed.world._endpoints["support/bot"]] == ["10.0.0.1"]
    said = [r.getMessage() for r in caplog.records if "not used as endpoints" in r.getMessage()]
    assert said == [
        "not used as endpoints of support/bot: 203.0.113.9: no pod that Kubernetes found for its Service has such an "
        "address"
    ]


def leading_outside() -> dict[str, Any]:
    cloud = {"name": "cloud", "external": {"url": "https://api.example.com/v1", "model": "big-1"}}
    spec = {"targets": [{"name": "small", "smallModelRef": {"name": "bot"}}, cloud], "default": "small"}
    meta = {"namespace": "support", "name": "desk", "uid": "r", "generation": 1}
    return {"metadata": meta, "spec": {**spec, "boundary": {"external": "WhenClean"}}}


async def test_the_egress_is_found_by_its_pods_that_are_ready(client: Client) -> None:
    listed = Listed(client, None)
    listed.list(WHOLE)
    pod = {"kind": "Pod", "namespace": "smallmodel-egress", "name": "smallmodel-egress-1"}
    part: dict[str, Any] = {
        "metadata": {"name": "x", "namespace": "smallmodel-egress", "labels": {MANAGED_BY: CONTROLLER}},
        "addressType": "IPv4",
        "ports": [{"port": 10095}],
        "endpoints": [
            {"addresses": ["10.0.0.9"], "targetRef": pod, "conditions": {"ready": True}},
            {"addresses": ["10.0.0.8"], "targetRef": pod, "conditions": {"ready": False}},
            {"addresses": ["203.0.113.9"], "conditions": {"ready": True}},
        ],
    }
    before = listed.changes
    listed.world._egress._take(("smallmodel-egress", "x"), part)
    assert [(e.address, e.port) for e in listed.world.state().egress] == [("10.0.0.9", 10095)]
    assert listed.changes == before + 1


async def test_who_may_not_look_for_an_egress_says_so_only_where_something_leads_there(client: Client) -> None:
    listed = Listed(client, None)
    listed.list(WHOLE)
    listed.world._egress.problem = "it may not list endpointslices in smallmodel-egress"
    assert listed.world.complete
    assert not listed.said()
    listed.world.routes.informers[0]._take(("support", "desk"), leading_outside())
    assert "may not list endpointslices" in listed.said()


async def test_what_an_administrator_denies_no_route_lets_leave(client: Client) -> None:
    listed = Listed(client, None)
    listed.list(WHOLE)
    listed.world.routes.informers[0]._take(("support", "desk"), leading_outside())

    def external() -> str:
        return listed.world.state().routes["support/desk"].boundary.external.value

    assert external() == "WhenClean"
    meta = {"name": "cluster", "uid": "u", "generation": 2}
    for spec in ({"external": "Denied"}, {"namespaces": [{"name": "support", "external": "Denied"}]}):
        listed.world.boundaries._take(("", "cluster"), {"metadata": meta, "spec": spec})
        assert external() == "Denied"
    listed.world.boundaries._take(("", "cluster"), {"metadata": meta, "spec": {}})
    assert external() == "WhenClean"
