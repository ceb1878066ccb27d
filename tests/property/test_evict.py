"""What makes room: whatever lies in the claim, nothing that is used goes, nor more than it takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.weights.evict import Stored, choose, in_use

KINDS = ("sha256", "hf", "moving", "quantized", "converted")
FOLDERS = st.integers(0, 15).map(lambda n: f"{KINDS[n % 5]}-{n:064x}")
NAMES = FOLDERS | st.sampled_from(["lost+found", "sha256-short", "..", ".evicted-x", ""])
STORED = st.lists(
    st.builds(Stored, NAMES, st.integers(0, 100), st.integers(0, 50).map(float)),
    max_size=8,
    unique_by=lambda s: s.folder,
)


@settings(max_examples=200)
@given(STORED, st.frozensets(FOLDERS, max_size=6), st.integers(0, 400), st.integers(0, 100), st.integers(0, 60))
def test_nothing_that_is_used_goes_and_no_more_than_it_takes(
    stored: list[Stored], keep: frozenset[str], needed: int, free: int, before: int
) -> None:
    gone = choose(stored, keep, needed, free, before)
    assert not {s.folder for s in gone} & keep
    assert all(s in stored and s.touched < before for s in gone)
    assert all(s.folder.partition("-")[0] in KINDS and len(s.folder) > 60 for s in gone)
    unused = [s for s in stored if s.folder not in keep and s.touched < before and len(s.folder) > 60]
    room = free + sum(s.size for s in unused)
    if not gone:
        assert free >= needed or room < needed
    else:
        assert free + sum(s.size for s in gone) >= needed
        assert free + sum(s.size for s in gone[:-1]) < needed
        assert max(s.touched for s in gone) <= min((s.touched for s in unused if s not in gone), default=before)


MODELS = st.lists(
    st.builds(
        lambda uri, sha, now, before: {
            "source": {"uri": uri, "sha256": sha},
            "weights": {**({"folder": now} if now else {}), **({"previous": {"folder": before}} if before else {})},
        },
        st.sampled_from(["https://h.test/m.gguf", "s3://models/m.gguf", "oci://x", "pvc://other/m.gguf", ""]),
        st.integers(0, 15).map(lambda n: f"{n:064x}"),
        FOLDERS | st.just(""),
        FOLDERS | st.just(""),
    ),
    max_size=4,
)


@settings(max_examples=100)
@given(MODELS, st.lists(FOLDERS, max_size=4))
def test_what_a_model_wants_has_had_or_mounts_is_used(
    models: list[dict[str, dict[str, str]]], mounted: list[str]
) -> None:
    volumes = [{"name": "weights", "persistentVolumeClaim": {"claimName": "smallmodel-weights"}}]
    specs = [
        {"volumes": volumes, "containers": [{"volumeMounts": [{"name": "weights", "subPath": folder}]}]}
        for folder in mounted
    ]
    used = in_use(models, specs)
    assert used is not None
    assert set(mounted) <= used
    for model in models:
        known = model["weights"]
        assert {known.get("folder"), known.get("previous", {}).get("folder")} - {None} <= used
        if model["source"]["uri"].startswith(("https", "s3")):
            assert f"sha256-{model['source']['sha256']}" in used


def test_a_model_that_uses_the_whole_claim_keeps_all_of_it() -> None:
    whole = {"source": {"uri": "pvc://smallmodel-weights"}}
    assert in_use([whole], []) is None
    part = {"source": {"uri": f"pvc://smallmodel-weights/sha256-{'a' * 64}/model.gguf"}}
    assert in_use([part], []) == {f"sha256-{'a' * 64}"}
