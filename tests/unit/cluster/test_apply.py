"""Plans become objects: on a difference only, policies first, nothing of a stranger's, nothing half-made."""

from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer, kinds_written

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.build import pods_policy
from smallmodel_operator.cluster import apply as module
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.fence import Fence, NotLeader
from smallmodel_operator.core.facts import Object, ObjectKey
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part, Plan
from smallmodel_operator.core.pod import owner_reference
from smallmodel_operator.serving import build

MODEL = ("support", "bot")


def plan(replicas: int = 1, *, prune: bool = True, kept: tuple[Object, ...] = (), **wish: Any) -> Plan:
    made = [
        build.deployment(objects.request(replicas=replicas, **wish), None),
        *build.addresses("bot", "support", "gateway.test"),
        pods_policy("bot", "support", "smallmodel-system"),
    ]
    if replicas > 1:
        made.append(build.disruption_budget("bot", "support"))
    return Plan.of([Part(objects=tuple(made), kept=kept)], prune=prune)


class World:
    """The applier with a watch that sees everything at once."""

    def __init__(self, api: FakeApiServer, fence: Fence | None = None) -> None:
        self.api = api
        self.children = Children()
        self.applier = Applier(api.client(fence), self.children)

    def live(self) -> dict[ObjectKey, Object]:
        mine = (o for o in self.api.objects.values() if objects.UID in str(o["metadata"].get("ownerReferences")))
        return {(o["kind"], o["metadata"]["name"]): o for o in mine}

    async def apply(self, wanted: Plan) -> dict[ObjectKey, Object]:
        return await self.applier.apply(MODEL, objects.UID, wanted, self.live())

    def edit(self, kind: str, **spec: Any) -> None:
        """Someone edits a child by hand."""
        live = self.api.get(kind, "bot")
        assert live is not None
        self.api.put({**live, "spec": {**live["spec"], **spec}})

    def written(self) -> list[str]:
        """Kinds written since the last call."""
        kinds = list(kinds_written(self.api))
        self.api.sent.clear()
        return kinds


@pytest.fixture
def world(api: FakeApiServer) -> World:
    return World(api)


async def test_everything_is_made_and_owned(world: World) -> None:
    after = await world.apply(plan(2))
    assert set(after) == {
        ("Deployment", "bot"), ("Service", "bot"), ("Service", "bot-pods"), ("NetworkPolicy", "bot"),
        ("PodDisruptionBudget", "bot"),
    }  # fmt: skip
    for obj in world.live().values():
        assert obj["metadata"]["ownerReferences"] == [owner_reference("bot", objects.UID)]


async def test_policies_stand_before_any_pod_may_start(world: World) -> None:
    await world.apply(plan(2))
    assert world.written()[0] == "NetworkPolicy"


async def test_a_refused_policy_lets_no_pod_start(world: World) -> None:
    world.api.refuse("PATCH", "networkpolicies", 403, "Forbidden", "not here")
    with pytest.raises(Refused):
        await world.apply(plan())
    assert world.written() == ["NetworkPolicy"]


async def test_at_rest_nothing_is_written(world: World) -> None:
    await world.apply(plan(2))
    world.written()
    await world.apply(plan(2))
    assert world.written() == []
    assert world.api.sent == [], "not even read"


async def test_only_what_differs_is_written(world: World) -> None:
    await world.apply(plan(2))
    world.written()
    await world.apply(plan(3))
    assert world.written() == ["Deployment"]


async def test_drift_is_repaired(world: World) -> None:
    await world.apply(plan())
    world.edit("Service", externalName="mine.test")
    world.written()
    await world.apply(plan())
    assert world.written() == ["Service"]
    assert (world.api.get("Service", "bot") or {})["spec"]["externalName"] == "gateway.test"


async def test_a_way_out_added_by_hand_is_closed(world: World) -> None:
    await world.apply(plan())
    world.edit("NetworkPolicy", egress=[{}])
    await world.apply(plan())
    assert (world.api.get("NetworkPolicy", "bot") or {})["spec"]["egress"] == []


async def test_what_left_the_plan_is_deleted(world: World) -> None:
    await world.apply(plan(2))
    after = await world.apply(plan(1))
    assert ("PodDisruptionBudget", "bot") not in after
    assert world.api.get("PodDisruptionBudget", "bot") is None


async def test_while_something_is_held_nothing_is_deleted(world: World) -> None:
    await world.apply(plan(2))
    after = await world.apply(Plan.of([], prune=False))
    assert len(after) == 5
    assert len(world.live()) == 5


async def test_what_is_being_deleted_is_not_deleted_again(world: World) -> None:
    await world.apply(plan(2))
    budget = world.api.get("PodDisruptionBudget", "bot")
    assert budget is not None
    budget["metadata"]["deletionTimestamp"] = objects.ago(1)
    world.written()
    await world.apply(plan(1))
    assert "PodDisruptionBudget" not in world.written()


