"""Where the finding-out stands, pass by pass: a small cluster of one model in which Jobs end as the test says."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fakes.objects import NOW
from tests.unit.weights.test_jobs import HTTPS, OCI, request
from tests.unit.weights.test_result import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Capabilities, Object, Progress, Snapshot, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import key_of
from smallmodel_operator.weights import jobs, result
from smallmodel_operator.weights.decide import RECHECK_SECONDS, UNFILLED_SECONDS, artifact, claims, decide, goes_to
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict

PVC = "pvc://models/m.gguf"
CLAIM = {"metadata": {"name": WEIGHTS_CLAIM, "uid": "uid-1"}}
BAD = result.Failure(Reason.WEIGHTS_INVALID, "The file is cut short.")
LOST = result.Failure(Reason.DOWNLOAD_FAILED, "No answer.", passing=True)


class World:
    """One model, its Jobs and their pods; `step` is one reconcile, pruning included."""

    def __init__(self, wish: WeightsRequest, **snapshot: Any) -> None:
        self.wish = wish
        self.snapshot = Snapshot(now=NOW, **snapshot)

    def step(self, seconds: float = 0) -> WeightsVerdict:
        self.snapshot = replace(self.snapshot, now=self.snapshot.now + timedelta(seconds=seconds))
        verdict = decide(self.wish, self.snapshot)
        children = {key_of(o): self.snapshot.children.get(key_of(o), o) for o in verdict.part.objects}
        (report,) = verdict.part.reports
        assert report.condition is Condition.WEIGHTS_READY
        assert (report.status is True) == (verdict.problem is None)
        status = {True: "True", False: "False", None: "Unknown"}[report.status]
        condition = {
            "type": "WeightsReady", "status": status, "reason": report.reason.value, "message": report.message,
        }  # fmt: skip
        self.snapshot = replace(self.snapshot, children=children, previous_status={"conditions": [condition]})
        return verdict

    @property
    def job(self) -> Object:
        (job,) = (o for (kind, _), o in self.snapshot.children.items() if kind == "Job")
        return job

    def end(self, said: WeightsFacts | result.Failure | str, kind: str = "") -> None:
        """The Job's pod ends with this message."""
        text = said if isinstance(said, str) else result.encode(said)
        kind = kind or ("Complete" if isinstance(said, WeightsFacts) else "Failed")
        stamp = self.snapshot.now.isoformat()
        job = {**self.job, "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": stamp}]}}
        self.pod({"containerStatuses": [{"state": {"terminated": {"message": text}}}]})
        self.snapshot = replace(self.snapshot, children={key_of(job): job})

    def pod(self, status: dict[str, Any], job: str = "") -> None:
        labels = {**self.job["metadata"]["labels"], "batch.kubernetes.io/job-name": job or self.job["metadata"]["name"]}
        meta = {"name": f"p{len(self.snapshot.pods)}", "labels": labels, "creationTimestamp": f"{self.snapshot.now}"}
        self.snapshot = replace(self.snapshot, pods=(*self.snapshot.pods, {"metadata": meta, "status": status}))


def of_claim(**changes: Any) -> World:
    return World(request(PVC, **changes), claims={"models": {"metadata": {"name": "models"}}})


def test_known_weights_need_no_job() -> None:
    wish = request()
    verdict = World(wish, inspected={artifact(wish): FACTS}).step()
    assert verdict.part.objects == ()
    assert (verdict.blocking, verdict.problem) == (False, None)
    assert verdict.model_path == "/weights/m.gguf"
    assert verdict.part.reports[0].reason is Reason.INSPECTED
    assert "Q4_K_M llama" in verdict.part.reports[0].message


def test_unknown_weights_are_inspected_once_and_then_known() -> None:
    world = World(request())
    verdict = world.step()
    assert verdict.blocking
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.INSPECTING
    name = world.job["metadata"]["name"]
    world.step(5)
    assert world.job["metadata"]["name"] == name
    world.end(FACTS)
    verdict = world.step()
    assert (verdict.facts, verdict.problem, verdict.part.objects) == (FACTS, None, ())


def test_a_declared_request_does_not_wait_where_the_file_is_named() -> None:
    assert not World(request(memory_declared=True, path="m.gguf")).step().blocking
    assert World(request(memory_declared=True)).step().blocking, "nobody knows the file's name yet"
    assert World(request(path="m.gguf")).step().blocking


