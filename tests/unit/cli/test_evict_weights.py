"""The Job that makes room, on real folders; what is free is what they leave of a claim of 100 bytes."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from tests.fakes.gguf_file import build

from smallmodel_operator.cli import evict_weights, fetch_weights, turn
from smallmodel_operator.cli.make_weights import Made, prepare
from smallmodel_operator.cli.texts import Texts
from smallmodel_operator.weights import result

CLAIM_BYTES = 100
OLD, NEW = 1_000.0, 2_000.0


def put(root: Path, letter: str, size: int, touched: float = OLD) -> str:
    folder = root / f"sha256-{letter * 64}"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"x" * size)
    (folder / ".lock").touch()
    os.utime(folder / ".lock", (touched, touched))
    return folder.name


def free(root: Path) -> int:
    return CLAIM_BYTES - sum(f.stat().st_size for f in root.rglob("*") if f.is_file())


def evict(root: Path, needed: int, *keep: str) -> result.Evicted | None:
    said = root.parent / "message"
    assert evict_weights.evict(root, frozenset(keep), needed, 1_500.0, said, free) == result.EXIT_FOUND
    return result.evicted(said.read_text())


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    root = tmp_path / "claim"
    root.mkdir()
    return root


def test_the_longest_unused_goes_and_what_is_used_stays(claim: Path) -> None:
    used, oldest, older = put(claim, "a", 30, 1.0), put(claim, "b", 20, 2.0), put(claim, "c", 40, 3.0)
    assert evict(claim, 25, used) == result.Evicted((oldest,), 20, 40)
    assert sorted(p.name for p in claim.iterdir()) == [used, older]


def test_nothing_goes_where_all_of_it_would_not_do(claim: Path) -> None:
    names = {put(claim, "a", 30), put(claim, "b", 20)}
    assert evict(claim, 101) == result.Evicted((), 0, 50)
    assert {p.name for p in claim.iterdir()} == names


def test_what_was_used_since_the_decision_stays(claim: Path) -> None:
    put(claim, "a", 60, NEW)
    assert evict(claim, 90) == result.Evicted((), 0, 0)
    assert (claim / f"sha256-{'a' * 64}" / "model.gguf").exists()


def test_another_goes_in_the_place_of_one_a_download_works_in(claim: Path) -> None:
    busy, idle = put(claim, "a", 40, 1.0), put(claim, "b", 40, 2.0)
    with (claim / busy / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = evict(claim, 50)
    assert found == result.Evicted((idle,), 40, 40)
    assert (claim / busy / "model.gguf").exists()


def test_what_is_no_download_is_never_touched(claim: Path) -> None:
    (claim / "mine").mkdir()
    (claim / "mine" / "file").write_bytes(b"x" * 90)
    (claim / f"sha256-{'d' * 64}").symlink_to(claim / "mine")
    assert evict(claim, 50) == result.Evicted((), 0, 0)
    assert (claim / "mine" / "file").exists()


def test_what_an_earlier_pod_left_half_removed_goes(claim: Path) -> None:
    (claim / f".evicted-sha256-{'a' * 64}").mkdir()
    (claim / f".evicted-sha256-{'a' * 64}" / "model.gguf").write_bytes(b"x" * 60)
    assert evict(claim, 90) == result.Evicted((), 0, 0)
    assert list(claim.iterdir()) == []


def test_a_file_that_a_download_finds_there_is_used_from_then_on(claim: Path) -> None:
    name = put(claim, "a", 0)
    (claim / name / "model.gguf").write_bytes(build())
    wish = fetch_weights.Download("https://nowhere.test/m", "a" * 64, str(claim / name), "sha256:a")
    assert fetch_weights.fetch(wish, claim.parent / "found") == result.EXIT_FOUND
    assert evict(claim, 90) == result.Evicted((), 0, 0)
    assert (claim / name / "model.gguf").exists()


def test_a_download_that_waited_for_a_folder_that_went_makes_it_anew(
    claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The eviction had the lock first: the download gets the lock of a folder that is no longer there."""
    name = put(claim, "a", 5)
    (claim / name / "model.gguf").unlink()
    taken: list[int] = []

    def take(_: object) -> None:
        if not taken:
            (claim / name).rename(claim / "going")
        taken.append(1)

    def download(wish: fetch_weights.Download, *_: object) -> None:
        wish.target.write_bytes(build())

    monkeypatch.setattr(turn, "_take", take)
    monkeypatch.setattr(fetch_weights, "_download", download)
    wish = fetch_weights.Download("https://nowhere.test/m", "a" * 64, str(claim / name), "sha256:a")
    assert fetch_weights.fetch(wish, claim.parent / "found") == result.EXIT_FOUND
    assert len(taken) == 2
    assert (claim / name / "model.gguf").exists()
    assert not (claim / "going" / "model.gguf").exists()


def test_a_made_type_goes_with_what_was_left_of_the_work(claim: Path) -> None:
    folder = claim / f"quantized-{'a' * 64}"
    (folder / ".work-1").mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"x" * 30)
    (folder / ".work-1" / "base.kld").write_bytes(b"x" * 20)
    os.utime(folder, (OLD, OLD))
    assert evict(claim, 90) == result.Evicted((folder.name,), 50, 0)
    assert list(claim.iterdir()) == []


def test_a_made_type_that_is_found_there_again_stays(claim: Path) -> None:
    """Its model came after the list of what stays was made: the first step of its Job says that it is used."""
    folder = claim / f"quantized-{'a' * 64}"
    work = Made(folder, "Q8_0", "d" * 64, ".work-1")
    assert prepare(work, claim / "gone", 0, Texts(), claim.parent / "said") == result.EXIT_FOUND
    os.utime(folder, (OLD, OLD))
    assert evict(claim, 90) == result.Evicted((), 0, 0)
    assert folder.exists()


def made(root: Path, kind: str, letter: str, **note: str) -> str:
    """A folder with a file that was made a while ago, and what is said of it."""
    folder = root / f"{kind}-{letter * 64}"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"x" * 100)
    if note:
        (folder / "model.gguf.json").write_text(json.dumps(note))
    os.utime(folder, (OLD, OLD))
    return folder.name


def test_what_was_converted_makes_room_and_the_parents_of_what_is_used_stay(claim: Path) -> None:
    downloaded = made(claim, "hf", "1")
    converted = made(claim, "converted", "2", sha256="c" * 64, source="f" * 64, **{"from": downloaded})
    used = made(claim, "quantized", "3", sha256="d" * 64, parent="c" * 64)
    unused = made(claim, "converted", "4", sha256="e" * 64)
    damaged = made(claim, "converted", "5")
    (claim / damaged / "model.gguf.json").write_text("[")
    os.utime(claim / damaged, (OLD, OLD))
    said = claim.parent / "message"
    more = 5_000 - CLAIM_BYTES
    evict_weights.evict(
        claim, frozenset({used}), free(claim) + more + 200, 1_500.0, said, lambda root: free(root) + more
    )
    assert {p.name for p in claim.iterdir()} == {downloaded, converted, used}
    gone = result.evicted(said.read_text())
    assert gone is not None
    assert set(gone.folders) == {unused, damaged}
    assert gone.unused_bytes == 0