@pytest.mark.parametrize("kind", ["Service", "Deployment", "NetworkPolicy"])
async def test_a_strangers_object_is_left_untouched_and_nothing_is_half_made(world: World, kind: str) -> None:
    versions = {"Service": "v1", "Deployment": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1"}
    meta = {"name": "bot", "namespace": "support"}
    theirs = world.api.put({"apiVersion": versions[kind], "kind": kind, "metadata": meta, "spec": {"theirs": True}})
    with pytest.raises(Refused) as caught:
        await world.apply(plan())
    assert caught.value.reason is Reason.NAME_TAKEN
    assert f"{kind} 'bot'" in caught.value.message
    assert "Rename the SmallModel" in caught.value.message
    assert caught.value.recheck_seconds
    assert world.api.get(kind, "bot") == theirs
    assert world.written() == []


async def test_a_freed_name_is_taken(world: World) -> None:
    """At once, although the list of names is still the old one."""
    world.api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bot", "namespace": "support"}})
    with pytest.raises(Refused):
        await world.apply(plan())
    del world.api.objects["Service", "support", "bot"]
    assert len(await world.apply(plan())) == 4


async def test_a_name_taken_between_look_and_write_is_not_taken_over(world: World) -> None:
    """The list said it is free; the unforced apply then meets fields of someone else."""
    await world.applier._taken_names("Service", "support")
    spec = {"selector": {"app": "theirs"}, "type": "ClusterIP", "ports": []}
    meta = {"name": "bot", "namespace": "support"}
    world.api.put({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    with pytest.raises(Refused) as caught:
        await world.apply(plan())
    assert caught.value.reason is Reason.NAME_TAKEN
    assert (world.api.get("Service", "bot") or {})["spec"] == spec


async def test_not_even_an_object_that_says_the_same_is_taken_over(world: World) -> None:
    """No field of it is in conflict with ours, so that only the precondition protects it."""
    for kind in ("NetworkPolicy", "Service"):
        await world.applier._taken_names(kind, "support")
    theirs = world.api.put(pods_policy("bot", "support", "smallmodel-system"))
    with pytest.raises(Refused) as caught:
        await world.apply(plan())
    assert caught.value.reason is Reason.NAME_TAKEN
    assert world.api.get("NetworkPolicy", "bot") == theirs


async def test_an_object_that_took_the_place_of_a_child_is_not_taken_over(world: World) -> None:
    await world.apply(plan())
    seen = world.live()
    del world.api.objects["Service", "support", "bot"]
    theirs = world.api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bot", "namespace": "support"}})
    meta = {**seen["Service", "bot"]["metadata"], "resourceVersion": "7"}
    seen["Service", "bot"] = {**seen["Service", "bot"], "metadata": meta, "spec": {}}
    with pytest.raises(NotYet, match="deciding again"):
        await world.applier.apply(MODEL, objects.UID, plan(), seen)
    assert world.api.get("Service", "bot") == theirs


async def test_a_child_that_is_still_being_removed_is_waited_for(world: World) -> None:
    await world.apply(plan())
    live = world.api.get("Service", "bot")
    assert live is not None
    live["metadata"]["deletionTimestamp"] = objects.ago(1)
    seen = {k: o for k, o in world.live().items() if k != ("Service", "bot")}
    with pytest.raises(NotYet, match="still being removed"):
        await world.applier.apply(MODEL, objects.UID, plan(), seen)


async def test_what_is_kept_about_children_goes_with_them(world: World) -> None:
    await world.apply(plan(2))
    assert len(world.applier._settled[MODEL]) == 5
    await world.apply(plan(1))
    assert len(world.applier._settled[MODEL]) == 4
    world.applier.forget(MODEL)
    assert not world.applier._settled


async def test_children_of_a_deleted_namesake_are_waited_for(world: World) -> None:
    old = {"name": "bot", "namespace": "support", "ownerReferences": [owner_reference("bot", "old-uid")]}
    world.api.put({"apiVersion": "v1", "kind": "Service", "metadata": old})
    with pytest.raises(NotYet, match="still being removed"):
        await world.apply(plan())


async def test_a_burst_of_new_models_shares_one_list_per_kind(world: World) -> None:
    await world.apply(plan(2))
    listed = [s.path for s in world.api.sent if s.method == "GET"]
    assert len(listed) == len(set(listed)) == 4


async def test_the_deployment_is_written_on_the_state_decided_on(world: World) -> None:
    await world.apply(plan())
    stale = {k: {**v, "metadata": dict(v["metadata"])} for k, v in world.live().items()}
    world.edit("Deployment", replicas=7)
    with pytest.raises(NotYet, match="changed meanwhile"):
        await world.applier.apply(MODEL, objects.UID, plan(3), stale)
    assert (world.api.get("Deployment", "bot") or {})["spec"]["replicas"] == 7
    await world.apply(plan(3))
    assert (world.api.get("Deployment", "bot") or {})["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("status", "message", "kind", "reason", "says"),
    [
        (422, "spec.x: Invalid value", Refused, Reason.INVALID_SPEC, "spec.x: Invalid value"),
        (403, "exceeded quota: q", Refused, Reason.QUOTA_EXCEEDED, "larger ResourceQuota"),
        (403, "admission policy says no", Refused, Reason.FORBIDDEN, "ask its owner"),
        (403, "namespace support is being terminated", NotYet, Reason.PROGRESSING, "being terminated"),
    ],
)
async def test_what_the_server_refuses_is_explained(
    world: World, status: int, message: str, kind: type[Exception], reason: Reason, says: str
) -> None:
    world.api.refuse("PATCH", "deployments", status, "Whatever", message)
    with pytest.raises(kind, match=message) as caught:
        await world.apply(plan())
    assert caught.value.reason is reason  # type: ignore[attr-defined]
    assert says in str(caught.value)


async def test_an_outage_stays_an_outage(world: World) -> None:
    world.api.refuse("PATCH", "deployments", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError, match="etcd is away"):
        await world.apply(plan())


async def test_a_refusal_is_told_before_an_outage(world: World) -> None:
    world.api.refuse("PATCH", "deployments", 500, "InternalError", "etcd is away")
    world.api.refuse("PATCH", "services", 422, "Invalid", "bad port")
    with pytest.raises(Refused, match="bad port"):
        await world.apply(plan())


async def test_what_the_server_keeps_otherwise_is_not_sent_for_ever(world: World) -> None:
    """A mutating webhook changed a field of ours: we say it once for each state we see, not on every pass."""
    await world.apply(plan())
    live = world.api.get("Service", "bot")
    assert live is not None
    live["spec"]["externalName"] = "other.test"  # as if the server had answered our own write so
    sent = module.digest(build.addresses("bot", "support", "gateway.test")[0])
    meta = live["metadata"]
    world.applier._settled[MODEL]["Service", "bot"] = (sent, meta["uid"], meta["resourceVersion"])
    world.written()
    await world.apply(plan())
    assert world.written() == []
    world.applier.forget(MODEL)
    await world.apply(plan())
    assert world.written() == ["Service"]


async def test_a_kept_claim_is_made_once_never_changed_never_owned_never_pruned(world: World) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "smallmodel-weights", "namespace": "support"},
        "spec": {"resources": {"requests": {"storage": "50Gi"}}},
    }
    await world.apply(plan(kept=(claim,)))
    made = world.api.get("PersistentVolumeClaim", "smallmodel-weights")
    assert made is not None
    assert "ownerReferences" not in made["metadata"]
    made["spec"]["resources"]["requests"]["storage"] = "100Gi"
    world.written()
    await world.apply(plan(kept=(claim,)))
    await world.apply(plan())
    assert world.written() == []
    assert world.api.get("PersistentVolumeClaim", "smallmodel-weights") == made


async def test_a_claim_made_by_a_peer_meanwhile_is_fine(world: World) -> None:
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "support"}}
    world.api.refuse("POST", "persistentvolumeclaims", 409, "AlreadyExists", "there it is")
    await world.apply(plan(kept=(claim,)))
    world.api.heal()
    world.api.refuse("POST", "persistentvolumeclaims", 403, "Forbidden", "exceeded quota: storage")
    with pytest.raises(Refused, match="exceeded quota: storage"):
        await world.apply(plan(kept=(claim,)))


