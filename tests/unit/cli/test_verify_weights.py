"""Signed with the signers' own tool, verified as the inspection Job does it, without a network."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tests.fakes.gguf_file import build

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import verify_weights
from smallmodel_operator.cli.inspect_weights import inspect
from smallmodel_operator.cli.verify_weights import SIGNATURE, Wish
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import result

REFERENCE = "release-keys/release.pub"
NAME = "it's the model, v1.gguf"


def write_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> Path:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)
    return private


def sign(folder: Path, key: Path, ignored: tuple[str, ...] = (SIGNATURE,)) -> None:
    from model_signing import hashing, signing  # takes a second, which every worker that only collects would take, too

    rules = hashing.Config().set_ignored_paths(paths=[folder / i for i in ignored])
    config = signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(rules)
    config.sign(folder, folder / SIGNATURE)


class Release:
    """A volume with a signed folder in it, as a publisher would make it."""

    def __init__(self, tmp: Path) -> None:
        self.keys = tmp / "keys"
        self.keys.mkdir()
        self.private = write_key(self.keys, "release")
        self.public = self.keys / "release.pub"
        self.root = tmp / "weights"
        self.folder = self.root / "bot"
        (self.folder / "docs").mkdir(parents=True)
        self.model = self.folder / NAME
        self.model.write_bytes(build())
        (self.folder / "docs" / "README.md").write_text("What it is for.")
        self.signature = self.folder / SIGNATURE
        self.message = tmp / "termination-log"
        sign(self.folder, self.private)

    def look(self) -> WeightsFacts | result.Failure:
        wish = Wish(REFERENCE, self.public)
        code = inspect(str(self.root), "", "pvc:models", "", "uid-1", wish, self.message)
        said = result.decode(self.message.read_text())
        assert said is not None
        fine = isinstance(said, WeightsFacts)
        assert code == (result.EXIT_FOUND if fine else result.EXIT_REFUSED)
        return said

    def refusal(self) -> result.Failure:
        said = self.look()
        assert isinstance(said, result.Failure)
        assert not said.passing
        return said


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    made = Release(tmp_path)

    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("the inspection has no network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    return made


def test_what_was_signed_is_served_and_the_key_is_remembered(release: Release) -> None:
    said = release.look()
    assert isinstance(said, WeightsFacts)
    assert (said.file, said.verified_with) == (f"bot/{NAME}", REFERENCE)
    assert len(said.key_fingerprint) == 64


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=["P-384", "P-521"])
def test_other_curves_are_known(release: Release, curve: ec.EllipticCurve) -> None:
    sign(release.folder, write_key(release.keys, "release", curve))
    assert isinstance(release.look(), WeightsFacts)


def test_the_signature_may_lie_above_the_weights_and_the_nearest_counts(release: Release) -> None:
    release.signature.unlink()
    sign(release.root, release.private)
    assert isinstance(release.look(), WeightsFacts)
    sign(release.folder, write_key(release.keys, "stranger"))
    assert release.refusal().reason is Reason.SIGNING_KEY_MISMATCH


def test_a_signature_that_does_not_leave_itself_out_is_taken(release: Release) -> None:
    """Made beside the folder and copied into it: it signs everything but itself."""
    release.signature.unlink()
    sign(release.folder, release.private, ignored=())
    assert isinstance(release.look(), WeightsFacts)


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def _flip_weights(release: Release) -> None:
    flip(release.model)


def _cut_weights(release: Release) -> None:
    release.model.write_bytes(release.model.read_bytes()[:-1])


def _change_card(release: Release) -> None:
    flip(release.folder / "docs" / "README.md")


def _add_file(release: Release) -> None:
    (release.folder / "docs" / "extra.py").write_text("import os")


def _remove_file(release: Release) -> None:
    (release.folder / "docs" / "README.md").unlink()


def _remove_signature(release: Release) -> None:
    release.signature.unlink()


def _other_key(release: Release) -> None:
    write_key(release.keys, "release")


def _link(release: Release) -> None:
    (release.folder / "docs" / "link").symlink_to("/etc/hostname")


CASES: dict[str, tuple[Callable[[Release], None], Reason, str]] = {
    "a flipped bit": (_flip_weights, Reason.SIGNED_FILE_CHANGED, f"`{NAME}` is not the file that was signed"),
    "a cut file": (_cut_weights, Reason.SIGNED_FILE_CHANGED, f"`{NAME}` is not the file that was signed"),
    "another file's byte": (_change_card, Reason.SIGNED_FILE_CHANGED, "`docs/README.md` is not the file"),
    "an extra file": (_add_file, Reason.FILE_NOT_SIGNED, "`docs/extra.py` was not signed"),
    "a missing file": (_remove_file, Reason.SIGNED_FILE_MISSING, "`docs/README.md` was signed and is not"),
    "no signature": (_remove_signature, Reason.SIGNATURE_MISSING, f"There is no `model.sig` beside `bot/{NAME}`"),
    "another key": (_other_key, Reason.SIGNING_KEY_MISMATCH, "`model.sig` was made with another key"),
    "a link": (_link, Reason.FILE_NOT_SIGNED, "holds a symbolic link"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_thing_that_is_wrong_has_its_reason_and_names_the_file(release: Release, case: str) -> None:
    change, reason, words = CASES[case]
    change(release)
    said = release.refusal()
    assert said.reason is reason
    assert words in said.message


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"verificationMaterial": {}}', '{"verificationMaterial": 7}', "\0" * 64, "{" * 100_000],
)
def test_what_is_no_signature_is_said_to_be_none(release: Release, text: str) -> None:
    release.signature.write_text(text)
    said = release.refusal()
    assert said.reason is Reason.SIGNATURE_INVALID
    assert "`model.sig`" in said.message or "`bot/model.sig`" in said.message


def _bundle(release: Release) -> Any:
    return json.loads(release.signature.read_text())


def test_a_statement_of_another_signature_is_refused(release: Release) -> None:
    """Its bytes are signed by the key, but the statement is another one."""
    flip(release.model)
    good = _bundle(release)
    sign(release.folder, write_key(release.keys, "stranger"))
    forged = _bundle(release)
    forged["dsseEnvelope"]["signatures"] = good["dsseEnvelope"]["signatures"]
    forged["verificationMaterial"] = good["verificationMaterial"]
    release.signature.write_text(json.dumps(forged))
    said = release.refusal()
    assert said.reason is Reason.SIGNATURE_INVALID
    assert "the key in Secret release-keys/release.pub did not make it" in said.message


def test_without_a_hint_another_key_is_still_refused(release: Release) -> None:
    sign(release.folder, write_key(release.keys, "stranger"))
    bundle = _bundle(release)
    bundle["verificationMaterial"]["publicKey"].pop("hint")
    release.signature.write_text(json.dumps(bundle))
    assert release.refusal().reason is Reason.SIGNATURE_INVALID


def test_weights_that_the_signer_left_out_are_refused(release: Release) -> None:
    sign(release.folder, release.private, ignored=(SIGNATURE, NAME))
    said = release.refusal()
    assert said.reason is Reason.FILE_NOT_SIGNED
    assert f"`{NAME}` is not among the files" in said.message


def test_a_signature_without_an_end_is_not_read(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_weights, "MAX_SIGNATURE", 100)
    assert "is larger than" in release.refusal().message


def test_many_files_are_named_by_the_first(release: Release) -> None:
    for i in range(9):
        (release.folder / f"extra-{i}.txt").write_text("x")
    said = release.refusal()
    assert "`extra-0.txt`, `extra-1.txt`, `extra-2.txt`, `extra-3.txt` (and 5 more) was not signed" in said.message


def test_a_secret_that_is_not_there_is_named_with_the_command(release: Release) -> None:
    release.public.unlink()
    said = release.refusal()
    assert said.reason is Reason.SECRET_NOT_FOUND
    assert "Secret 'release-keys', entry 'release.pub'" in said.message
    assert "kubectl create secret generic release-keys --from-file=release.pub=" in said.message


def test_what_is_no_public_key_is_said_to_be_none_and_not_quoted(release: Release) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = edwards.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for data in (b"secret words", b"", release.private.read_bytes(), pem):
        release.public.write_bytes(data)
        said = release.refusal()
        assert said.reason is Reason.SECRET_INVALID
        assert "release-keys" in said.message
        assert "secret words" not in said.message


def test_a_signed_file_that_is_a_pickle_is_refused_all_the_same(release: Release) -> None:
    release.model.write_bytes(b"\x80\x04\x95" + bytes(64))
    sign(release.folder, release.private)
    assert release.refusal().reason is Reason.UNSAFE_FORMAT
