"""From a survey to the file that serves: what is planned, said and remembered on the way."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import LABEL_ROLE, ROLE_QUANTIZE
from smallmodel_operator.control import concerns
from smallmodel_operator.core.facts import Object, Snapshot, Survey, Variant
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import key_of
from smallmodel_operator.core.units import MIB
from smallmodel_operator.resolve import Resolved, Site, parse, resolve
from smallmodel_operator.weights import result

CLAIM = {"models": {"metadata": {"name": "models", "uid": "u1"}}}
HELD = (Variant("Q8_0", "bot/q8.gguf", 600 * MIB, 0), Variant("Q4_K_M", "bot/q4.gguf", 300 * MIB, 0))
SURVEY = Survey(replace(FACTS, claim="u1", tensor_bytes=600 * MIB), HELD)


def resolved(limit: str = "1Gi", accept: tuple[str, ...] = ("Q8_0", "Q4_K_M"), **spec: Any) -> Resolved:
    wish = {
        "source": {"uri": "pvc://models/bot"},
        "quantization": {"method": "GGUF", "accept": list(accept)},
        "compute": {"resources": {"limits": {"memory": limit}}},
        **spec,
    }
    body = objects.model(**wish)
    return resolve(body, parse(body), objects.profile(), Site())


class World:
    """A claim, the Jobs that look into it, and the status that is written after each pass."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(now=objects.NOW, claims=CLAIM)

    def step(self, wish: Resolved) -> concerns.Decision:
        made = concerns.decide(wish, self.snapshot)
        stays = {k: o for k, o in self.snapshot.children.items() if k[0] != "Job"}  # Jobs always go, see Applier
        children = {} if made.plan.prune else stays
        children |= {key_of(o): {**self.snapshot.children.get(key_of(o), {}), **o} for o in made.plan.objects}
        status = {**self.snapshot.previous_status, **made.plan.status}
        self.snapshot = replace(self.snapshot, children=children, previous_status=status)
        return made

    def jobs(self) -> list[Object]:
        return [o for (kind, _), o in self.snapshot.children.items() if kind == "Job"]

    def ends(self, job: Object, said: result.Said) -> None:
        """A Job of the world ends with this result."""
        name, labels = job["metadata"]["name"], job["metadata"]["labels"]
        done = {**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        state = {"terminated": {"exitCode": 0, "message": result.encode(said)}}
        pod = {
            "metadata": {"name": f"{name}-x", "labels": {**labels, "batch.kubernetes.io/job-name": name}},
            "status": {"containerStatuses": [{"name": "weights", "state": state}]},
        }
        children = {**self.snapshot.children, ("Job", name): done}
        self.snapshot = replace(self.snapshot, children=children, pods=(*self.snapshot.pods, pod))


def surveyed(wish: Resolved, survey: Survey = SURVEY) -> World:
    world = World()
    world.step(wish)
    (job,) = world.jobs()
    world.ends(job, survey)
    return world


def report(decision: concerns.Decision, condition: Condition = Condition.QUANTIZED) -> Any:
    return next((r for r in decision.plan.reports if r.condition is condition), None)


def args(job: Object) -> list[str]:
    return list(job["spec"]["template"]["spec"]["containers"][0]["args"])


def test_a_survey_comes_first_and_nothing_starts_before_it() -> None:
    for declared in ({}, {"requests": {"memory": "1Gi"}}):
        world = World()
        wish = resolved(compute={"resources": {"limits": {"memory": "1Gi"}, **declared}})
        decision = world.step(wish)
        assert isinstance(decision.hold, NotYet)
        (job,) = world.jobs()
        assert "--survey" in args(job)
        assert ("Deployment", "bot") not in world.snapshot.children


@pytest.mark.parametrize(
    ("limit", "kind", "file"), [("1Gi", "Q8_0", "bot/q8.gguf"), ("512Mi", "Q4_K_M", "bot/q4.gguf")]
)
def test_the_chosen_file_is_inspected_and_served(limit: str, kind: str, file: str) -> None:
    wish = resolved(limit)
    world = surveyed(wish)
    decision = world.step(wish)
    assert isinstance(decision.hold, NotYet)
    assert report(decision).reason is Reason.TYPE_CHOSEN
    assert decision.plan.status["quantization"]["type"] == kind
    look = next(j for j in world.jobs() if "--survey" not in args(j))
    assert args(look)[args(look).index("--path") + 1] == file
    size = next(v.tensor_bytes for v in HELD if v.type == kind)
    world.ends(look, replace(FACTS, artifact=f"pvc:models/{file}", file=file, claim="u1", tensor_bytes=size))
    decision = world.step(wish)
    assert decision.hold is None
    pod = world.snapshot.children["Deployment", "bot"]["spec"]["template"]["spec"]
    assert f"/weights/{file}" in pod["containers"][0]["args"]
    assert f"{kind} serves: " in report(decision).message


def test_the_choice_stays_until_what_it_hangs_on_changes() -> None:
    wish = resolved()
    world = surveyed(wish)
    world.step(wish)
    chosen = world.snapshot.previous_status["quantization"]
    world.snapshot = replace(world.snapshot, children={}, pods=(), largest_node_memory=1)
    decision = world.step(wish)
    assert decision.plan.status["quantization"] == chosen
    assert all("--survey" not in args(j) for j in world.jobs())
    for other in (resolved("512Mi"), resolved(accept=("Q4_K_M",)), resolved(source={"uri": "pvc://models/b"})):
        again = World()
        again.snapshot = replace(world.snapshot, children={})
        again.step(other)
        assert any("--survey" in args(j) for j in again.jobs())
    moved = replace(world.snapshot, claims={"models": {"metadata": {"name": "models", "uid": "u2"}}}, children={})
    assert any("--survey" in args(o) for o in concerns.decide(wish, moved).plan.objects if o["kind"] == "Job")


def test_a_chosen_file_is_not_made_because_the_api_server_fills_in_what_is_made() -> None:
    world, wish = surveyed(resolved()), resolved()
    world.step(wish)
    chosen = world.snapshot.previous_status["quantization"]
    shell = {"parent": "", "digest": "", "memory": 0, "disk": 0, "context": 0}
    filled = {**world.snapshot.previous_status, "quantization": {**chosen, "made": shell}}
    world.snapshot = replace(world.snapshot, previous_status=filled)
    decision = world.step(wish)
    assert report(decision).reason is Reason.TYPE_CHOSEN
    assert not [j for j in world.jobs() if j["metadata"]["labels"][LABEL_ROLE] == ROLE_QUANTIZE]


def test_what_no_type_fits_is_refused_and_the_old_version_stays() -> None:
    wish = resolved("128Mi")
    world = surveyed(wish)
    live = {"kind": "Deployment", "metadata": {"name": "bot", "namespace": "team"}, "spec": {}}
    world.snapshot = replace(world.snapshot, children={**world.snapshot.children, ("Deployment", "bot"): live})
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, decision.hold.condition) == (Reason.DOES_NOT_FIT, Condition.QUANTIZED)
    assert ("Deployment", "bot") in world.snapshot.children
    assert not decision.plan.prune
    assert len(world.jobs()) == 1, "the survey stays: it remembers"


