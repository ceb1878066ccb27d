"""Where the finding-out stands, pass by pass: a small cluster of one model in which Jobs end as the test says."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fakes.objects import NOW
from tests.unit.weights.test_jobs import HTTPS, OCI, request
from tests.unit.weights.test_result import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import LABEL_ARTIFACT, LABEL_MODEL, WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Object, Progress, Snapshot, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import key_of
from smallmodel_operator.weights import jobs, result
from smallmodel_operator.weights.decide import artifact, asks_registry, claims, decide, downloaded, goes_to
from smallmodel_operator.weights.types import WeightsRequest, WeightsVerdict
from smallmodel_operator.weights.work import RECHECK_SECONDS, UNFILLED_SECONDS

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
    warned = {"memory_declared": True, "enforce_template": False}
    assert not World(request(**warned, path="m.gguf")).step().blocking
    assert World(request(**warned)).step().blocking, "nobody knows the file's name yet"
    assert not World(request(memory_declared=True, path="m.gguf")).step().blocking
    looked = request(memory_declared=True, path="m.gguf", wait_for_template=True)
    assert World(looked).step().blocking, "its template may be hostile"
    signed = request(**warned, path="m.gguf", verification="keys/release.pub")
    assert World(signed).step().blocking, "it may not be the signer's"
    assert World(request(path="m.gguf")).step().blocking


def test_a_peer_that_inspects_the_same_is_waited_for() -> None:
    wish = request()
    verdict = World(wish, inspecting={artifact(wish): ("aaa",)}).step()
    assert verdict.part.objects == ()
    assert isinstance(verdict.problem, NotYet)
    assert "'aaa'" in str(verdict.problem)


def test_what_keeps_a_peer_from_inspecting_is_said_of_all_that_wait_for_it() -> None:
    """The second model with a wrong digest was told that nothing needs the user."""
    wish = request()
    first = World(wish)
    first.step()
    template = first.job["spec"]["template"]
    labels = {**template["metadata"]["labels"], LABEL_MODEL: "aaa"}
    refused = waiting(f'Back-off pulling image "registry.test/m@sha256:{"b" * 64}": not found')
    pod = {"metadata": {"name": "aaa-inspect", "labels": labels}, "spec": template["spec"], "status": refused}
    verdict = World(wish, inspecting={artifact(wish): ("aaa",)}, peer_pods=(pod,)).step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.SOURCE_NOT_FOUND
    other = ({**pod, "metadata": {"name": "aaa-inspect", "labels": {**labels, LABEL_ARTIFACT: "00000000"}}},)
    assert isinstance(World(wish, inspecting={artifact(wish): ("aaa",)}, peer_pods=other).step().problem, NotYet)


@pytest.mark.parametrize(
    ("uri", "name", "way"),
    [
        (PVC, "models", "Copy what it holds into another claim while pods still mount it, and name that one in `spec"),
        (HTTPS["uri"], WEIGHTS_CLAIM, "`kubectl describe pvc smallmodel-weights` names their pods"),
    ],
)
def test_a_claim_that_is_deleted_under_running_models_names_the_way_out(uri: str, name: str, way: str) -> None:
    wish = request(uri, sha256=HTTPS["sha256"] if uri != PVC else "")
    going = {"metadata": {"name": name, "uid": "uid-1", "deletionTimestamp": "2026-11-21T12:00:00Z"}}
    known = {artifact(wish): replace(FACTS, artifact=artifact(wish), claim="uid-1")}
    with pytest.raises(Refused, match="was deleted and goes as soon as no pod mounts it") as refused:
        decide(wish, Snapshot(now=NOW, claims={name: going}, inspected=known))
    assert refused.value.reason is Reason.CLAIM_DELETED
    assert refused.value.recheck_seconds is not None, "it is seen when it has gone"
    assert way in str(refused.value)
    assert "`spec.suspend: true`" in str(refused.value)


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
        assert verdict.problem.message == f"{BAD.message} It is tried again every 10 minutes by itself."
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
    assert verdict.problem.reason is Reason.SOURCE_NOT_FOUND
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


def copying(**changes: Any) -> World:
    """An image where nodes cannot mount one."""
    return World(request(OCI, image_volumes=False, **changes), claims={WEIGHTS_CLAIM: CLAIM}, pull_secrets=("regcred",))


def test_without_image_volumes_an_image_is_copied_and_served_from_the_claim() -> None:
    world = copying(path="m.gguf", memory_declared=True)
    assert claims(world.wish) == (WEIGHTS_CLAIM,)
    assert artifact(world.wish) == artifact(request(OCI, path="m.gguf")), "the files are the same"
    first = world.step()
    assert first.blocking, "they are not there yet"
    assert isinstance(first.problem, NotYet)
    assert first.problem.reason is Reason.DOWNLOADING
    assert goes_to(world.wish) == "https://registry.test/v2/m"
    world.end(replace(FACTS, artifact=artifact(world.wish), claim="uid-1"))
    served = world.step()
    assert (served.problem, served.blocking, served.model_path) == (None, False, "/weights/m.gguf")
    assert served.volume["persistentVolumeClaim"] == {"claimName": WEIGHTS_CLAIM, "readOnly": True}
    assert served.mount["subPath"] == f"oci-{OCI[-64:]}/files"
    assert served.facts is not None
    assert served.facts.folder == f"oci-{OCI[-64:]}", "so that it is not evicted"


def test_what_was_mounted_is_copied_when_image_volumes_go_and_the_other_way_round() -> None:
    mounted = replace(FACTS, artifact=artifact(request(OCI)))
    lost = copying()
    lost.snapshot = replace(lost.snapshot, inspected={mounted.artifact: mounted})
    assert isinstance(lost.step().problem, NotYet), "nothing of it lies in the claim"
    copied = replace(mounted, claim="uid-1")
    found = World(request(OCI), inspected={copied.artifact: copied}).step()
    assert (found.problem, found.part.objects) == (None, ())
    assert found.volume["image"]["reference"] == OCI.removeprefix("oci://")


def test_a_registry_that_lies_is_asked_again_for_a_copy() -> None:
    world = copying()
    world.step()
    world.end(result.Failure(Reason.DIGEST_MISMATCH, "registry.test sends something else."))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.recheck_seconds


def test_a_copied_image_is_no_single_file_and_its_type_may_be_chosen() -> None:
    wish = copying().wish
    assert not downloaded(wish)
    assert downloaded(request(**HTTPS))
    assert asks_registry(wish)
    assert not asks_registry(request(OCI))


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
    assert verdict.facts == replace(DOWNLOADED, folder="sha256-" + "b" * 64)
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


FOUND = replace(
    FACTS, chat_template="c" * 64, template_finding="PrivateAttribute in line 3 of `tokenizer.chat_template`"
)


def test_a_template_with_a_finding_is_refused_and_says_how_to_let_it_in() -> None:
    verdict = World(request(), inspected={artifact(request()): FOUND}).step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.UNSAFE_TEMPLATE
    for said in ("`m.gguf`", "PrivateAttribute in line 3", "c" * 64, "spec.checks.allowedChatTemplates"):
        assert said in verdict.problem.message
    assert verdict.blocking
    assert verdict.facts is None, "the status describes what serves, which may be the version before"


@pytest.mark.parametrize("wish", [request(enforce_template=False), request(allowed_templates=("c" * 64,))])
def test_a_finding_is_served_with_a_warning_or_when_it_is_allowed(wish: WeightsRequest) -> None:
    verdict = World(wish, inspected={artifact(wish): FOUND}).step()
    assert verdict.problem is None
    warned = "PrivateAttribute in line 3" in verdict.part.reports[0].message
    assert warned == (not wish.enforce_template)


def test_another_template_is_not_allowed_by_the_sum_of_one() -> None:
    wish = request(allowed_templates=("d" * 64,))
    assert World(wish, inspected={artifact(wish): FOUND}).step().blocking


def test_an_unknown_architecture_is_refused_before_a_pod_and_says_the_ways_out() -> None:
    strange = replace(FACTS, architecture="next-big-thing")
    verdict = World(request(), inspected={artifact(request()): strange}).step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.ARCHITECTURE_UNKNOWN
    for said in ("`m.gguf`", "'next-big-thing'", "spec.engine.image", "spec.checks.allowedArchitectures"):
        assert said in verdict.problem.message
    allowed = request(allowed_architectures=("next-big-thing",))
    assert World(allowed, inspected={artifact(allowed): strange}).step().problem is None


SIGNED = {"verification": "keys/release.pub"}
VERIFIED = replace(FACTS, verified_with="keys/release.pub", key_fingerprint="f" * 64)


@pytest.mark.parametrize("known", [FACTS, replace(VERIFIED, verified_with="keys/other.pub")])
def test_what_was_not_verified_with_this_key_is_looked_at_with_it(known: WeightsFacts) -> None:
    wish = request(**SIGNED)
    running = {("Deployment", "bot"): {"metadata": {"name": "bot"}}}
    status = {"weights": {"artifact": artifact(wish)}}
    world = World(wish, inspected={artifact(wish): known}, children=running, previous_status=status)
    verdict = world.step()
    assert verdict.blocking, "what runs stays, and nothing new starts"
    assert verdict.facts is None
    world.end(VERIFIED)
    verdict = world.step()
    assert verdict.facts == VERIFIED
    assert "Signed by the key in Secret keys/release.pub" in verdict.part.reports[0].message


def test_what_is_verified_needs_no_second_look_and_serves_who_asks_for_less() -> None:
    for wish in (request(**SIGNED), request()):
        verdict = World(wish, inspected={artifact(wish): VERIFIED}).step()
        assert (verdict.facts, verdict.part.objects) == (VERIFIED, ())


def test_a_job_that_looked_without_the_key_is_not_believed() -> None:
    world = World(request(**SIGNED))
    world.step()
    world.end(FACTS)
    verdict = world.step()
    assert isinstance(verdict.problem, NotYet)
    assert (verdict.facts, verdict.blocking) == (None, True)
    assert "fewer checks" in str(verdict.problem)
    world.step(verdict.problem.after_seconds)
    assert world.job["metadata"]["annotations"]["smallmodel.dev/attempt"] == "1"


def test_the_job_that_found_something_stays_and_remembers_it() -> None:
    world = World(request())
    world.step()
    world.end(FOUND)
    name = world.job["metadata"]["name"]
    for _ in range(3):
        verdict = world.step(600)
        assert isinstance(verdict.problem, Refused)
        assert world.job["metadata"]["name"] == name
    world.wish = request(allowed_templates=("c" * 64,))
    verdict = world.step()
    assert (verdict.facts, verdict.part.objects) == (FOUND, ())


def test_a_failure_under_another_key_is_not_this_ones() -> None:
    world = World(request(**SIGNED))
    world.step()
    world.end(result.Failure(Reason.SIGNATURE_INVALID, "`model.sig` is not right."))
    assert isinstance(world.step().problem, Refused)
    world.wish = request(verification="keys/newer.pub")
    assert isinstance(world.step().problem, NotYet)


@pytest.mark.parametrize("reason", [Reason.SECRET_NOT_FOUND, Reason.SECRET_INVALID, Reason.SIGNING_KEY_MISMATCH])
def test_a_key_that_is_put_right_is_seen_although_the_image_cannot_change(reason: Reason) -> None:
    world = World(request(**SIGNED))
    world.step()
    world.end(result.Failure(reason, "Put it right."))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.recheck_seconds
    first = world.job["metadata"]["name"]
    world.step(UNFILLED_SECONDS)
    assert world.job["metadata"]["name"] != first


@pytest.mark.parametrize(
    "reason",
    [Reason.UNSAFE_FORMAT, Reason.SIGNATURE_MISSING, Reason.SIGNED_FILE_CHANGED, Reason.SIGNED_FILE_MISSING,
     Reason.FILE_NOT_SIGNED, Reason.SIGNATURE_INVALID],
)  # fmt: skip
def test_what_lies_in_an_image_stays_refused_and_in_a_claim_may_heal(reason: Reason) -> None:
    for world, heals in ((World(request(**SIGNED)), False), (of_claim(**SIGNED), True)):
        world.step()
        world.end(result.Failure(reason, "`a.gguf` is not right."))
        verdict = world.step()
        assert isinstance(verdict.problem, Refused)
        assert verdict.problem.reason is reason
        assert bool(verdict.problem.recheck_seconds) == heals


OLD = replace(FACTS, checks=0)


def served(wish: WeightsRequest) -> World:
    """A model that an earlier release let in and that serves."""
    status = {"weights": {"artifact": artifact(wish)}}
    running = {("Deployment", "bot"): {"kind": "Deployment", "metadata": {"name": "bot"}}}
    return World(wish, inspected={artifact(wish): OLD}, children=running, previous_status=status)


def test_what_an_earlier_release_let_in_serves_while_it_is_looked_at_again() -> None:
    verdict = served(request()).step()
    assert (verdict.facts, verdict.blocking, verdict.problem) == (OLD, False, None)
    assert [o["kind"] for o in verdict.part.objects] == ["Job"]


@pytest.mark.parametrize("elsewhere", [{}, {"weights": {"artifact": "sha256:other"}}])
def test_what_does_not_serve_yet_waits_for_the_checks_of_this_release(elsewhere: dict[str, Any]) -> None:
    """A peer's knowledge from before this release, or a model that changes to such weights."""
    world = served(request())
    world.snapshot = replace(world.snapshot, previous_status=elsewhere)
    assert world.step().blocking


