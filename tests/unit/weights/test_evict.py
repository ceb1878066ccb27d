"""A download that found the claim full, pass by pass."""

from dataclasses import replace
from typing import Any

from tests.unit.weights.test_decide import CLAIM, World
from tests.unit.weights.test_jobs import HTTPS, OCI, request
from tests.unit.weights.test_result import FACTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import LABEL_ROLE, WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import key_of
from smallmodel_operator.weights import convert, download, make, result
from smallmodel_operator.weights.evict import Stored, choose, in_use, with_parents
from smallmodel_operator.weights.recipe import Conversion, ConvertedSource, QuantizedSource, Recipe
from smallmodel_operator.weights.types import WeightsVerdict

FULL = download.no_room(1000, 10, 64)
USED = f"sha256-{'c' * 64}"
GONE = result.Evicted((f"sha256-{'d' * 64}",), 5000, 0)


def full(in_use: frozenset[str] | None = frozenset({USED}), **changes: Any) -> World:
    """The first download has said that there is no room."""
    world = World(request(**HTTPS, **changes), claims={WEIGHTS_CLAIM: CLAIM}, in_use=in_use)
    world.step()
    world.end(FULL)
    return world


def roles(verdict: WeightsVerdict) -> list[str]:
    return sorted(o["metadata"]["labels"][LABEL_ROLE] for o in verdict.part.objects)


def evictions(world: World) -> list[Object]:
    return [o for o in world.snapshot.children.values() if o["metadata"]["labels"][LABEL_ROLE] == "evict"]


