"""Layers as container tools write them, and as somebody writes them who means harm."""

import gzip
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from backports import zstd

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import unpack
from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.cli.unpack import Unpacking
from smallmodel_operator.weights.refusal import BadWeights


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Claim(NamedTuple):
    root: Path
    unpacking: Unpacking

    def take(self, data: bytes) -> None:
        layer = self.root.parent / "layer"
        layer.write_bytes(data)
        self.unpacking.unpack(layer)

    @property
    def files(self) -> dict[str, bytes]:
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    root = tmp_path / "files"
    root.mkdir()
    return Claim(root, Unpacking(root))


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_weights_are_taken_and_nothing_else(claim: Claim, packed: Any, form: int) -> None:
    data = tar(
        special("models", tarfile.DIRTYPE), ("models/bot.gguf", b"GGUF" * 9), ("./models/config.json", b"{}"),
        ("bin/sh", b"#!"), ("models/modeling.py", b"import os"), ("pytorch_model.bin", b"\x80"), form=form,
    )  # fmt: skip
    claim.take(packed(data))
    assert claim.files == {"models/bot.gguf": b"GGUF" * 9, "models/config.json": b"{}"}
    assert claim.unpacking.pickle == "pytorch_model.bin"
    assert (claim.root / "models/bot.gguf").stat().st_mode & 0o777 == 0o644


def test_long_names_are_whole(claim: Claim) -> None:
    name = "/".join(["folder" * 10] * 4) + "/m.gguf"
    claim.take(tar((name, b"x")))
    claim.take(tar((name.replace("m.gguf", "n.gguf"), b"y"), form=tarfile.GNU_FORMAT))
    assert set(claim.files.values()) == {b"x", b"y"}


def test_later_layers_replace_and_remove(claim: Claim) -> None:
    claim.take(
        tar(("a/m.gguf", b"1"), ("a/n.gguf", b"1"), ("b/x.json", b"1"), ("c.json", b"1"), ("d.json/e.txt", b"1"))
    )
    claim.take(tar(("a/m.gguf", b"2"), ("a/.wh.n.gguf", b""), (".wh.b", b""), ("c.json/x.txt", b"2"), ("d.json", b"2")))
    assert claim.files == {"a/m.gguf": b"2", "c.json/x.txt": b"2", "d.json": b"2"}


def test_an_opaque_folder_hides_what_is_below_it_and_not_its_own(claim: Claim) -> None:
    claim.take(tar(("a/old.gguf", b"1"), ("a/deep/old.json", b"1"), ("b/old.gguf", b"1")))
    claim.take(tar(("a/new.gguf", b"2"), ("a/.wh..wh..opq", b"")))
    assert claim.files == {"a/new.gguf": b"2", "b/old.gguf": b"1"}


def test_a_layer_that_was_begun_is_unpacked_again(claim: Claim) -> None:
    claim.take(tar(("old.gguf", b"1")))
    second = tar((".wh.old.gguf", b""), ("m.gguf", b"2"), ("m.json", b"2"))
    for _ in range(2):
        claim.take(second)
    assert claim.files == {"m.gguf": b"2", "m.json": b"2"}


@pytest.mark.parametrize(
    "member",
    [
        ("../m.gguf", b"x"), ("/m.gguf", b"x"), ("a/../../m.gguf", b"x"), ("../.wh.m.gguf", b""),
        ("a/.wh...", b""), special("m.gguf", tarfile.SYMTYPE, "/etc/passwd"),
        special("m.safetensors", tarfile.LNKTYPE, "../other/m.safetensors"), special("m.gguf", tarfile.CHRTYPE),
        special("m.gguf", tarfile.FIFOTYPE),
    ],
    ids=lambda m: m[0] if isinstance(m, tuple) else f"{m.name}-{m.type!r}",
)  # fmt: skip
def test_what_leads_out_or_is_no_file_is_refused(claim: Claim, member: Any) -> None:
    beside = claim.root.parent / "m.gguf"
    beside.write_bytes(b"another model's")
    with pytest.raises(BadWeights) as caught:
        claim.take(tar(("first.gguf", b"x"), member))
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    assert set(claim.files) == {"first.gguf"}
    assert beside.read_bytes() == b"another model's"


def test_a_link_in_the_way_is_not_followed(claim: Claim) -> None:
    outside = claim.root.parent / "outside"
    outside.mkdir()
    claim.take(tar(special("models", tarfile.SYMTYPE, str(outside)), ("models/m.gguf", b"x"), special("x", b"4")))
    assert claim.files == {"models/m.gguf": b"x"}
    assert not list(outside.iterdir())
    assert not (claim.root / "models").is_symlink()


def test_what_unpacks_to_more_than_any_model_is_refused(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 2**20)
    with pytest.raises(BadWeights, match="when it is unpacked"):
        claim.take(gzip.compress(tar(("junk", bytes(2**22)), ("m.gguf", b"x"))))
    assert not claim.files


def test_counts_and_headers_are_bounded(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = tarfile.TarInfo("m.gguf")
    huge.pax_headers = {"comment": "x" * (unpack.MAX_EXTENSION + 1)}
    with pytest.raises(BadWeights, match="an extended header is too large"):
        claim.take(tar(huge))
    monkeypatch.setattr(unpack, "MAX_FILES", 2)
    with pytest.raises(BadWeights, match="too many files"):
        claim.take(tar(*((f"{n}.json", b"") for n in range(4))))
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 3)
    with pytest.raises(BadWeights, match="too many files"):
        claim.take(tar(*((f"{n}", b"") for n in range(4))))


@pytest.mark.parametrize(
    "data",
    [b"GGUF" * 200, gzip.compress(bytes(600))[:20], b"\x1f\x8b" + b"x" * 600, zstd.compress(bytes(9999))[:12],
     tar(("m.gguf", bytes(5000)))[:3000]],
    ids=["no-archive", "cut-gzip", "bad-gzip", "cut-zstd", "cut-tar"],
)  # fmt: skip
def test_what_cannot_be_unpacked_is_said(claim: Claim, data: bytes) -> None:
    with pytest.raises(BadWeights) as caught:
        claim.take(data)
    assert "Build and push it again" in caught.value.message


def test_a_full_claim_is_said_before_it_is_full(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(claim.root)._replace(free=unpack.KEEP_FREE + 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    claim.take(tar(("small.gguf", b"x" * 10)))
    with pytest.raises(Trouble) as caught:
        claim.take(tar(("m.gguf", b"x" * 11)))
    assert caught.value.failure.reason is Reason.CLAIM_FULL
    assert caught.value.failure.needed_bytes
    assert set(claim.files) == {"small.gguf"}