def test_a_peer_that_inspects_the_same_is_waited_for() -> None:
    wish = request()
    verdict = World(wish, inspecting={artifact(wish): "aaa"}).step()
    assert verdict.part.objects == ()
    assert isinstance(verdict.problem, NotYet)
    assert "'aaa'" in str(verdict.problem)


def test_bad_weights_of_an_image_are_final() -> None:
    world = World(request())
    world.step()
    world.end(BAD)
    name = world.job["metadata"]["name"]
    for seconds in (0, 60, 86400):
        verdict = world.step(seconds)
        assert isinstance(verdict.problem, Refused)
        assert verdict.problem.reason is Reason.WEIGHTS_INVALID
        assert "cut short" in verdict.problem.message
        assert verdict.problem.recheck_seconds is None
        assert world.job["metadata"]["name"] == name, "the Job stays: it remembers the verdict"


@pytest.mark.parametrize("sha256", ["", "b" * 64])
def test_bad_weights_in_a_claim_are_looked_at_again_without_flapping(sha256: str) -> None:
    world = of_claim(sha256=sha256)
    world.step()
    world.end(BAD)
    verdict = world.step(1)
    assert isinstance(verdict.problem, Refused)
    assert 0 < (verdict.problem.recheck_seconds or 0) <= RECHECK_SECONDS
    first = world.job["metadata"]["name"]
    for seconds in (RECHECK_SECONDS, 1, 1):
        verdict = world.step(seconds)
        assert isinstance(verdict.problem, Refused)
        assert verdict.problem.message == BAD.message
    assert world.job["metadata"]["name"] != first
    world.end(FACTS)
    assert world.step().problem is None, "the file was replaced"


def test_what_may_pass_is_tried_again_after_growing_pauses() -> None:
    world = of_claim()
    pauses = []
    world.step()
    for _ in range(9):
        world.end(LOST)
        verdict = world.step()
        assert isinstance(verdict.problem, NotYet)
        assert "No answer. Trying again." in str(verdict.problem)
        pauses.append(verdict.problem.after_seconds)
        before = world.job["metadata"]["name"]
        world.step(verdict.problem.after_seconds - 1)
        assert world.job["metadata"]["name"] == before
        world.step(1)
        assert world.job["metadata"]["name"] != before
    assert pauses == sorted(pauses)
    assert pauses[0] == 10
    assert pauses[-1] == 600


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_that_left_no_result_is_tried_again(kind: str) -> None:
    world = World(request())
    world.step()
    world.end("Killed", kind)
    verdict = world.step()
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.INSPECTION_FAILED


def test_the_youngest_pod_with_a_result_counts() -> None:
    world = World(request())
    world.step()
    world.pod({"containerStatuses": [{"state": {"terminated": {"message": result.encode(LOST)}}}]})
    world.snapshot = replace(world.snapshot, now=NOW + timedelta(seconds=9))
    world.end(FACTS)
    assert world.step().facts == FACTS


def waiting(message: str, reason: str = "ImagePullBackOff") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


def test_weights_that_cannot_be_pulled_are_named() -> None:
    world = World(request())
    world.step()
    world.pod(waiting(f'Back-off pulling image "registry.test/m@sha256:{"b" * 64}": not found'))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.IMAGE_PULL_FAILED
    assert verdict.problem.message.startswith("The weights cannot be pulled: Back-off")
    assert verdict.problem.recheck_seconds


def test_the_operators_own_image_that_cannot_be_pulled_is_not_called_weights() -> None:
    world = of_claim()
    world.step()
    world.pod(waiting('Back-off pulling image "op:1"'))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert "the operator's own image" in verdict.problem.message


def test_the_trouble_of_another_jobs_pod_is_not_ours() -> None:
    world = World(request())
    world.step()
    world.pod(waiting("of the image the user has corrected since"), job="bot-inspect-00000000")
    assert isinstance(world.step().problem, NotYet)


def test_a_pod_that_is_set_up_for_long_says_where_to_look() -> None:
    world = World(request())
    world.step()
    world.pod({"startTime": NOW.isoformat(), **waiting("", "ContainerCreating")})
    assert "kubectl describe" not in str(world.step(30).problem)
    slow = world.step(31)
    assert isinstance(slow.problem, NotYet)
    assert "`kubectl describe pod p0`" in str(slow.problem)
    assert str(world.step(300).problem) == str(slow.problem), "the same words: time alone makes no write"


