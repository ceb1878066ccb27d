"""The whole flow against a fake API server: what is written, in what order, and that rest is rest."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer, kinds_written
from tests.fakes.gateways import FakeSignals

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cluster.apply import Applier
from smallmodel_operator.cluster.children import FORGET_SECONDS, Children
from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.fence import Fence, NotLeader
from smallmodel_operator.cluster.key_table import KeyTable
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.control import reconcile as module
from smallmodel_operator.control.reconcile import Reconciler
from smallmodel_operator.core.facts import Boundary, Capabilities
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Note
from smallmodel_operator.resolve import Site
from smallmodel_operator.weights import download, result

DECLARED = {"resources": {"requests": {"memory": "1Gi"}}}


class World:
    """A reconciler whose watches show the fake server's objects at once."""

    def __init__(self, api: FakeApiServer, fence: Fence | None = None) -> None:
        self.api = api
        self.pods: list[Any] = []
        client = api.client(fence)
        writer = StatusWriter(client)
        self.children = Children()
        self.signals = FakeSignals()
        secrets = self.secrets = Secrets(client)
        self.observer = Observer(client, self.children, writer, Capabilities(), secrets, cast(Signals, self.signals))
        self.keys = KeyTable(client, "smallmodel-system")
        self.observer.profiles = {"default": [objects.profile()]}
        events = Events(client, "test")
        applier = Applier(client, self.children)
        self.reconciler = Reconciler(self.observer, applier, writer, events, Site(), secrets, self.keys)

    def create(self, **spec: Any) -> None:
        self.api.put(objects.model(**spec), manager="user")

    def edit(self, **spec: Any) -> None:
        body = self.body()
        meta = {**body["metadata"], "generation": body["metadata"]["generation"] + 1}
        self.api.put({**body, "metadata": meta, "spec": {**body["spec"], **spec}}, manager="user")

    def body(self) -> dict[str, Any]:
        body = self.api.get("SmallModel", "bot")
        assert body is not None
        return body

    async def step(self, body: Any = None) -> list[str]:
        """One pass, on the model as it is or on an older view of it; kinds written."""
        kinds: dict[str, list[Any]] = {}
        for (kind, _, _), obj in self.api.objects.items():
            kinds.setdefault(kind, []).append(obj)
        self.children.indices = {
            k: {("support", "bot"): v} for k, v in kinds.items() if k not in ("SmallModel", "Event", "Pod", "Secret")
        }
        self.children.indices["Pod"] = {("support", "bot"): self.pods}
        self.api.sent.clear()
        await self.reconciler.reconcile(body or self.body())
        return list(kinds_written(self.api))

    def condition(self, name: str) -> tuple[str, str]:
        found = {c["type"]: (c["status"], c["reason"]) for c in self.body()["status"]["conditions"]}
        return found[name]

    def events(self) -> list[tuple[str, str]]:
        return [(o["type"], o["reason"]) for k, o in self.api.objects.items() if k[0] == "Event"]

    def jobs(self, role: str) -> list[dict[str, Any]]:
        found = [o for (kind, _, _), o in self.api.objects.items() if kind == "Job"]
        return [o for o in found if o["metadata"]["labels"]["smallmodel.dev/role"] == role]

    def ends(self, role: str, message: str, kind: str) -> None:
        """The only Job of this role ends, its pod with this message."""
        (job,) = self.jobs(role)
        ended = {"type": kind, "status": "True", "lastTransitionTime": datetime.now(UTC).isoformat()}
        self.api.put({**job, "status": {"conditions": [ended]}})
        labels = {**job["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        status = {"containerStatuses": [{"state": {"terminated": {"message": message}}}]}
        meta = {"name": job["metadata"]["name"], "labels": labels}
        self.pods.append({"metadata": meta, "spec": job["spec"]["template"]["spec"], "status": status})

    def controllers(self, **status: Any) -> None:
        """What the Deployment controller would write."""
        live = self.api.get("Deployment", "bot")
        assert live is not None
        self.api.put({**live, "status": {"observedGeneration": 99, **status}})


@pytest.fixture
def world(api: FakeApiServer) -> World:
    return World(api)


READY = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


async def test_from_apply_to_ready_and_to_rest(world: World) -> None:
    world.create(compute=DECLARED)
    written = await world.step()
    assert written[:3] == ["Secret", "Secret", "NetworkPolicy"], "a pod mounts one of them"
    assert sorted(written[3:]) == ["Deployment", "Event", "Job", "Service", "Service", "SmallModel"]
    assert world.condition("Ready") == ("False", "Starting")
    world.controllers(**READY)
    assert await world.step() == ["SmallModel", "Event"]
    assert world.condition("Ready") == ("True", "Serving")
    assert await world.step() == []
    assert world.api.sent == [], "at rest a pass sends nothing at all"


async def test_a_deleted_client_secret_is_made_again_the_same_and_said(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    before = world.api.objects.pop(("Secret", "support", "bot-client"))
    assert not await world.secrets.holds(("support", "bot"), "bot-client")
    assert await world.step() == ["Secret", "Event"]
    after = world.api.get("Secret", "bot-client")
    assert after is not None
    assert after["data"] == before["data"]
    assert ("Normal", "SecretRestored") in world.events()
    assert await world.step() == []


async def test_what_a_branch_was_is_known_before_the_watch_tells_it(world: World) -> None:
    """A pass on an old body must not resolve anew what was just frozen."""
    source = {"uri": "hf://org/bot@main/bot.gguf", "allowMutable": True}
    world.create(compute=DECLARED, source=source)
    await world.step()
    await world.step()
    old = world.body()
    world.ends("download", result.encode(result.Pinned(f"hf://org/bot@{'c' * 40}/bot.gguf", "d" * 64)), "Complete")
    await world.step()
    assert world.body()["status"]["source"]["sha256"] == "d" * 64
    assert ("Normal", "SourceResolved") in world.events()
    assert "status" not in old or "source" not in old["status"]
    await world.step(old)
    (job,) = world.jobs("download")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][0] == "fetch-weights"


async def test_the_users_object_keeps_its_spec_labels_and_annotations(world: World) -> None:
    world.create(compute=DECLARED)
    before = world.body()
    await world.step()
    after = world.body()
    assert after["spec"] == before["spec"]
    for field in ("labels", "annotations", "finalizers"):
        assert after["metadata"].get(field) == before["metadata"].get(field)


async def test_events_tell_changes_once(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    assert ("Normal", "Serving") in world.events()
    count = len(world.events())
    world.edit(compute={**DECLARED, "profileRef": {"name": "gone"}})
    await world.step()
    await world.step()
    assert len(world.events()) == count + 1
    assert ("Warning", "ProfileNotFound") in world.events()


async def test_a_refusal_leaves_nothing_half_made_and_a_correct_edit_heals_it(world: World) -> None:
    world.create(compute={**DECLARED, "profileRef": {"name": "gone"}})
    assert set(await world.step()) <= {"SmallModel", "Event"}
    assert world.condition("Stalled") == ("True", "ProfileNotFound")
    world.edit(compute=DECLARED)
    assert "Deployment" in await world.step()
    assert world.condition("Stalled") == ("False", "Settled")


async def test_a_refusal_leaves_what_runs_running(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    world.edit(compute={**DECLARED, "profileRef": {"name": "gone"}})
    await world.step()
    assert world.api.get("Deployment", "bot") is not None
    assert (world.condition("Ready"), world.condition("Stalled")) == (("True", "Serving"), ("True", "ProfileNotFound"))


def boundary(enforced: bool | None, *, probed: bool = True, where: str = "support") -> Any:
    """As the watch of the boundary tells it, where one is required."""
    return lambda namespace: Boundary(namespace == where, enforced, probed, "A model's pod reached DNS.")


@pytest.mark.parametrize("enforced", [False, None])
async def test_no_enforcement_no_serving(world: World, enforced: bool | None) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    world.observer.boundary = boundary(enforced)
    await world.step()
    assert world.api.get("Deployment", "bot") is None, "what runs is closed"
    assert world.api.get("NetworkPolicy", "bot") is not None, "the guard of pods that still drain"
    assert world.api.get("Service", "bot") is not None, "the address stays"
    assert world.condition("Ready") == ("False", "BoundaryNotEnforced")
    assert world.condition("Stalled") == ("True", "BoundaryNotEnforced")
    assert world.keys._offered["support", "bot"], "its callers are told why, not that their key is wrong"
    assert await world.step() == [], "and that is that"
    world.observer.boundary = boundary(True)
    assert "Deployment" in await world.step()
    world.controllers(**READY)
    await world.step()
    assert world.condition("Ready") == ("True", "Serving")


async def test_a_new_model_gets_no_pod_where_enforcement_is_missing(world: World) -> None:
    world.observer.boundary = boundary(False)
    world.create(compute=DECLARED)
    await world.step()
    kinds = {k for k, _, _ in world.api.objects}
    assert not {"Deployment", "Job", "Pod"} & kinds
    assert world.condition("Ready") == ("False", "BoundaryNotEnforced")


async def test_elsewhere_it_is_only_reported(world: World) -> None:
    world.observer.boundary = boundary(False, where="another")
    world.create(compute=DECLARED)
    assert "Deployment" in await world.step()


async def test_until_the_first_probe_has_ended_what_runs_stays_and_nothing_new_starts(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    world.observer.boundary = boundary(None, probed=False)
    world.edit(engine={"contextSize": 512})
    await world.step()
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Reconciling") == ("True", "ProbePending")
    assert world.api.get("Deployment", "bot") is not None


async def test_an_edit_that_is_refused_does_not_keep_an_open_boundary_open(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.observer.boundary = boundary(False)
    world.edit(source={"uri": "oci://registry.test/m:latest"})
    await world.step()
    assert world.api.get("Deployment", "bot") is None
    assert world.condition("Ready") == ("False", "BoundaryNotEnforced")


async def test_what_is_off_stays_off_and_says_so(world: World) -> None:
    world.observer.boundary = boundary(False)
    world.create(compute=DECLARED, suspend=True)
    await world.step()
    assert world.condition("Ready") == ("False", "Suspended")


async def test_a_name_that_is_taken_is_told_and_tried_again(world: World) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bot", "namespace": "support"}, "spec": {}}
    stored = world.api.put(theirs, manager="user")
    world.create(compute=DECLARED)
    await world.step()
    assert world.condition("Stalled") == ("True", "NameTaken")
    assert world.api.get("Service", "bot") == stored
    assert world.api.get("Deployment", "bot") is None
    result = await world.reconciler.reconcile(world.body())
    assert (result.refused, result.look_again_seconds) == (True, 15)


async def test_suspending_scales_down_and_waking_scales_up(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.edit(suspend=True)
    assert "Deployment" in await world.step()
    assert (world.api.get("Deployment", "bot") or {})["spec"]["replicas"] == 0
    assert world.condition("Ready") == ("False", "Suspended")
    world.edit(suspend=False)
    await world.step()
    assert (world.api.get("Deployment", "bot") or {})["spec"]["replicas"] == 1


async def test_another_writer_of_the_deployment_means_deciding_again(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.edit(replicas=2)
    world.api.refuse("PATCH", "deployments", 409, "Conflict", "modified", times=1)
    result = await world.reconciler.reconcile(world.body())
    assert result.look_again_seconds == 0.2
    assert world.condition("Reconciling") == ("True", "Progressing")
    await world.step()
    assert (world.api.get("Deployment", "bot") or {})["spec"]["replicas"] == 2


async def test_an_outage_is_raised_and_can_be_shown(world: World) -> None:
    world.create(compute=DECLARED)
    world.api.refuse("PATCH", "deployments", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError):
        await world.step()
    await world.reconciler.report_outage(world.body(), "etcd is away. The operator tries again by itself.")
    assert world.condition("Reconciling") == ("True", "Retrying")
    assert world.condition("Stalled") == ("False", "Settled")


async def test_an_outage_does_not_make_a_serving_model_unready(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    await world.reconciler.report_outage(world.body(), "away")
    assert world.condition("Ready") == ("True", "Serving")


async def test_an_outage_is_told_beside_what_the_user_has_to_mend(world: World) -> None:
    """It took the refusal's place: while the outage lasted nothing said what was wrong with the edit."""
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    world.edit(compute={**DECLARED, "profileRef": {"name": "gone"}})
    await world.step()
    for _ in range(2):  # reported anew with another message, it is told once
        await world.reconciler.report_outage(world.body(), "etcd is away")
    assert (world.condition("Ready"), world.condition("Stalled")) == (("True", "Serving"), ("True", "ProfileNotFound"))
    said = {c["type"]: c["message"] for c in world.body()["status"]["conditions"]}["Stalled"]
    assert said.startswith("ComputeProfile 'gone' does not exist.")
    assert said.endswith(" Meanwhile: etcd is away")
    assert said.count("Meanwhile") == 1
    await world.step()
    assert "Meanwhile" not in {c["type"]: c["message"] for c in world.body()["status"]["conditions"]}["Stalled"]


async def test_what_was_refused_of_an_older_spec_is_not_said_of_the_new_one(world: World) -> None:
    world.create(compute={**DECLARED, "profileRef": {"name": "gone"}})
    await world.step()
    world.edit(compute=DECLARED)
    await world.reconciler.report_outage(world.body(), "away")
    assert world.condition("Stalled") == ("False", "Settled")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("Quantizing", "Normal"), ("AskingGolden", "Normal"), ("GatewaySyncing", "Normal"), ("CrashLoop", "Warning")],
)
async def test_work_under_way_is_no_warning(world: World, reason: str, kind: str) -> None:
    world.create(compute=DECLARED)
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": "m"}
    await world.reconciler._reporter._tell(world.body(), {}, {"conditions": [condition]})
    assert world.events() == [(kind, reason)]


async def test_a_follower_writes_nothing(api: FakeApiServer) -> None:
    world = World(api, Fence())
    world.create(compute=DECLARED)
    with pytest.raises(NotLeader):
        await world.step()
    assert api.writes == []


async def test_forgetting_empties_every_cache(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    reconciler = world.reconciler
    reconciler.forget(world.body())
    assert not reconciler._applier._settled
    assert not reconciler._writer._written
    assert not reconciler._events._sent
    assert not world.children._written


async def test_a_successors_caches_stay(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.reconciler.forget(world.body(), succeeded=True)
    assert world.reconciler._applier._settled
    assert world.children._written
    assert not world.reconciler._events._sent, "that is kept by uid"


async def test_what_the_watch_has_not_confirmed_is_looked_at_again_soon(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    result = await world.reconciler.reconcile(world.body())
    assert result.look_again_seconds <= FORGET_SECONDS + 1, "its watch shows nothing of what was written"
    await world.step()
    assert (await world.reconciler.reconcile(world.body())).look_again_seconds > FORGET_SECONDS + 1


async def test_while_others_wait_children_come_first_and_the_status_follows(api: FakeApiServer) -> None:
    world = World(api)
    world.create(compute=DECLARED)
    world.reconciler.busy = lambda: True
    first = await world.step()
    assert "Deployment" in first
    assert "SmallModel" not in first
    assert "SmallModel" not in await world.step(), "nothing has come of it yet"
    world.controllers(**READY)
    assert "SmallModel" in await world.step(), "good news are said, busy or not"


async def test_no_model_waits_for_its_first_status_for_ever(
    api: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(api)
    world.create(compute=DECLARED)
    world.reconciler.busy = lambda: True
    await world.step()
    monkeypatch.setattr(module, "UNSAID_SECONDS", 0.0)
    assert "SmallModel" in await world.step()
    assert not world.reconciler._unsaid


async def test_what_is_refused_is_said_at_once(api: FakeApiServer) -> None:
    world = World(api)
    world.reconciler.busy = lambda: True
    world.create(compute={"profileRef": {"name": "missing"}})
    assert "SmallModel" in await world.step()


async def test_keys_that_find_no_room_are_the_models_problem(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    unfit = Refused(Reason.QUOTA_EXCEEDED, "1 of this model's keys do not fit.", recheck_seconds=60)
    monkeypatch.setattr(world.keys, "problem", lambda model: unfit if model == ("support", "bot") else None)
    await world.step()
    assert world.condition("Stalled") == ("True", "QuotaExceeded")
    assert world.condition("Ready") == ("True", "Serving"), "the others open it"
    assert (await world.reconciler.reconcile(world.body())).look_again_seconds <= 60
    monkeypatch.undo()
    await world.step()
    assert world.condition("Stalled")[0] == "False"


async def test_a_full_claim_makes_room_and_says_once_what_went(world: World) -> None:
    told: list[Note] = []
    world.reconciler.noted = told.append
    other = {"source": {"uri": "s3://models/other.gguf", "sha256": "c" * 64}, "weights": {}}
    world.observer.sources = {"support": [other]}
    world.create(compute=DECLARED, source={"uri": "https://files.test/m.gguf", "sha256": "b" * 64})
    await world.step()
    await world.step()
    world.ends("download", result.encode(download.no_room(1000, 10, 64)), "Failed")
    await world.step()
    assert world.condition("WeightsReady") == ("Unknown", "MakingRoom")
    (job,) = world.jobs("evict")
    assert f"sha256-{'c' * 64}" in job["spec"]["template"]["spec"]["containers"][0]["args"]
    world.ends("evict", result.encode(result.Evicted((f"sha256-{'d' * 64}",), 5000, 0)), "Complete")
    for _ in range(3):
        await world.step()
    assert world.events().count(("Normal", "WeightsEvicted")) == 1
    assert [note.evicted_bytes for note in told] == [5000]
    (again,) = world.jobs("download")
    assert again["metadata"]["annotations"]["smallmodel.dev/attempt"] == "1"
    assert world.jobs("evict") == []
    assert world.condition("WeightsReady") == ("Unknown", "Downloading")


async def test_a_second_scaler_is_set_back_once_and_then_left_alone_and_named(world: World) -> None:
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()

    def scaled(replicas: int) -> None:
        live = world.api.get("Deployment", "bot")
        assert live is not None
        meta = {**live["metadata"], "generation": live["metadata"].get("generation", 1) + 1}
        world.api.put({**live, "metadata": meta, "spec": {**live["spec"], "replicas": replicas}}, manager="hpa")

    def replicas() -> int:
        return int((world.api.get("Deployment", "bot") or {})["spec"]["replicas"])

    scaled(3)
    await world.step()
    assert replicas() == 1
    assert ("Normal", "ReplicasRestored") in world.events()
    scaled(4)
    await world.step()
    assert replicas() == 4, "two writers would take turns"
    assert world.condition("ScalingActive") == ("False", "ConflictingScaler")
    await world.step()
    assert replicas() == 4
