"""A source that may move is resolved once; what it held then is what runs until this part of the spec changes."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.weights.test_decide import CLAIM, World
from tests.unit.weights.test_jobs import SHA, request
from tests.unit.weights.test_result import FACTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import WEIGHTS_CLAIM
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.weights import moving, result
from smallmodel_operator.weights.decide import artifact, asks_registry, claims, decide, goes_to
from smallmodel_operator.weights.evict import in_use
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.source import HubSource, MovingSource

COMMIT = "c" * 40
BRANCH = "hf://org/bot@main/bot.gguf"
TAG = "oci://registry.test/m:v1"
PINNED = result.Pinned(f"hf://org/bot@{COMMIT}/bot.gguf", SHA)
FOUND = replace(FACTS, artifact=f"sha256:{SHA}", claim="uid-1", sha256=SHA)


class Following(World):
    """As `World`, and the status of the source is kept from pass to pass."""

    def __init__(self, uri: str = BRANCH, **changes: Any) -> None:
        super().__init__(request(uri, allow_mutable=True, **changes), claims={WEIGHTS_CLAIM: CLAIM})

    def step(self, seconds: float = 0) -> Any:
        verdict = super().step(seconds)
        if "source" in verdict.part.status:
            self.wish = replace(self.wish, frozen=verdict.part.status["source"])
        return verdict

    def resolve(self, found: result.Pinned = PINNED) -> None:
        self.step()
        self.end(found, "Complete")
        self.step()

    @property
    def args(self) -> list[str]:
        return list(self.job["spec"]["template"]["spec"]["containers"][0]["args"])


def test_a_branch_is_resolved_and_the_commit_is_what_is_downloaded() -> None:
    world = Following()
    first = world.step()
    assert (first.blocking, first.facts) == (True, None)
    assert isinstance(first.problem, NotYet)
    assert first.problem.reason is Reason.DOWNLOADING
    assert world.args[0] == "resolve-weights"
    assert world.args[world.args.index("--revision") + 1] == "main"
    world.end(PINNED, "Complete")
    found = world.step()
    assert found.part.status["source"] == {
        "decidedOn": world.wish.wish.key, "uri": PINNED.uri, "sha256": SHA, "resolvedAt": "2026-11-21T12:00:00Z",
    }  # fmt: skip
    (note,) = found.part.notes
    assert (note.reason, COMMIT in note.message, SHA in note.message) == ("SourceResolved", True, True)
    world.step()
    assert world.args[0] == "fetch-weights"
    for option, value in (("--revision", COMMIT), ("--sha256", SHA), ("--artifact", f"sha256:{SHA}")):
        assert world.args[world.args.index(option) + 1] == value
    assert "--frozen" in world.args
    world.end(FOUND)
    served = world.step()
    assert (served.problem, served.artifact) == (None, f"sha256:{SHA}")
    assert f"Frozen in `status.source`: commit {COMMIT}, SHA-256 {SHA}." in served.part.reports[0].message


@pytest.mark.parametrize("uri", ["https://weights.test/m.gguf", "s3://models/m.gguf"])
def test_a_file_without_a_sum_is_resolved_by_its_bytes(uri: str) -> None:
    world = Following(uri, store="https://s3.test")
    world.resolve(result.Pinned(uri, SHA))
    world.step()
    assert world.args[0] == "fetch-weights"
    assert world.args[world.args.index("--sha256") + 1] == SHA


def test_a_tag_is_resolved_to_a_digest_without_a_claim_and_mounted() -> None:
    world = Following(TAG, path="q4.gguf")
    world.snapshot = replace(world.snapshot, claims={}, pull_secrets=("regcred",))
    first = world.step()
    assert (claims(world.wish), first.part.kept) == ((), ()), "a tag is only asked for"
    assert goes_to(world.wish) == "https://registry.test/v2/m"
    spec = world.job["spec"]["template"]["spec"]
    assert world.args[:3] == ["resolve-weights", "--image", "registry.test/m:v1"]
    (volume,) = spec["volumes"]
    assert volume["projected"]["sources"][0]["secret"]["name"] == "regcred"
    world.end(result.Pinned(f"oci://registry.test/m@sha256:{SHA}", ""), "Complete")
    found = world.step()
    assert found.part.status["source"]["uri"] == f"oci://registry.test/m@sha256:{SHA}"
    assert f"digest sha256:{SHA}" in found.part.notes[0].message
    pinned = world.step()
    assert world.args[0] == "inspect-weights"
    assert pinned.artifact == f"sha256:{SHA}/q4.gguf"
    assert pinned.volume["image"]["reference"] == f"registry.test/m@sha256:{SHA}"
    assert not asks_registry(world.wish)


def test_a_tag_on_a_cluster_without_image_volumes_is_resolved_and_copied() -> None:
    world = Following(TAG, image_volumes=False)
    world.resolve(result.Pinned(f"oci://registry.test/m@sha256:{SHA}", ""))
    world.step()
    assert world.args[:3] == ["copy-weights", "--image", f"registry.test/m@sha256:{SHA}"]


def test_nothing_but_the_source_resolves_anew() -> None:
    world = Following()
    world.resolve()
    for changes in (
        {"job_image": "op:2"},
        {"memory_declared": True},
        {"credentials": "other"},
        {"proxy": "http://p:1"},
    ):
        wish = replace(world.wish, **changes)
        assert artifact(wish) == f"sha256:{SHA}", changes
    lost = World(
        world.wish, claims={WEIGHTS_CLAIM: {"metadata": {"uid": "another claim"}}}, inspected={FOUND.artifact: FOUND}
    )
    lost.step()
    assert lost.job["spec"]["template"]["spec"]["containers"][0]["args"][0] == "fetch-weights"


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "hf://org/bot@next/bot.gguf"},
        {"resolve_generation": 2},
        {"sha256": "d" * 64},
        {"uri": "hf://org/bot@main", "path": "b.gguf"},
    ],
)
def test_another_source_is_another_question(changes: dict[str, Any]) -> None:
    world = Following()
    world.resolve()
    old = world.job["metadata"]["name"] if world.snapshot.children else ""
    world.wish = replace(world.wish, **changes)
    verdict = world.step()
    assert world.args[0] == "resolve-weights"
    assert world.job["metadata"]["name"] != old
    assert isinstance(verdict.problem, NotYet)


def test_each_model_asks_for_itself() -> None:
    """What a branch held when another model asked may be another commit than it holds now."""
    a, b = (artifact(request(BRANCH, allow_mutable=True, name=name)) for name in "ab")
    assert a != b


def test_what_may_move_is_refused_unless_it_is_allowed() -> None:
    for uri in (BRANCH, "https://weights.test/m.gguf", "s3://models/m.gguf"):
        with pytest.raises(Refused, match="allowMutable"):
            parse(uri, "", "")
        assert isinstance(parse(uri, "", "", allow_mutable=True), MovingSource)
    with pytest.raises(Refused, match="allowMutable"):
        parse(TAG, "", "")
    assert isinstance(parse(TAG, "", "", allow_mutable=True), MovingSource)
    for neither in ("oci://registry.test/m", "oci://registry.test:5000/m", "oci://registry.test/m:v1/x"):
        with pytest.raises(Refused, match="must name a digest"):
            parse(neither, "", "", allow_mutable=True)
    pinned = parse(f"hf://org/bot@{COMMIT}", "", "", allow_mutable=True)
    assert isinstance(pinned, HubSource), "what cannot move is not resolved"


def test_a_status_of_another_wish_or_without_leave_counts_for_nothing() -> None:
    wish = moving.Wish(BRANCH, allowed=True)
    frozen = moving.status(wish, PINNED, World(request()).snapshot.now)
    assert isinstance(moving.place(replace(wish, frozen=frozen)), HubSource)
    assert isinstance(moving.place(replace(wish, frozen={**frozen, "decidedOn": "x"})), MovingSource)
    assert isinstance(moving.place(replace(wish, frozen={"decidedOn": wish.key})), MovingSource)
    with pytest.raises(Refused):
        moving.place(replace(wish, frozen=frozen, allowed=False))


def test_a_refused_resolution_freezes_nothing_and_is_said() -> None:
    world = Following()
    world.step()
    world.end(result.Failure(Reason.SOURCE_NOT_FOUND, "hub answers 404."))
    verdict = world.step()
    assert isinstance(verdict.problem, Refused)
    assert verdict.problem.reason is Reason.SOURCE_NOT_FOUND
    assert "source" not in verdict.part.status


def test_a_resolution_needs_the_claim_and_the_way_to_the_source() -> None:
    wish = request(BRANCH, allow_mutable=True, hub="https://hub.test")
    assert claims(wish) == (WEIGHTS_CLAIM,)
    assert goes_to(wish) == "https://hub.test"
    first = decide(wish, World(wish).snapshot)
    assert first.part.objects == ()
    assert [o["metadata"]["name"] for o in first.part.kept] == [WEIGHTS_CLAIM]


def test_the_folders_of_a_moving_source_stay_while_it_is_wanted() -> None:
    spec = {"uri": "https://weights.test/m.gguf", "allowMutable": True}
    (being_fetched,) = in_use([{"source": spec}], []) or ()
    assert being_fetched.startswith("moving-")
    frozen = moving.status(moving.of_spec(spec, {}), result.Pinned(spec["uri"], SHA), World(request()).snapshot.now)  # type: ignore[arg-type]
    assert in_use([{"source": spec, "frozen": frozen}], []) == {f"sha256-{SHA}"}