def test_no_node_for_the_inspection() -> None:
    world = of_claim()
    world.step()
    unbound = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "unbound claims"}
    world.pod({"conditions": [unbound]})
    verdict = world.step()
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.UNSCHEDULABLE
    assert "unbound claims" in str(verdict.problem)


def test_a_claim_that_is_not_there_is_looked_for_again() -> None:
    with pytest.raises(Refused) as caught:
        decide(request(PVC), Snapshot(now=NOW))
    assert caught.value.reason is Reason.CLAIM_NOT_FOUND
    assert caught.value.recheck_seconds
    assert "'models'" in caught.value.message


def test_a_cluster_without_image_volumes_names_the_other_ways() -> None:
    with pytest.raises(Refused) as caught:
        decide(request(OCI), Snapshot(now=NOW, capabilities=Capabilities("v1.31.2", image_volumes=False)))
    assert caught.value.reason is Reason.FEATURE_MISSING
    for said in ("v1.31.2", "ImageVolume", "pvc://", "https://"):
        assert said in caught.value.message


DOWNLOADED = replace(FACTS, artifact="sha256:" + "b" * 64, file="model.gguf", claim="uid-1")


def test_a_download_makes_its_claim_first_and_keeps_it() -> None:
    wish = request(**HTTPS)
    assert claims(wish) == (WEIGHTS_CLAIM,)
    world = World(wish)
    verdict = world.step()
    assert [o["kind"] for o in verdict.part.kept] == ["PersistentVolumeClaim"]
    assert verdict.part.objects == ()
    world.snapshot = replace(world.snapshot, claims={WEIGHTS_CLAIM: CLAIM})
    verdict = world.step()
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.DOWNLOADING
    assert "-download-" in world.job["metadata"]["name"]
    world.end(DOWNLOADED)
    verdict = world.step()
    assert verdict.facts == DOWNLOADED
    assert verdict.part.kept, "kept also when everything is known"
    assert verdict.mount["subPath"].startswith("sha256-")


def test_a_download_is_always_waited_for() -> None:
    assert World(request(**HTTPS, memory_declared=True), claims={WEIGHTS_CLAIM: CLAIM}).step().blocking


def test_a_claim_made_anew_is_downloaded_into_again() -> None:
    wish = request(**HTTPS)
    known = {artifact(wish): DOWNLOADED}
    assert World(wish, claims={WEIGHTS_CLAIM: CLAIM}, inspected=known).step().problem is None
    other = {"metadata": {"name": WEIGHTS_CLAIM, "uid": "uid-2"}}
    world = World(wish, claims={WEIGHTS_CLAIM: other}, inspected=known)
    assert isinstance(world.step().problem, NotYet)
    assert "uid-2" in world.job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert isinstance(World(wish, inspected=known).step().problem, NotYet), "no claim at all"


def claim_of(uid: str) -> dict[str, Any]:
    return {"models": {"metadata": {"name": "models", "uid": uid}}}


@pytest.mark.parametrize("sha256", ["", "b" * 64])
def test_what_is_known_of_a_claim_holds_for_that_claim_only(sha256: str) -> None:
    wish = request(PVC, sha256=sha256)
    known = {artifact(wish): replace(FACTS, artifact=artifact(wish), claim="uid-1")}
    assert World(wish, claims=claim_of("uid-1"), inspected=known).step().problem is None
    world = World(wish, claims=claim_of("uid-2"), inspected=known)
    assert isinstance(world.step().problem, NotYet), "a claim made anew holds other files"
    assert world.job["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["--claim", "uid-2"]


def test_what_a_release_without_uids_remembered_is_bound_to_the_claim_there_is() -> None:
    """Reading it again could wait for ever for a disk that the running pods hold."""
    wish = request(PVC)
    old = replace(FACTS, artifact=artifact(wish), claim="")
    verdict = World(wish, claims=claim_of("uid-1"), inspected={old.artifact: old}).step()
    assert verdict.problem is None
    assert verdict.facts == replace(old, claim="uid-1")


@pytest.mark.parametrize("wish", [request(PVC), request(**HTTPS)])
def test_what_a_job_found_in_a_claim_that_is_gone_is_found_out_again(wish: WeightsRequest) -> None:
    (name,) = claims(wish)
    world = World(wish, claims={name: {"metadata": {"name": name, "uid": "uid-1"}}})
    world.step()
    world.end(replace(FACTS, artifact=artifact(wish), claim="uid-1"))
    world.snapshot = replace(world.snapshot, claims={name: {"metadata": {"name": name, "uid": "uid-2"}}})
    verdict = world.step()
    assert verdict.facts is None
    assert "uid-2" in world.job["spec"]["template"]["spec"]["containers"][0]["args"]


def running(since: datetime) -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"running": {"startedAt": since.isoformat()}}}]}


