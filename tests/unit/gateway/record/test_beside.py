"""What is kept of requests lies beside the segment that names it: written before it, cut with it, gone with it."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chain import BEGAN, Fixture

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.sealed import Form, Sealed, seal
from smallmodel_operator.audit.record import Kind
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.gateway import files
from smallmodel_operator.gateway.record import segments


class Keeping:
    """A chain, and requests whose content is kept."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.made = Fixture(folder, **more)
        ring, self.key = Keyring.new(os.urandom).keyed("a" * 32, os.urandom)
        self.ring = ring

    def keep(self, *requests: str, text: bytes = b"text") -> list[Sealed]:
        """In one commit."""
        made = [seal(text, request, Form.FULL, self.key, os.urandom) for request in requests]
        for sealed in made:
            self.made.recorder.keep(sealed.line())
            self.made.recorder.add({"kind": Kind.DECISION.value, **sealed.reference()})
        self.made.recorder.commit()
        return made

    def beside(self) -> dict[str, bytes]:
        """Content by the names of its files."""
        return {path.name: path.read_bytes() for path in sorted(self.made.audit.glob("*.content"))}

    def intact(self) -> bool:
        (chain,) = chains([str(self.made.audit)])
        return check(chain).intact


def lines(*sealed: Sealed) -> bytes:
    return b"".join(one.line() for one in sealed)


def test_it_is_there_and_the_commit_says_how_much(tmp_path: Path) -> None:
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    first = at.keep("one", "two")
    second = at.keep("three")
    (content,) = at.beside().values()
    assert content == lines(*first, *second)
    said = [record["commit"].get("content") for record in at.made.records if "commit" in record]
    assert said[-2:] == [len(lines(*first)), len(content)]
    assert at.intact()
    assert (at.made.audit / next(iter(at.beside()))).stat().st_mode & 0o777 == 0o600


def test_where_nothing_is_kept_there_is_no_file_and_no_word(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.answer(3)
    made.read()
    assert list(made.audit.glob("*.content")) == []
    assert all("content" not in record.get("commit", {}) for record in made.records)


def test_what_a_crash_left_after_the_last_commit_is_cut_off(tmp_path: Path) -> None:
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    kept = at.keep("one")
    at.made.stop()
    (name,) = at.beside()
    with (at.made.audit / name).open("ab") as file:
        file.write(seal(b"never told", "two", Form.FULL, at.key, os.urandom).line()[:-9])
    at.made.start()
    assert at.beside()[name] == lines(*kept)
    more = at.keep("three")
    assert at.beside()[name] == lines(*kept, *more)
    assert at.intact()


def test_of_what_the_power_took_the_rest_stays_readable(tmp_path: Path) -> None:
    """The file has less than the commit says: what is written next begins at its end."""
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    kept, lost = at.keep("one"), at.keep("two")
    at.made.stop()
    (name,) = at.beside()
    os.truncate(at.made.audit / name, len(lines(*kept)))
    at.made.start()
    more = at.keep("three")
    assert at.beside()[name] == lines(*kept, *more)
    assert lost[0].line() not in at.beside()[name]


@pytest.mark.parametrize("room", [0, 1, 200, 900])
def test_a_full_disk_leaves_no_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    kept = at.keep("one")
    left = [room]

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        @staticmethod
        def write(descriptor: int, data: Any) -> int:
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = os.write(descriptor, data[: left[0]])
            left[0] -= count
            return count

    mark = at.made.recorder.mark()
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", Full())
        with pytest.raises(OSError):
            at.keep("two")
    at.made.recorder.back_to(mark)
    assert list(at.beside().values()) == [lines(*kept)]
    more = at.keep("three")
    assert list(at.beside().values()) == [lines(*kept, *more)]
    assert at.intact()


def test_another_segment_another_file_and_both_are_removed_together(tmp_path: Path) -> None:
    at = Keeping(tmp_path, segment_bytes=1)
    for number in range(4):
        at.keep(f"request-{number}")
    before = at.beside()
    assert len(before) == 4
    assert {name.partition(".")[0] for name in before} <= {path.stem for path in at.made.segments}
    oldest = at.made.segments[1]
    size = at.made.recorder.size()
    assert size == sum(path.stat().st_size for path in at.made.audit.iterdir() if path.suffix in (".jsonl", ".content"))
    at.made.recorder.retain(size - 100, BEGAN - timedelta(days=1))
    assert {path.stem for path in at.made.audit.glob("*.content")} <= {path.stem for path in at.made.segments}
    at.made.recorder.retain(1, BEGAN - timedelta(days=1))
    assert not oldest.exists()
    assert not set(before) & set(at.beside()) - {max(before)}


def test_much_content_begins_another_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "CONTENT_BYTES", 1000)
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    for number in range(3):
        at.keep(f"request-{number}", text=b"x" * 600)
    assert len(at.beside()) == 3


def test_content_whose_segment_was_being_removed_goes_at_the_next_start(tmp_path: Path) -> None:
    at = Keeping(tmp_path)
    at.keep("one")
    at.made.stop()
    orphan = at.made.audit / f"{999999:020d}.content"
    orphan.write_bytes(b"x\n")
    other = at.made.audit / "notes.content"
    other.write_bytes(b"somebody's")
    at.made.start()
    assert not orphan.exists()
    assert other.exists()


def test_beside_a_segment_that_is_set_aside_it_is_too(tmp_path: Path) -> None:
    at = Keeping(tmp_path, segment_bytes=1 << 20)
    at.keep("one")
    at.made.stop()
    (segment,) = at.made.segments
    segment.write_bytes(b"no record\n" * 40)
    at.made.start()
    assert (at.made.audit / f"{segment.stem}.content.damaged").exists()
    kept = at.keep("two")
    assert list(at.beside().values()) == [lines(*kept)]


def test_a_commit_that_says_no_number_is_none(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    found = segments.Segments(tmp_path / "other", 4096)
    found.open()
    assert found.ready(1) == 0
    made.stop()
