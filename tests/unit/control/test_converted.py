"""From a folder of safetensors to the file that serves: what is planned, said and remembered on the way."""

from dataclasses import replace
from typing import Any

from tests.unit.control.test_quantized import WEIGHTS, World, args, making, report, surveyed
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.control import concerns
from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import Object, Survey, Variant
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.units import MIB
from smallmodel_operator.weights import result

FOLDER = Survey(
    replace(FACTS, claim="u1", format=SAFETENSORS, quantization="BF16", tensor_bytes=1100 * MIB, file="bot"),
    (), parent="bot", digest="f" * 64,
)  # fmt: skip
OWN = replace(FACTS, claim="u2", quantization="BF16", tensor_bytes=1100 * MIB, file="model.gguf")
MADE = Survey(
    OWN, (Variant("BF16", "model.gguf", 1100 * MIB, 0),),
    (Variant("Q8_0", "", 600 * MIB, 0), Variant("Q4_K_M", "", 300 * MIB, 0)), "model.gguf", "d" * 64,
)  # fmt: skip


def converting(wish: Any = None, survey: Survey = FOLDER) -> World:
    """A world in which the source was looked at and the claim is there."""
    wish = wish or making()
    world = surveyed(wish, survey)
    world.snapshot = replace(world.snapshot, claims=WEIGHTS)
    return world


def job_with(world: World, step: str) -> Object:
    """The youngest Job that has this step."""
    return next(j for j in reversed(world.jobs()) if step in steps(j))


def convert_job(world: World) -> Object:
    return job_with(world, "convert")


def steps(job: Object) -> list[str]:
    pod = job["spec"]["template"]["spec"]
    return [c["name"] for c in (*pod.get("initContainers", ()), *pod["containers"])]


def converted(wish: Any = None, survey: Survey = MADE) -> World:
    """A world in which the GGUF file was made."""
    world = converting(wish)
    world.step(wish or making())
    world.ends(convert_job(world), survey)
    return world


def test_a_gguf_file_is_made_first_and_the_source_is_not_looked_at_again() -> None:
    wish = making()
    world = converting(wish)
    decision = world.step(wish)
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.QUANTIZING
    assert "A GGUF file in BF16 is made of the safetensors in `bot`." in decision.hold.message
    assert report(decision).reason is Reason.QUANTIZING
    assert {k["metadata"]["name"] for k in decision.plan.kept} == {"smallmodel-weights"}
    job = convert_job(world)
    assert steps(job) == ["prepare", "convert", "weights"]
    kept = decision.plan.status["quantization"]["converted"]
    assert (kept["folder"], kept["digest"], kept["type"]) == ("bot", "f" * 64, "BF16")
    planned = [o for o in world.step(wish).plan.objects if o["kind"] == "Job"]
    assert [o["metadata"]["name"] for o in planned] == [job["metadata"]["name"]]
    assert args(job)[args(job).index("--digest") + 1] == "f" * 64


def test_the_ladder_takes_its_types_from_what_was_made() -> None:
    wish = making()
    world = converted(wish)
    decision = world.step(wish)
    assert isinstance(decision.hold, NotYet)
    job = job_with(world, "quantize")
    assert steps(job) == ["prepare", "quantize", "measure", "weights"]
    prepare = job["spec"]["template"]["spec"]["initContainers"][0]
    parent = prepare["args"][prepare["args"].index("--parent") + 1]
    assert parent.startswith("/weights/converted-")
    assert parent.endswith("/model.gguf")
    assert prepare["args"][prepare["args"].index("--digest") + 1] == "d" * 64
    names = [v["name"] for v in job["spec"]["template"]["spec"]["volumes"]]
    assert names == ["weights", "tmp"], "a claim is mounted once"
    chosen = decision.plan.status["quantization"]
    assert (chosen["type"], chosen["made"]["parent"]) == ("Q4_K_M", "model.gguf")
    assert chosen["converted"]["digest"] == "f" * 64
    assert chosen["why"].endswith("made from `model.gguf`. That file is made of the safetensors in `bot`.")


def test_what_was_quantized_serves_and_nothing_is_made_twice() -> None:
    wish = making()
    world = converted(wish)
    world.step(wish)
    job = job_with(world, "quantize")
    artifact = job["metadata"]["annotations"]["smallmodel.dev/artifact"]
    facts = replace(OWN, artifact=artifact, quantization="Q4_K_M", tensor_bytes=300 * MIB)
    world.ends(job, facts)
    decision = world.step(wish)
    assert decision.hold is None
    assert report(decision).reason is Reason.TYPE_CHOSEN
    pod = world.snapshot.children["Deployment", "bot"]["spec"]["template"]["spec"]
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "weights")
    assert mount["subPath"].startswith("quantized-")
    world.snapshot = replace(world.snapshot, pods=(), inspected={artifact: facts})
    assert world.step(wish).hold is None
    assert world.jobs() == []