def test_a_pull_may_take_as_long_as_it_takes() -> None:
    world = World(request())
    world.step()
    name = world.job["metadata"]["name"]
    world.pod({"startTime": NOW.isoformat(), **waiting("", "ContainerCreating")})
    for _ in range(4):
        verdict = world.step(6 * 3600)
        assert isinstance(verdict.problem, NotYet)
        assert verdict.problem.reason is Reason.INSPECTING
        assert "waits for an image or a volume" in str(verdict.problem)
        assert world.job["metadata"]["name"] == name


def test_reading_that_does_not_end_is_begun_anew() -> None:
    world = World(request())
    world.step()
    first = world.job["metadata"]["name"]
    world.snapshot = replace(world.snapshot, now=NOW + timedelta(hours=6))
    world.pod(running(world.snapshot.now))
    world.step(jobs.INSPECT_SECONDS - 1)
    assert world.job["metadata"]["name"] == first, "counted from the container's start, not from the Job's"
    verdict = world.step(2)
    assert world.job["metadata"]["name"] != first
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.INSPECTION_FAILED
    assert "15 minutes" in str(verdict.problem)
    assert world.step(1).problem.reason is Reason.INSPECTING


def test_a_large_pinned_file_may_be_read_for_longer() -> None:
    world = World(request(PVC, sha256="b" * 64), claims=claim_of("uid-1"))
    world.step()
    first = world.job["metadata"]["name"]
    world.pod(running(NOW))
    world.step(jobs.INSPECT_SECONDS + 1)
    assert world.job["metadata"]["name"] == first
    world.step(jobs.HASH_SECONDS)
    assert world.job["metadata"]["name"] != first


@pytest.mark.parametrize("text", ["²", "x", "-1", "", "9" * 5000])
def test_an_attempt_somebody_wrote_stops_nothing(text: str) -> None:
    world = World(request())
    world.step()
    job = {**world.job, "metadata": {**world.job["metadata"], "annotations": {jobs.ANNOTATION_ATTEMPT: text}}}
    world.snapshot = replace(world.snapshot, children={key_of(job): job})
    assert isinstance(world.step().problem, NotYet)


def test_a_download_the_user_must_see_to_is_tried_again_later() -> None:
    world = World(request(**HTTPS), claims={WEIGHTS_CLAIM: CLAIM})
    world.step()
    world.end(result.Failure(Reason.DOWNLOAD_FAILED, "The claim is full."))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.recheck_seconds, "enlarging the claim changes no SmallModel"
    mismatch = World(request(**HTTPS), claims={WEIGHTS_CLAIM: CLAIM})
    mismatch.step()
    mismatch.end(result.Failure(Reason.DIGEST_MISMATCH, "It differs."))
    verdict = mismatch.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.recheck_seconds is None, "gigabytes are not fetched again and again"


def test_another_operator_image_makes_another_job_and_no_second_attempt() -> None:
    world = World(request())
    world.step()
    first = world.job["metadata"]["name"]
    world.wish = request(job_image="op:2")
    world.step()
    assert world.job["metadata"]["name"] != first
    assert world.job["metadata"]["annotations"]["smallmodel.dev/attempt"] == "0"


@pytest.mark.parametrize(
    ("uri", "says"), [(PVC, "PersistentVolumeClaim 'models' as 'm.gguf'"), ("pvc://models/bots", "under 'bots'")]
)
def test_a_claim_nobody_filled_says_what_goes_where_and_is_looked_at_soon(uri: str, says: str) -> None:
    world = World(request(uri=uri, path=""), claims={"models": {"metadata": {"uid": "uid-1"}}})
    world.step()
    world.end(result.Failure(Reason.WEIGHTS_NOT_FOUND, "There is no file 'm.gguf' in the source (it is empty)."))
    problem = world.step(10).problem
    assert isinstance(problem, Refused)
    assert "it is empty" in problem.message
    assert says in problem.message
    assert "kubectl cp" in problem.message
    first = world.job["metadata"]["name"]
    world.step(UNFILLED_SECONDS)
    assert world.job["metadata"]["name"] != first