def ended(world: World, said: result.Evicted | None, kind: str = "Complete") -> None:
    """The eviction's pod ends with this message."""
    (job,) = evictions(world)
    stamp = world.snapshot.now.isoformat()
    done = {**job, "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": stamp}]}}
    labels = {**job["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
    message = result.encode(said) if said else ""
    status = {"containerStatuses": [{"state": {"terminated": {"message": message}}}]}
    meta = {"name": "evict", "labels": labels, "creationTimestamp": stamp}
    world.snapshot = replace(
        world.snapshot,
        children={**world.snapshot.children, key_of(done): done},
        pods=(*world.snapshot.pods, {"metadata": meta, "status": status}),
    )


def test_unused_weights_make_room_and_the_download_begins_again() -> None:
    world = full()
    verdict = world.step()
    assert roles(verdict) == ["download", "evict"]
    assert isinstance(verdict.problem, NotYet)
    assert verdict.problem.reason is Reason.MAKING_ROOM
    (job,) = evictions(world)
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[words.index("--needed") + 1] == "1064"
    assert [w for w in words if w.startswith("sha256-")] == [USED]
    assert roles(world.step(5)) == ["download", "evict"], "it is waited for"
    ended(world, GONE)
    made = world.step(5)
    assert roles(made) == ["download"]
    assert made.part.objects[0]["metadata"]["annotations"]["smallmodel.dev/attempt"] == "1"
    (note,) = made.part.notes
    assert (note.reason, note.evicted_bytes) == ("WeightsEvicted", 5000)
    assert "sha256-dddddddddddd" in note.message
    assert world.step(5).part.notes == ()


def test_who_came_to_use_weights_meanwhile_is_heard() -> None:
    """The list of what stays is part of the Job: another one takes its place."""
    world = full()
    world.step()
    (before,) = evictions(world)
    world.snapshot = replace(world.snapshot, in_use=frozenset({USED, "sha256-e"}))
    world.step()
    (after,) = evictions(world)
    assert after["metadata"]["name"] != before["metadata"]["name"]
    assert "sha256-e" in after["spec"]["template"]["spec"]["containers"][0]["args"]


def test_where_nothing_is_unused_both_numbers_are_said() -> None:
    world = full()
    world.step()
    ended(world, result.Evicted((), 0, 7))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.CLAIM_FULL
    assert "1000 bytes" in verdict.problem.message
    assert "too little" in verdict.problem.message
    assert roles(world.step(601)) == ["download"], "tried again later"


def test_an_eviction_that_broke_off_is_named() -> None:
    world = full()
    world.step()
    ended(world, None, "Failed")
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert "did not work" in verdict.problem.message


def test_nothing_is_removed_where_that_is_the_policy_or_all_is_used() -> None:
    for world, says in ((full(eviction="Never"), "Never"), (full(in_use=None), "uses all of the claim")):
        verdict = world.step()
        assert isinstance(verdict.problem, Refused)
        assert verdict.problem.reason is Reason.CLAIM_FULL
        assert says in verdict.problem.message
        assert roles(verdict) == ["download"]


RECIPE = Recipe("Q8_0", "f16.gguf", "d" * 64, 2**30, 2**20, 1024, 2, "tools:1", "", {"mean_divergence": "0.005"})
FOLDER = QuantizedSource(RECIPE, {}).folder


def test_a_quantization_that_finds_the_claim_full_makes_room_too() -> None:
    claims = {WEIGHTS_CLAIM: CLAIM, "models": {"metadata": {"name": "models"}}}
    world = World(request("pvc://models/m.gguf", recipe=RECIPE), claims=claims, in_use=frozenset({USED, FOLDER}))
    world.step()
    world.end(FULL)
    assert roles(world.step()) == ["evict", "quantize"]
    (job,) = evictions(world)
    assert {USED, FOLDER} <= set(job["spec"]["template"]["spec"]["containers"][0]["args"])
    ended(world, GONE)
    made = world.step(5)
    assert roles(made) == ["quantize"]
    assert isinstance(made.problem, NotYet)
    assert made.problem.reason is Reason.QUANTIZING
    assert [note.reason for note in made.part.notes] == ["WeightsEvicted"]


def test_a_made_type_is_used_while_it_is_described_gone_back_to_or_being_made() -> None:
    def keeps(**weights: object) -> frozenset[str] | None:
        return in_use([{"source": {"uri": "pvc://models/bot"}, "weights": weights}], [])

    of_before = QuantizedSource(RECIPE, {}).artifact
    assert keeps(folder=FOLDER) == {FOLDER}
    assert keeps(artifact=of_before) == {FOLDER}, "an earlier release did not note the folder"
    assert keeps(previous={"artifact": of_before}) == {FOLDER}
    assert keeps(previous={"artifact": of_before, "folder": FOLDER}) == {FOLDER}
    assert keeps(artifact="sha256:" + "a" * 64) == frozenset()
    job = make.build(request(recipe=RECIPE), QuantizedSource(RECIPE, {"name": "weights"}), 0, "uid-1")
    assert in_use([], [job["spec"]["template"]["spec"]]) == {FOLDER}


def test_what_serves_a_made_type_notes_its_folder() -> None:
    where = QuantizedSource(RECIPE, {})
    claims = {WEIGHTS_CLAIM: CLAIM, "models": {"metadata": {"name": "models"}}}
    world = World(request("pvc://models/m.gguf", recipe=RECIPE), claims=claims)
    world.step()
    world.end(replace(FACTS, artifact=where.artifact, claim="uid-1"))
    verdict = world.step()
    assert verdict.facts is not None
    assert verdict.facts.folder == FOLDER == verdict.mount["subPath"]


WISH = Conversion("BF16", "bot", "f" * 64, 2**30, 2**20, 2, "tools:1")


def test_what_was_converted_is_used_while_it_serves_is_laddered_gone_back_to_or_being_made() -> None:
    def keeps(**model: object) -> frozenset[str] | None:
        return in_use([{"source": {"uri": "pvc://models/bot"}, **model}], [])

    assert keeps(weights={"folder": WISH.into}) == {WISH.into}
    assert keeps(weights={"previous": {"folder": WISH.into}}) == {WISH.into}
    assert keeps(converted={"digest": WISH.digest, "type": "BF16"}) == {WISH.into}
    assert keeps(converted={"memory": 0, "disk": 0}) == frozenset(), "a shell of defaults"
    where = ConvertedSource(WISH, {}, "bot")
    job = convert.build(request(conversion=WISH), where, 0, "uid-1")
    assert in_use([], [job["spec"]["template"]["spec"]]) == {WISH.into, "bot"}
    of_converted = replace(RECIPE, parent=f"{WISH.into}/model.gguf")
    making = make.build(request(recipe=of_converted), QuantizedSource(of_converted, {}), 0, "uid-1")
    assert in_use([], [making["spec"]["template"]["spec"]]) == {FOLDER, WISH.into}, "what it is made of, too"


def test_the_parents_of_what_stays_stay() -> None:
    def of(kind: str, letter: str, sha256: str = "", made_of: str = "") -> Stored:
        return Stored(f"{kind}-{letter * 64}", 10, 1.0, sha256, made_of)

    hub, other = of("hf", "1"), of("hf", "2")
    converted = of("converted", "3", "c" * 64, hub.folder)
    quantized = of("quantized", "4", "d" * 64, converted.sha256)
    unused = of("quantized", "5", "e" * 64, converted.sha256)
    stored = [quantized, unused, other, converted, hub]
    kept = with_parents(stored, frozenset({quantized.folder}))
    assert kept == {quantized.folder, converted.folder, hub.folder}
    assert {s.folder for s in choose(stored, kept, 20, 0, 9.0)} == {unused.folder, other.folder}
    assert with_parents([of("converted", "6", "f" * 64, "f" * 64)], frozenset({f"converted-{'6' * 64}"}))
    assert with_parents(stored, frozenset()) == frozenset()


def test_an_images_files_stay_while_a_model_names_it_or_makes_a_type_of_them() -> None:
    folder = f"oci-{OCI[-64:]}"
    assert in_use([{"source": {"uri": OCI}}], []) == {folder}
    claims = {WEIGHTS_CLAIM: CLAIM}
    world = World(request(OCI, image_volumes=False, recipe=RECIPE), claims=claims)
    world.step()
    spec = world.job["spec"]["template"]["spec"]
    args = spec["initContainers"][0]["args"]
    assert args[args.index("--parent") + 1] == f"/weights/{folder}/files/f16.gguf", "it lies in the same claim"
    assert [v for v in spec["volumes"] if "persistentVolumeClaim" in v] == spec["volumes"][:1], "mounted once"
    assert in_use([], [spec]) == {folder, FOLDER}