async def test_behind_a_closed_fence_nothing_is_sent(api: FakeApiServer) -> None:
    world = World(api, Fence())
    with pytest.raises(NotLeader):
        await world.apply(plan())
    assert api.writes == []
    assert api.objects == {}


async def test_our_writes_are_remembered_for_the_lagging_watch(world: World) -> None:
    await world.apply(plan())
    world.children.indices = {"Service": {}}
    assert set(world.children.of(MODEL, objects.UID)) == set(world.live())


async def test_a_child_that_lost_its_labels_is_found_and_healed(world: World) -> None:
    """Without the label it is in no watch, so that it looks as if it were gone; its name says whose it is."""
    await world.apply(plan())
    live = world.api.get("Deployment", "bot")
    assert live is not None
    world.api.put({**live, "metadata": {**live["metadata"], "labels": {"smallmodel.dev/model": "mine"}}})
    seen = {k: o for k, o in world.live().items() if k[0] != "Deployment"}
    with pytest.raises(NotYet, match="lost its labels"):
        await world.applier.apply(MODEL, objects.UID, plan(), seen)
    seen |= world.children.of(MODEL, objects.UID)
    assert ("Deployment", "bot") in seen, "decided on as it is, not as if it were new"
    await world.applier.apply(MODEL, objects.UID, plan(), seen)
    healed = world.api.get("Deployment", "bot") or {}
    assert healed["metadata"]["labels"]["smallmodel.dev/model"] == "bot"
    assert healed["metadata"]["uid"] == live["metadata"]["uid"]
