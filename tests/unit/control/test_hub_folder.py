"""A model hub's repository without a GGUF file: fetched as a folder and converted, or served by VLLM as it is."""

from dataclasses import replace
from typing import Any

from tests.fakes import objects
from tests.unit.control.test_converted import MADE, OWN, convert_job, job_with
from tests.unit.control.test_quantized import CLAIM, World, args, report
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.units import MIB
from smallmodel_operator.resolve import Resolved, Site, parse, resolve
from smallmodel_operator.weights import result

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = {"uri": f"hf://org/bot@{COMMIT}"}
OURS = {"smallmodel-weights": {"metadata": {"name": "smallmodel-weights", "uid": "u2"}}}
LADDER = {"method": "GGUF", "accept": ["Q8_0", "Q4_K_M"], "image": "tools:1"}
FOLDER = replace(
    FACTS, artifact=f"hf:org/bot@{COMMIT}", claim="u2", format=SAFETENSORS, quantization="BF16",
    tensor_bytes=1100 * MIB, file="safetensors", sha256="f" * 64,
)  # fmt: skip
FILE = replace(
    FACTS, artifact=FOLDER.artifact, claim="u2", quantization="Q4_K_M", tensor_bytes=300 * MIB, file="model.gguf",
    sha256="a" * 64,
)  # fmt: skip


def model(source: dict[str, Any] | None = None, status: Any = None, **spec: Any) -> Resolved:
    limits = {"resources": {"limits": {"memory": "512Mi"}}}
    wish = {"quantization": LADDER, "compute": limits, **spec}
    body = {**objects.model(source=source or REPOSITORY, **wish), "status": status or {}}
    profile = objects.profile()
    if "engine" in spec:
        profile["spec"] |= {
            "engines": [{"name": "VLLM", "image": "engine:1"}],
            "accelerator": {"resourceName": "nvidia.com/gpu", "memoryBytes": 24 * 2**30},
        }
    return resolve(body, parse(body), profile, Site())


def begun(wish: Resolved) -> World:
    """The download's Job is planned."""
    world = World()
    world.snapshot = replace(world.snapshot, claims={**CLAIM, **OURS})
    world.step(wish)
    return world


def download(world: World) -> Object:
    (job,) = (j for j in world.jobs() if "fetch-weights" in args(j))
    return job


def after(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_the_folder_is_fetched_converted_in_its_claim_and_quantized() -> None:
    wish = model()
    world = begun(wish)
    words = args(download(world))
    assert (after(words, "--format"), after(words, "--revision")) == ("Either", COMMIT)
    assert "--sha256" not in words
    home = after(words, "--folder")
    world.ends(download(world), FOLDER)
    decision = world.step(wish)
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.QUANTIZING
    job = convert_job(world)
    pod = job["spec"]["template"]["spec"]
    prepare = pod["initContainers"][0]["args"]
    assert after(prepare, "--source") == f"{home}/safetensors"
    assert after(prepare, "--digest") == "f" * 64
    assert [v["name"] for v in pod["volumes"]] == ["weights", "tmp"], "a claim is mounted once"
    assert decision.plan.status["quantization"]["converted"]["digest"] == "f" * 64
    world.ends(job, MADE)
    decision = world.step(wish)
    quantize = job_with(world, "quantize")
    artifact = quantize["metadata"]["annotations"]["smallmodel.dev/artifact"]
    world.ends(quantize, replace(OWN, artifact=artifact, quantization="Q4_K_M", tensor_bytes=300 * MIB))
    decision = world.step(wish)
    assert decision.hold is None
    assert decision.plan.status["quantization"]["why"].endswith("safetensors`.")


def test_a_gguf_file_that_was_found_is_served_without_another_job() -> None:
    wish = model()
    world = begun(wish)
    job = download(world)
    world.ends(job, FILE)
    decision = world.step(wish)
    assert decision.hold is None, decision.hold
    assert report(decision).reason is Reason.TYPE_CHOSEN
    assert decision.plan.status["quantization"]["type"] == "Q4_K_M"
    world.snapshot = replace(world.snapshot, pods=(), children={}, inspected={FILE.artifact: FILE}, previous_status={})
    assert world.step(wish).hold is None, "an upgrade forgets what was chosen, and looks nowhere"
    assert world.jobs() == []


def test_a_type_that_is_not_accepted_is_refused() -> None:
    wish = model(quantization={**LADDER, "accept": ["Q8_0"]})
    world = begun(wish)
    world.ends(download(world), FILE)
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.TYPE_MISSING


def test_what_the_hub_lacks_is_said() -> None:
    wish = model()
    world = begun(wish)
    world.ends(download(world), result.Failure(Reason.WEIGHTS_INVALID, "`model-3.safetensors`, named by …"))
    decision = world.step(wish)
    assert isinstance(decision.hold, Refused)
    assert decision.hold.reason is Reason.WEIGHTS_INVALID


def test_only_what_may_be_converted_is_looked_for_as_a_folder() -> None:
    file = {"uri": f"hf://org/bot@{COMMIT}", "path": "bot.gguf"}
    pinned = {**REPOSITORY, "sha256": "a" * 64}
    without = {**LADDER, "image": None}
    for wish in (model(file), model(pinned), model(quantization=without), model(quantization={"method": "None"})):
        assert "--format" not in args(download(begun(wish)))


def test_vllm_serves_the_folder_from_the_claim_and_holds_its_digest() -> None:
    wish = model(quantization={"method": "None"}, engine={"name": "VLLM"})
    world = begun(wish)
    assert after(args(download(world)), "--format") == "Safetensors"
    world.ends(download(world), replace(FOLDER, tensor_bytes=300 * MIB))
    decision = world.step(wish)
    assert decision.hold is None, decision.hold
    container = world.snapshot.children["Deployment", "bot"]["spec"]["template"]["spec"]["containers"][0]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "weights")
    assert mount["subPath"].startswith("hf-")
    assert any("/weights/safetensors" in word for word in container["args"])
    known = decision.plan.status["weights"]
    assert (known["sha256"], known["folder"], known["file"]) == ("f" * 64, mount["subPath"], "safetensors")
    lost = {**OURS, "smallmodel-weights": {"metadata": {"name": "smallmodel-weights", "uid": "u9"}}}
    facts = replace(FOLDER, folder=mount["subPath"])
    world.snapshot = replace(world.snapshot, claims=lost, children={}, pods=(), inspected={FOLDER.artifact: facts})
    world.step(wish)
    assert after(args(download(world)), "--sha256") == "f" * 64


def test_a_branch_is_resolved_to_its_commit_and_then_fetched() -> None:
    moving = {"uri": "hf://org/bot@main", "allowMutable": True}
    wish = model(moving)
    world = begun(wish)
    (job,) = world.jobs()
    assert args(job)[0] == "resolve-weights"
    assert after(args(job), "--format") == "Either"
    world.ends(job, result.Pinned(f"hf://org/bot@{COMMIT}", ""))
    decision = world.step(wish)
    frozen = decision.plan.status["source"]
    assert (frozen["uri"], frozen["sha256"]) == (f"hf://org/bot@{COMMIT}", "")
    assert any(f"commit {COMMIT}." in note.message for note in decision.plan.notes)
    world.step(model(moving, {"source": frozen}))
    words = args(download(world))
    assert (after(words, "--revision"), after(words, "--format")) == (COMMIT, "Either")
    assert "--frozen" in words
