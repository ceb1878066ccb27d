"""The snapshot holds what the indices and the few reads know, and nothing is read in vain."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.gateways import FakeSignals
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.names import short_hash
from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.observe import Observer
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.core.facts import Capabilities, Progress
from smallmodel_operator.core.remember import weights_status


@pytest.fixture
def observer(api: FakeApiServer) -> Observer:
    client = api.client()
    signals = cast(Signals, FakeSignals())
    secrets = Secrets(client)
    return Observer(client, Children(), StatusWriter(client), Capabilities(version="v1.36.0"), secrets, signals)


def node(name: str, memory: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": {"memory": memory}},
    }


async def test_at_rest_a_snapshot_asks_the_server_nothing(api: FakeApiServer, observer: Observer) -> None:
    observer.children.indices = {"Pod": {("support", "bot"): [objects.ready()]}}
    snapshot = await observer.snapshot(objects.model(), profile=None)
    assert api.sent == []
    assert snapshot.pods == (objects.ready(),)
    assert snapshot.capabilities.version == "v1.36.0"
    assert snapshot.largest_node_memory is None


def test_where_models_may_run_is_what_profiles_and_models_tolerate(observer: Observer) -> None:
    assert observer.tolerations() == []
    gpu, own = {"key": "gpu"}, {"key": "own"}
    observer.profiles = {"gpu": [{"spec": {"tolerations": [gpu]}}], "cpu": [{"spec": {}}]}
    observer.tolerated = {("support", "bot"): [[own]]}
    assert observer.tolerations() == [gpu, own]


async def test_claims_that_exist_are_there_and_others_are_not(api: FakeApiServer, observer: Observer) -> None:
    meta = {"name": "data", "namespace": "support"}
    claim = api.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta})
    snapshot = await observer.snapshot(objects.model(), profile=None, claims=("data", "gone"))
    assert snapshot.claims == {"data": claim}


async def test_facts_come_from_the_own_status_or_a_peers(observer: Observer) -> None:
    known = {"status": {"weights": weights_status(FACTS, "")}}
    own = await observer.snapshot({**objects.model(), **known}, profile=None, artifact=FACTS.artifact)
    assert own.inspected == {FACTS.artifact: FACTS}
    observer.weights = {("support", FACTS.artifact): [{}, known["status"]["weights"]]}
    peer = await observer.snapshot(objects.model(), profile=None, artifact=FACTS.artifact)
    assert peer.inspected == {FACTS.artifact: FACTS}
    other = await observer.snapshot(objects.model(), profile=None, artifact="another")
    assert other.inspected == {}


async def test_of_what_is_known_the_look_with_more_checks_counts(observer: Observer) -> None:
    """After an upgrade one model of a namespace looks again, and the others take over what it found."""
    old, new = replace(FACTS, checks=0), replace(FACTS, name="looked at again")
    body = {**objects.model(), "status": {"weights": weights_status(old, "")}}
    observer.jobs = {("support", short_hash(FACTS.artifact)): [{"model": "peer", "ended": ""}]}
    waiting = await observer.snapshot(body, profile=None, artifact=FACTS.artifact)
    assert waiting.inspected == {FACTS.artifact: old}
    assert waiting.inspecting == {FACTS.artifact: ("peer",)}
    observer.weights = {("support", FACTS.artifact): [weights_status(old, ""), weights_status(new, "")]}
    told = await observer.snapshot(body, profile=None, artifact=FACTS.artifact)
    assert told.inspected == {FACTS.artifact: new}
    assert told.inspecting == {}


async def test_a_peer_that_reads_the_same_weights_is_named_until_its_job_has_ended(observer: Observer) -> None:
    now = datetime.now(UTC)

    async def inspecting(ended: str) -> dict[str, tuple[str, ...]]:
        job = {"model": "peer", "ended": ended}
        observer.jobs = {("support", short_hash("a")): [{"model": "bot", "ended": ""}, job]}
        return dict((await observer.snapshot(objects.model(), profile=None, artifact="a")).inspecting)

    assert await inspecting("") == {"a": ("peer",)}
    assert await inspecting((now - timedelta(seconds=2)).isoformat()) == {"a": ("peer",)}, "its status is about to come"
    assert await inspecting((now - timedelta(seconds=60)).isoformat()) == {}, "it found nothing a peer could use"


async def test_a_burst_of_models_reads_weights_once(observer: Observer) -> None:
    async def inspecting(name: str, artifact: str = "a") -> dict[str, tuple[str, ...]]:
        return dict((await observer.snapshot(objects.model(name), profile=None, artifact=artifact)).inspecting)

    assert await inspecting("one") == {}
    assert await inspecting("two") == {"a": ("one",)}
    assert await inspecting("one") == {}, "it keeps its seat"
    assert await inspecting("one", "b") == {}, "it wants other weights now"
    assert await inspecting("two") == {}
    observer.forget(("support", "two"))
    assert await inspecting("three") == {}


async def test_beside_jobs_that_do_not_get_on_one_model_of_each_source_begins(observer: Observer) -> None:
    async def inspecting(name: str, asks: str) -> dict[str, tuple[str, ...]]:
        seen = await observer.snapshot(objects.model(name), profile=None, artifact="a", asks=asks)
        return dict(seen.inspecting)

    running = [{"model": "dead", "ended": ""}]
    observer.jobs = {("support", short_hash("a")): running}
    assert await inspecting("one", "https://good") == {"a": ("dead",)}, "whether it waits is decided with its pods"
    assert await inspecting("two", "https://good") == {"a": ("dead", "one")}, "the seat of that source is taken"
    assert await inspecting("three", "https://other") == {"a": ("dead",)}
    assert await inspecting("one", "https://good") == {"a": ("dead",)}
    running.append({"model": "one", "ended": ""})
    assert await inspecting("two", "https://good") == {"a": ("dead", "one")}


async def test_only_peers_of_another_source_are_asked_how_far_they_are(observer: Observer) -> None:
    asked: list[Any] = []

    async def ask(pods: Any) -> Progress | None:
        asked.extend(p["metadata"]["name"] for p in pods)
        return Progress(1, 2, None) if pods else None

    def pod(name: str, url: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"containers": [{"args": ["fetch-weights", "--url", url]}]}}

    observer.progress = ask
    observer.children.indices = {
        "Pod": {("support", "a"): [pod("a-1", "https://a")], ("support", "b"): [pod("b-1", "https://b")]}
    }
    observer.jobs = {("support", short_hash("x")): [{"model": "a", "ended": ""}, {"model": "b", "ended": ""}]}
    seen = await observer.snapshot(objects.model(), profile=None, artifact="x", asks="https://a")
    assert seen.peer_progress == {"b": Progress(1, 2, None)}
    assert asked == ["b-1"]
    assert [p["metadata"]["name"] for p in seen.peer_pods] == ["a-1", "b-1"]


async def test_nodes_are_read_once_in_a_while_and_only_for_a_pod_without_one(
    api: FakeApiServer, observer: Observer
) -> None:
    for made in (node("a", "4Gi"), node("b", "16Gi")):
        api.put(made)
    observer.children.indices = {"Pod": {("support", "bot"): [objects.unschedulable(5)]}}
    for _ in range(3):
        snapshot = await observer.snapshot(objects.model(), profile=None)
        assert snapshot.largest_node_memory == 16 * 2**30
    assert [s.path for s in api.sent] == ["/api/v1/nodes", "/api/v1/pods"]


async def test_a_burst_of_models_without_a_node_shares_one_look(api: FakeApiServer, observer: Observer) -> None:
    api.put(node("a", "4Gi"))
    observer.children.indices = {"Pod": {("support", "bot"): [objects.unschedulable(5)]}}
    seen = await asyncio.gather(*(observer.snapshot(objects.model(), profile=None) for _ in range(20)))
    assert {s.largest_node_memory for s in seen} == {4 * 2**30}
    assert [s.path for s in api.sent] == ["/api/v1/nodes", "/api/v1/pods"]


async def test_without_the_right_to_read_nodes_there_is_no_hint(api: FakeApiServer, observer: Observer) -> None:
    api.refuse("GET", "nodes", 403, "Forbidden", "no")
    observer.children.indices = {"Pod": {("support", "bot"): [objects.unschedulable(5)]}}
    assert (await observer.snapshot(objects.model(), profile=None)).largest_node_memory is None


async def size_seen(observer: Observer, **status: Any) -> int | None:
    body = {**objects.model(), "status": status} if status else objects.model()
    return (await observer.snapshot(body, profile=None, node_selector={})).largest_node_memory


async def test_the_size_of_nodes_is_read_before_a_model_has_pods(api: FakeApiServer, observer: Observer) -> None:
    for made in (node("a", "4Gi"), node("b", "16Gi")):
        api.put(made)
    seen = await asyncio.gather(*(size_seen(observer) for _ in range(20)))
    assert set(seen) == {16 * 2**30}
    assert [s.path for s in api.sent] == ["/api/v1/nodes"], "one look for all of them, and none at pods"


async def test_nodes_are_left_alone_where_their_size_decides_nothing(api: FakeApiServer, observer: Observer) -> None:
    api.put(node("a", "4Gi"))
    assert (await observer.snapshot(objects.model(), profile=None)).largest_node_memory is None
    assert api.sent == []


async def test_nodes_are_read_again_for_a_new_wish_or_a_refused_one(api: FakeApiServer, observer: Observer) -> None:
    api.put(node("a", "4Gi"))
    running = objects.deployment()
    running["metadata"]["ownerReferences"] = [{"uid": objects.UID}]
    key = ("support", "bot")
    observer.children.indices = {"Deployment": {key: [running]}}
    generation = objects.model()["metadata"].get("generation")
    assert await size_seen(observer, observedGeneration=generation) is None, "decided, and it runs"
    assert api.sent == []
    refused = [{"type": "FitsMemory", "status": "False"}]
    assert await size_seen(observer, observedGeneration=generation, conditions=refused) == 4 * 2**30
    assert await size_seen(observer, observedGeneration=-1) == 4 * 2**30


async def test_without_the_right_to_read_nodes_nothing_is_refused(api: FakeApiServer, observer: Observer) -> None:
    api.refuse("GET", "nodes", 403, "Forbidden", "no")
    assert await size_seen(observer) is None


async def test_profiles_by_name(observer: Observer) -> None:
    observer.profiles = {"default": [objects.profile()]}
    assert observer.profile("default") == objects.profile()
    assert observer.profile("other") is None


async def test_how_far_a_download_is_is_asked_of_the_models_own_pods(observer: Observer) -> None:
    asked: list[Any] = []

    async def ask(pods: Any) -> Progress:
        asked.append(pods)
        return Progress(1, 2, None)

    observer.children.indices = {"Pod": {("support", "bot"): [objects.ready()]}}
    assert (await observer.snapshot(objects.model(), profile=None)).progress is None, "nobody can be asked"
    observer.progress = ask
    assert (await observer.snapshot(objects.model(), profile=None)).progress == Progress(1, 2, None)
    assert asked == [(objects.ready(),)]


@pytest.mark.parametrize("role", ["download", "quantize"])
async def test_what_is_used_in_the_claim_is_looked_at_while_a_model_fills_it(observer: Observer, role: str) -> None:
    mount = {"name": "weights", "subPath": "sha256-b"}
    claim = {"name": "weights", "persistentVolumeClaim": {"claimName": "smallmodel-weights"}}
    spec = {"containers": [{"volumeMounts": [mount]}], "volumes": [claim]}
    asleep = {"metadata": {"name": "other"}, "spec": {"template": {"spec": spec}}}
    observer.sources = {
        "support": [
            {"source": {"uri": "https://h/m", "sha256": "a" * 64}, "weights": {"previous": {"folder": "hf-c"}}}
        ],
        "another": [{"source": {"uri": "https://h/m", "sha256": "f" * 64}, "weights": {}}],
    }
    observer.children.indices = {"Deployment": {("support", "other"): [asleep], ("another", "x"): [asleep]}}
    assert (await observer.snapshot(objects.model(), profile=None)).in_use is None
    body = objects.model()
    owner, labels = {"uid": body["metadata"]["uid"]}, {"smallmodel.dev/role": role}
    marks = {"name": "bot-download-1", "ownerReferences": [owner], "labels": labels}
    job = {"kind": "Job", "metadata": marks, "spec": {"template": {"spec": {"containers": []}}}}
    observer.children.indices["Job"] = {("support", "bot"): [job]}
    assert (await observer.snapshot(body, profile=None)).in_use == {f"sha256-{'a' * 64}", "sha256-b", "hf-c"}


async def test_pull_secrets_are_those_of_the_account_that_pods_run_as(api: FakeApiServer, observer: Observer) -> None:
    assert (await observer.snapshot(objects.model(), profile=None, asks_registry=True)).pull_secrets == ()
    meta = {"name": "default", "namespace": "support"}
    named = [{"name": "regcred"}, {}, {"name": "other"}]
    api.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "imagePullSecrets": named})
    found = await observer.snapshot(objects.model(), profile=None, asks_registry=True)
    assert found.pull_secrets == ("regcred", "other")
    api.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    found = await observer.snapshot(objects.model(), profile=None, asks_registry=True)
    assert found.pull_secrets == ("regcred", "other"), "a burst of passes asks once"