def test_why_a_pod_broke_off_is_said_until_the_next_one_runs() -> None:
    world = World(request(**HTTPS), claims={WEIGHTS_CLAIM: CLAIM})
    world.step()
    down = result.Failure(Reason.SOURCE_UNREACHABLE, "weights.test is down.", passing=True)
    world.pod({"containerStatuses": [{"state": {"terminated": {"message": result.encode(down)}}}]})
    problem = world.step().problem
    assert isinstance(problem, NotYet)
    assert (problem.reason, problem.message) == (Reason.SOURCE_UNREACHABLE, "weights.test is down. Trying again.")
    world.snapshot = replace(world.snapshot, now=NOW + timedelta(seconds=9))
    world.pod({"containerStatuses": [{"state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}}]})
    problem = world.step().problem
    assert isinstance(problem, NotYet)
    assert problem.reason is Reason.DOWNLOADING


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    world = World(request(**HTTPS), claims={WEIGHTS_CLAIM: CLAIM})
    world.step()
    first = world.job["metadata"]["name"]
    world.end(result.Failure(Reason.SOURCE_RATE_LIMITED, "Too often.", passing=True, after_seconds=3600))
    assert world.step(3599).problem is not None
    assert world.job["metadata"]["name"] == first
    world.step(1)
    assert world.job["metadata"]["name"] != first


def test_how_far_a_download_is_stands_in_the_status_while_it_runs() -> None:
    world = World(request(**HTTPS), claims={WEIGHTS_CLAIM: CLAIM})
    assert world.step().part.status == {}
    world.snapshot = replace(world.snapshot, progress=Progress(2**30, 2**32, 600))
    verdict = world.step()
    assert verdict.part.status["download"]["percent"] == 25
    assert isinstance(verdict.problem, NotYet)
    assert "25 % of 4.0 GiB, 10 min left" in verdict.problem.message
    assert verdict.problem.after_seconds == 5
    world.snapshot = replace(world.snapshot, progress=Progress(2**30, 2**32, 600, "SourceStalled", "Nothing comes."))
    problem = world.step().problem
    assert isinstance(problem, NotYet)
    assert problem.reason is Reason.SOURCE_STALLED
    world.end(DOWNLOADED)
    world.snapshot = replace(world.snapshot, progress=None)
    assert world.step().part.status == {}


HUB = {"uri": f"hf://org/bot@{'c' * 40}/bot.gguf"}


def test_what_a_hub_said_once_is_asked_for_ever_after() -> None:
    world = World(request(**HUB), claims={WEIGHTS_CLAIM: CLAIM})
    world.step()
    assert "--sha256" not in world.job["spec"]["template"]["spec"]["containers"][0]["args"]
    found = replace(FACTS, artifact=artifact(world.wish), file="model.gguf", claim="uid-1", sha256="d" * 64)
    world.end(found)
    assert world.step().facts == found
    another = {"metadata": {"name": WEIGHTS_CLAIM, "uid": "uid-2"}}
    anew = World(world.wish, claims={WEIGHTS_CLAIM: another}, inspected={found.artifact: found})
    anew.step()
    args = anew.job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--sha256") + 1] == "d" * 64


@pytest.mark.parametrize(
    ("wish", "address"),
    [
        ({}, ""),
        (HTTPS, HTTPS["uri"]),
        (HUB, "https://huggingface.co"),
        ({**HUB, "hub": "https://hub.models.svc"}, "https://hub.models.svc"),
        ({**HUB, "proxy": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ({**HUB, "proxy": "http://proxy.test:3128", "no_proxy": "huggingface.co"}, "https://huggingface.co"),
        ({**HUB, "hub": "https://h.svc:8443", "proxy": "http://p.test", "no_proxy": ".svc"}, "https://h.svc:8443"),
    ],
)
def test_a_download_has_one_address_to_reach(wish: dict[str, Any], address: str) -> None:
    assert goes_to(request(**wish)) == address