@pytest.mark.parametrize(
    ("source", "artifact"),
    [
        ({"uri": "https://files.internal/bot.gguf", "sha256": "a" * 64}, f"sha256:{'a' * 64}"),
        ({"uri": f"hf://org/bot@{'b' * 40}"}, f"hf:org/bot@{'b' * 40}"),
        ({"uri": f"hf://org/bot@{'b' * 40}/bot.gguf"}, f"hf:org/bot@{'b' * 40}/bot.gguf"),
    ],
)
@pytest.mark.parametrize(("accept", "limit"), [(("Q8_0",), "1Gi"), (("Q4_K_M",), "16Mi")])
def test_a_download_that_is_refused_is_not_done_again(
    source: dict[str, str], artifact: str, accept: tuple[str, ...], limit: str
) -> None:
    wish, world = resolved(limit, accept, source=source), World()
    world.snapshot = replace(world.snapshot, claims={"smallmodel-weights": {"metadata": {"uid": "u2"}}})
    world.step(wish)
    (job,) = world.jobs()
    found = replace(FACTS, artifact=artifact, claim="u2", quantization="Q4_K_M", sha256="a" * 64)
    world.ends(job, found)
    for _ in range(3):
        decision = world.step(wish)
        assert isinstance(decision.hold, Refused)
        assert [j["metadata"]["name"] for j in world.jobs()] == [job["metadata"]["name"]]


def test_a_download_is_of_an_accepted_type_or_is_not_served() -> None:
    source = {"uri": "https://files.internal/bot.gguf", "sha256": "a" * 64}
    known = replace(FACTS, artifact=f"sha256:{'a' * 64}", claim="u2", quantization="Q4_K_M")
    claims = {"smallmodel-weights": {"metadata": {"uid": "u2"}}}
    world = Snapshot(now=objects.NOW, claims=claims, inspected={known.artifact: known})
    good = concerns.decide(resolved(source=source), world)
    assert good.hold is None
    assert report(good).message.startswith("Q4_K_M serves: Q8_0 is not in the source; ")
    bad = concerns.decide(resolved(source=source, accept=("Q8_0",)), world)
    assert isinstance(bad.hold, Refused)
    assert bad.hold.reason is Reason.TYPE_MISSING
    assert "weights" not in bad.plan.status, "the status describes what serves"


MAKES = (Variant("Q8_0", "", 600 * MIB, 0), Variant("Q4_K_M", "", 300 * MIB, 0))
F16_ONLY = Survey(
    replace(FACTS, claim="u1", tensor_bytes=1100 * MIB, quantization="F16"),
    (Variant("F16", "bot/f16.gguf", 1100 * MIB, 0),), MAKES, "bot/f16.gguf", "d" * 64,
)  # fmt: skip
WEIGHTS = {**CLAIM, "smallmodel-weights": {"metadata": {"name": "smallmodel-weights", "uid": "u2"}}}


