"""The cache of images: old ones go; what is used, or may be about to be, stays."""

import os
from pathlib import Path

import pytest
from hack.images import prune
from hack.images.prune import A_DAY, KEPT, LATELY, orphans, superfluous

NOW = 1_800_000_000.0
OLD = NOW - 10 * A_DAY


def archive(family: str, number: int) -> str:
    return f"{family}_{number:012x}-{number:012x}.tar"


def test_the_last_of_each_name_stay() -> None:
    found = {archive("operator", n): OLD + n for n in range(10)} | {archive("gateway", n): OLD + n for n in range(2)}
    assert superfluous(found, (), NOW) == {archive("operator", n) for n in range(10 - KEPT)}


def test_what_was_used_lately_or_is_loaded_stays() -> None:
    found = {archive("operator", n): NOW - LATELY + n for n in range(10)} | {archive("operator", 99): OLD}
    assert superfluous(found, (), NOW) == {archive("operator", 99)}
    assert superfluous(found, {archive("operator", 99)}, NOW) == set()


def test_what_is_no_built_image_is_not_touched() -> None:
    assert superfluous({f"weights-{n}.layer.tar": OLD for n in range(9)}, (), NOW) == set()


def test_layers_go_with_the_last_archive_made_of_them() -> None:
    assert orphans({"a": OLD, "b": OLD, "c": NOW - 60}, {"a"}, NOW) == {"b"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Six operator images, each of one layer of its own and one of all; the second is loaded by a cluster."""
    layers = tmp_path / "images" / "layers"
    layers.mkdir(parents=True)
    for key in ("base-1", *(f"{n:024x}" for n in (*range(6), 77))):
        (layers / key).mkdir()
        _file(layers / f"{key}.tar", OLD)
    for n in range(6):
        made = _file(tmp_path / "images" / archive("operator", n), OLD + n)
        prune.note_layers(made, [layers / f"{n:024x}.tar", layers / f"{77:024x}.tar", layers / "base-1.tar"])
    marks = tmp_path / "clusters" / "slm-test" / "loaded"
    marks.mkdir(parents=True)
    (marks / f"{archive('operator', 1)}-4-1700000000").touch()
    return tmp_path


def _file(path: Path, used: float) -> Path:
    path.write_text("made")
    os.utime(path, (used, OLD))
    return path


def test_files_go_with_their_layers_and_a_clusters_stay(cache: Path) -> None:
    gone = prune.prune(cache / "images", cache / "clusters", NOW)
    assert sorted(path.name for path in gone) == sorted(
        [archive("operator", 0), archive("operator", 2), f"{0:024x}.tar", f"{2:024x}.tar"]
    )
    layers = cache / "images" / "layers"
    kept = {"base-1", *(f"{n:024x}" for n in (1, 3, 4, 5, 77))}
    assert {path.name for path in layers.iterdir()} == kept | {f"{key}.tar" for key in kept}
    assert {path.name for path in (cache / "images").glob("*.tar")} == {archive("operator", n) for n in (1, 3, 4, 5)}
    assert prune.prune(cache / "images", cache / "clusters", NOW) == []


def test_using_one_keeps_it_and_changes_nothing_it_is_known_by(cache: Path) -> None:
    oldest = cache / "images" / archive("operator", 0)
    before = oldest.stat()
    prune.mark_used(oldest)
    assert (oldest.stat().st_mtime_ns, oldest.stat().st_size) == (before.st_mtime_ns, before.st_size)
    prune.prune(cache / "images", cache / "clusters", oldest.stat().st_atime)
    assert oldest.exists()
    prune.mark_used(cache / "not-there")
