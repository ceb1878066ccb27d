"""Who is waited for among the models that read the same weights."""

from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.objects import NOW
from tests.unit.weights.test_decide import CLAIM, World
from tests.unit.weights.test_jobs import HTTPS, OCI, SHA, built, request

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Object, Progress
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.weights import peers
from smallmodel_operator.weights.decide import artifact, asks

MIRROR = {"uri": "https://mirror.test/m.gguf", "sha256": SHA}
MOVES = Progress(1000, 4000, 30)
SILENT = Progress(0, 0, None, Reason.SOURCE_UNREACHABLE.value, "weights.test does not answer.")


def peer(
    name: str = "aaa", uri: str = HTTPS["uri"], phase: str = "Running", seconds: float = 5, **status: Any
) -> Object:
    """Pod of that model's Job for the same weights."""
    changes = {"sha256": SHA} if uri.startswith("https") else {}
    template = built(uri, name=name, **changes)["spec"]["template"]
    began = (NOW - timedelta(seconds=seconds)).isoformat()
    meta = {"name": f"{name}-1", "labels": template["metadata"]["labels"]}
    return {"metadata": meta, "spec": template["spec"], "status": {"phase": phase, "startTime": began, **status}}


def world(*pods: Object, uri: str = MIRROR["uri"], names: tuple[str, ...] = ("aaa",), **said: Progress) -> World:
    wish = request(uri, sha256=SHA if uri.startswith("https") else "")
    here = {"claims": {WEIGHTS_CLAIM: CLAIM}, "inspecting": {artifact(wish): names}}
    return World(wish, **here, peer_pods=pods, peer_progress=said)


def begins(of: World) -> bool:
    """Whether the model makes a Job of its own; else it says for whom it waits."""
    verdict = of.step()
    if not verdict.part.objects:
        assert isinstance(verdict.problem, NotYet | Refused)
    return bool(verdict.part.objects)


def test_a_peer_that_gets_on_is_waited_for_whatever_its_source() -> None:
    waiting = world(peer(), aaa=MOVES)
    assert not begins(waiting)
    assert "SmallModel 'aaa' downloads the same weights." in str(waiting.step().problem)


def test_a_peer_whose_source_does_not_answer_keeps_nobody_with_another_one() -> None:
    assert begins(world(peer(), aaa=SILENT))
    assert not begins(world(peer(), uri=HTTPS["uri"], aaa=SILENT)), "the same server answers neither"


def test_a_peer_that_ended_without_the_weights_is_not_waited_for() -> None:
    assert begins(world(peer(phase="Failed")))
    assert not begins(world(peer(phase="Succeeded"))), "what it found is about to be told"


def test_a_job_that_is_about_to_begin_is_waited_for() -> None:
    assert not begins(world())
    assert not begins(world(peer(phase="Pending")))


def test_of_a_peer_that_cannot_be_asked_a_minute_is_believed() -> None:
    """The operator runs outside the cluster, or nobody is let in; the claim's lock keeps the file from coming twice."""
    assert not begins(world(peer(seconds=30)))
    assert begins(world(peer(seconds=61)))


def test_the_one_that_gets_on_counts_among_several() -> None:
    """Three mirrors: the first is dead, the second delivers, the third waits for the second."""
    first, second = peer(), peer("bbb", "https://third.test/m.gguf")
    waiting = world(first, second, names=("aaa", "bbb"), aaa=SILENT, bbb=MOVES)
    assert not begins(waiting)
    assert "'bbb'" in str(waiting.step().problem)
    assert begins(world(first, second, names=("aaa", "bbb"), aaa=SILENT, bbb=SILENT))


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}}]},
        {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "no node"}]},
    ],
)
def test_a_peer_whose_image_does_not_come_keeps_nobody_with_another_registry(status: dict[str, Any]) -> None:
    stuck = peer(uri=OCI, phase="Pending", **status)
    assert begins(world(stuck, uri=OCI.replace("registry.test", "mirror.test")))
    assert not begins(world(stuck, uri=OCI)), "what keeps its Job keeps this one"
    assert not begins(world(peer(uri=OCI, phase="Pending"), uri=OCI.replace("registry.test", "mirror.test")))


SOURCES: list[tuple[str, dict[str, str]]] = [
    (OCI, {}),
    (HTTPS["uri"], {"sha256": SHA}),
    ("s3://models/m.gguf", {"sha256": SHA, "store": "https://s3.test", "store_region": "eu-1"}),
    (f"hf://org/bot@{SHA[:40]}/bot.gguf", {"hub": "https://hub.test"}),
    (f"hf://org/bot@{SHA[:40]}/bot.gguf", {"hub": "https://hub.test", "sha256": SHA}),
    ("pvc://models/m.gguf", {}),
]


@pytest.mark.parametrize(("uri", "changes"), SOURCES)
def test_what_a_model_would_ask_is_what_its_job_asks(uri: str, changes: dict[str, str]) -> None:
    job = built(uri, **changes)
    assert asks(request(uri, **changes)) == peers.asked_by(job["spec"]["template"])


def test_no_two_sources_ask_the_same() -> None:
    said = [asks(request(uri, **changes)) for uri, changes in SOURCES]
    assert len(set(said)) == len(said) - 1, "with its SHA-256 or without, the hub is asked for the same file"


def test_a_store_that_is_not_set_up_is_asked_nothing() -> None:
    assert asks(request("s3://models/m.gguf", sha256=SHA)) == ""