def making(**quantization: Any) -> Resolved:
    wish = {"method": "GGUF", "accept": ["Q8_0", "Q4_K_M"], "image": "tools:1", **quantization}
    return resolved("512Mi", quantization=wish)


def made_by(world: World) -> Object:
    return next(j for j in world.jobs() if j["metadata"]["labels"][LABEL_ROLE] == ROLE_QUANTIZE)


def test_a_type_the_source_lacks_is_made_served_and_remembered() -> None:
    wish = making()
    world = surveyed(wish, F16_ONLY)
    assert {k["metadata"]["name"] for k in world.step(wish).plan.kept} == {"smallmodel-weights"}
    world.snapshot = replace(world.snapshot, claims=WEIGHTS)
    decision = world.step(wish)
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.QUANTIZING
    job = made_by(world)
    steps = job["spec"]["template"]["spec"]
    assert [c["name"] for c in (*steps["initContainers"], *steps["containers"])] == [
        "prepare", "quantize", "measure", "weights",
    ]  # fmt: skip
    artifact = job["metadata"]["annotations"]["smallmodel.dev/artifact"]
    world.ends(job, replace(FACTS, artifact=artifact, file="model.gguf", claim="u2", tensor_bytes=300 * MIB))
    decision = world.step(wish)
    assert decision.hold is None
    pod = world.snapshot.children["Deployment", "bot"]["spec"]["template"]["spec"]
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "weights")
    assert mount["subPath"].startswith("quantized-")
    assert mount["readOnly"]
    assert "It is made from `bot/f16.gguf`." in report(decision).message
    known = replace(FACTS, artifact=artifact, file="model.gguf", claim="u2", tensor_bytes=300 * MIB)
    world.snapshot = replace(world.snapshot, pods=(), inspected={artifact: known})
    assert world.step(wish).hold is None
    assert world.jobs() == [], "nothing is made twice"


def test_a_step_that_runs_is_told_and_one_that_failed_is_named() -> None:
    wish = making()
    world = surveyed(wish, F16_ONLY)
    world.snapshot = replace(world.snapshot, claims=WEIGHTS)
    world.step(wish)
    job = made_by(world)
    name, labels = job["metadata"]["name"], job["metadata"]["labels"]
    meta = {"name": f"{name}-x", "labels": {**labels, "batch.kubernetes.io/job-name": name}}
    surveys = world.snapshot.pods

    def seen(**state: Any) -> concerns.Decision:
        states = [{"name": "prepare", "state": {"terminated": {"exitCode": 0}}}, {"name": "quantize", "state": state}]
        world.snapshot = replace(
            world.snapshot, pods=(*surveys, {"metadata": meta, "status": {"initContainerStatuses": states}})
        )
        return world.step(wish)

    running = seen(running={"startedAt": "2026-11-21T12:00:00Z"})
    assert "Step 2 of 4: quantizing." in str(running.hold)
    children = dict(world.snapshot.children)
    children["Job", name] = {**job, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    world.snapshot = replace(world.snapshot, children=children)
    failed = seen(terminated={"exitCode": 3, "message": "loading ...\nerror: unknown tensor type\n"})
    assert isinstance(failed.hold, Refused)
    assert (failed.hold.reason, failed.hold.condition) == (Reason.QUANTIZATION_FAILED, Condition.QUANTIZED)
    assert "Step quantize failed with exit code 3: error: unknown tensor type." in failed.hold.message
    assert not failed.plan.prune


def test_what_is_too_bad_is_not_served_and_other_limits_judge_anew() -> None:
    wish = making()
    world = surveyed(wish, F16_ONLY)
    world.snapshot = replace(world.snapshot, claims=WEIGHTS)
    world.step(wish)
    first = made_by(world)
    world.ends(first, result.Failure(Reason.QUALITY_TOO_LOW, "Q4_K_M is worse than the parent."))
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.QUALITY_TOO_LOW
    assert report(decision).status is False
    looser = making(gate={"maxMeanDivergence": "1"})
    world.step(looser)
    second = [j for j in world.jobs() if j["metadata"]["labels"][LABEL_ROLE] == ROLE_QUANTIZE][-1]
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert args(second)[args(second).index("--mean-divergence") + 1] == "1"
    assert args(second)[args(second).index("--folder") + 1] == args(first)[args(first).index("--folder") + 1]


def test_without_a_ladder_the_choice_is_forgotten() -> None:
    world = Snapshot(now=objects.NOW, claims=CLAIM, previous_status={"quantization": {"type": "Q8_0"}})
    assert concerns.decide(resolved(quantization={"method": "None"}), world).plan.status["quantization"] == {}
    fresh = Snapshot(now=objects.NOW, claims=CLAIM)
    assert "quantization" not in concerns.decide(resolved(quantization={"method": "None"}), fresh).plan.status