def test_the_converted_file_itself_serves_where_its_type_is_accepted_and_fits() -> None:
    wish = making(accept=["BF16", "Q8_0"])
    world = converting(wish)
    wish = replace(wish, memory_limit="4Gi")
    world = surveyed(wish, FOLDER)
    world.snapshot = replace(world.snapshot, claims=WEIGHTS)
    world.step(wish)
    world.ends(convert_job(world), replace(MADE, makes=MADE.makes[:1]))
    world.step(wish)
    look = convert_job(world)
    assert "--survey" not in args(look)
    artifact = look["metadata"]["annotations"]["smallmodel.dev/artifact"]
    world.ends(look, replace(OWN, artifact=artifact))
    decision = world.step(wish)
    assert decision.hold is None
    assert decision.plan.status["quantization"]["type"] == "BF16"
    pod = world.snapshot.children["Deployment", "bot"]["spec"]["template"]["spec"]
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "weights")
    assert mount["subPath"].startswith("converted-")
    assert "/weights/model.gguf" in pod["containers"][0]["args"]


def test_without_an_image_the_way_out_is_said() -> None:
    wish = making(image=None)
    world = surveyed(wish, FOLDER)
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, decision.hold.condition) == (Reason.TYPE_MISSING, Condition.QUANTIZED)
    assert "safetensors in `bot`" in decision.hold.message
    assert "spec.quantizer.image" in decision.hold.message
    assert "quantization" not in decision.plan.status


def test_the_sum_of_one_file_says_nothing_of_a_folder() -> None:
    wish = making()
    wish = replace(wish, source=wish.source.model_copy(update={"sha256": "a" * 64}))
    decision = surveyed(wish, FOLDER).step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.INVALID_SPEC
    assert "spec.source.sha256" in decision.hold.message


def test_a_poisoned_template_stops_before_it_is_quantized() -> None:
    found = "line 2: an if on the text of a message"
    poison = {"template_finding": found, "chat_template": "9" * 64}
    wish = making()
    world = converted(wish, replace(MADE, facts=replace(OWN, **poison)))
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.UNSAFE_TEMPLATE
    assert found in decision.hold.message
    assert all("quantize" not in steps(j) for j in world.jobs())


def test_an_architecture_the_engine_does_not_run_is_refused_before_it_is_quantized() -> None:
    wish = making()
    world = converted(wish, replace(MADE, facts=replace(OWN, architecture="unheard-of")))
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.ARCHITECTURE_UNKNOWN
    assert all("quantize" not in steps(j) for j in world.jobs())


def failing(**ended: Any) -> concerns.Decision:
    """The convert step of a Job ended so."""
    wish = making()
    world = converting(wish)
    world.step(wish)
    job = convert_job(world)
    name, labels = job["metadata"]["name"], job["metadata"]["labels"]
    state = {"name": "convert", "state": {"terminated": ended}}
    pod = {
        "metadata": {"name": f"{name}-x", "labels": {**labels, "batch.kubernetes.io/job-name": name}},
        "spec": job["spec"]["template"]["spec"],
        "status": {"initContainerStatuses": [state]},
    }
    failed = {**job, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    children = {**world.snapshot.children, ("Job", name): failed}
    world.snapshot = replace(world.snapshot, children=children, pods=(*world.snapshot.pods, pod))
    return world.step(wish)


def test_too_little_memory_says_how_much_it_was_and_is_tried_with_more() -> None:
    decision = failing(exitCode=137, reason="OOMKilled")
    assert isinstance(decision.hold, NotYet)
    assert "Step convert was killed: it took more memory than it was given (" in decision.hold.message


def test_an_image_without_the_converter_is_named() -> None:
    decision = failing(exitCode=result.EXIT_REFUSED, message="The image has no convert_hf_to_gguf.py. Name one\n")
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, decision.hold.condition) == (Reason.QUANTIZATION_FAILED, Condition.QUANTIZED)
    assert "Step convert failed with exit code 3: The image has no convert_hf_to_gguf.py. Name one." in str(
        decision.hold
    )


def test_what_the_last_step_found_is_said_and_what_is_known_stays() -> None:
    wish = making()
    world = converting(wish)
    world.step(wish)
    job = convert_job(world)
    world.ends(job, result.Failure(Reason.ARCHITECTURE_UNKNOWN, "`config.json` names the architecture 'Foo'"))
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.ARCHITECTURE_UNKNOWN
    assert decision.plan.status["quantization"]["converted"]["digest"] == "f" * 64
    planned = [o["metadata"]["name"] for o in decision.plan.objects if o["kind"] == "Job"]
    assert planned == [job["metadata"]["name"]], "it remembers"


def test_another_ladder_looks_at_the_source_anew() -> None:
    world = converted(making())
    world.step(making())
    world.snapshot = replace(world.snapshot, children={}, pods=())
    world.step(making(accept=["Q6_K"]))
    (job,) = world.jobs()
    assert "inspect-weights" in args(job)
