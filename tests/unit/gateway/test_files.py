"""Configuration files: whole, only when different, in an order without dangling references."""

import os
from pathlib import Path

import pytest

from smallmodel_operator.gateway.files import CDS, LDS, RDS, Files, dump, in_order

BOT = "xds/eds/support.bot.json"


def everything(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert files.write(CDS, b"{}")
    before = (tmp_path / CDS).stat()
    assert not files.write(CDS, b"{}")
    assert not Files(tmp_path).write(CDS, b"{}"), "nor by an agent that starts again"
    assert (tmp_path / CDS).stat() == before
    assert files.write(CDS, b"[]")
    assert (tmp_path / CDS).stat().st_ino != before.st_ino, "replaced, not written into"


def test_files_are_for_the_gateway_alone(tmp_path: Path) -> None:
    Files(tmp_path).write(RDS, b"{}")
    assert (tmp_path / RDS).stat().st_mode & 0o077 == 0, "it holds the engines' keys"


def test_equal_values_give_equal_bytes() -> None:
    assert dump({"b": 1, "a": [1]}) == dump({"a": [1], "b": 1}) == b'{"a":[1],"b":1}'


def test_what_is_referred_to_comes_first() -> None:
    assert in_order([LDS, "xds/sds.json", RDS, CDS, BOT]) == [BOT, CDS, RDS, "xds/sds.json", LDS]


def test_endpoints_go_after_what_referred_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path)
    files.write_all({BOT: b"{}", CDS: b"with"})
    order: list[str] = []
    replace, unlink = os.replace, Path.unlink
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(Path(b).name), replace(a, b)))
    monkeypatch.setattr(Path, "unlink", lambda p, **k: (order.append(f"-{p.name}"), unlink(p, **k)))
    assert files.write_all({CDS: b"without"}) == [CDS]
    assert order == ["cds.json", "-support.bot.json"]
    assert everything(tmp_path) == {CDS}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path)
    files.write(CDS, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            files.write(CDS, b"new")
    assert (tmp_path / CDS).read_bytes() == b"old"
    assert everything(tmp_path) == {CDS}
    assert files.write(CDS, b"new"), "and it is tried again"


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    Files(tmp_path)
    (tmp_path / "xds" / "eds" / ".support.bot.json.new").write_bytes(b"{")
    assert everything(tmp_path) == {"xds/eds/.support.bot.json.new"}
    Files(tmp_path)
    assert everything(tmp_path) == set()


def test_a_file_that_is_no_json_is_as_none(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write(CDS, b"{")
    assert files.read(CDS) is None
    assert files.read(RDS) is None
    assert files.endpoints() == []