def test_what_the_second_look_finds_takes_effect() -> None:
    for said, problem in ((FOUND, Reason.UNSAFE_TEMPLATE), (BAD, Reason.WEIGHTS_INVALID), (FACTS, None)):
        world = served(request())
        world.step()
        world.end(said)
        world.snapshot = replace(
            world.snapshot,
            children={**world.snapshot.children, ("Deployment", "bot"): {"metadata": {"name": "bot"}}},
            previous_status={"weights": {"artifact": artifact(request())}},
        )
        verdict = world.step()
        assert (verdict.problem.reason if verdict.problem else None) == problem
        assert verdict.blocking == (problem is not None)
        assert (verdict.facts is None) == (problem is not None)


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
    known = world.step().facts
    assert known is not None
    assert replace(known, folder="") == found
    assert known.folder.startswith("hf-")
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
        (
            {"uri": "s3://models/m.gguf", "sha256": "b" * 64, "store": "https://s3.test"},
            "https://s3.test/models/m.gguf",
        ),
        ({**HUB, "hub": "https://hub.models.svc"}, "https://hub.models.svc"),
        ({**HUB, "proxy": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ({**HUB, "proxy": "http://proxy.test:3128", "no_proxy": "huggingface.co"}, "https://huggingface.co"),
        ({**HUB, "hub": "https://h.svc:8443", "proxy": "http://p.test", "no_proxy": ".svc"}, "https://h.svc:8443"),
    ],
)
def test_a_download_has_one_address_to_reach(wish: dict[str, Any], address: str) -> None:
    assert goes_to(request(**wish)) == address
