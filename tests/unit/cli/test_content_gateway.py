"""`slm content` on a folder that a gateway wrote: read, checked, erased; and what is wrong with it named."""

import json
import os
from pathlib import Path

import pytest
from tests.fakes.chain import Fixture
from typer.testing import CliRunner

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.sealed import Form, seal
from smallmodel_operator.audit.content.shards import scoped
from smallmodel_operator.audit.record import Kind
from smallmodel_operator.cli.app import app
from smallmodel_operator.gateway.record.erased import Erased

TIME = "2026-11-23T05:26:00.000000Z"


class Claim:
    """What a gateway kept, the keys in a file, and the command."""

    def __init__(self, folder: Path) -> None:
        self.made, self.keys = Fixture(folder / "claim", segment_bytes=1500), folder / "keys.json"
        self.folder = folder
        self.ring = Keyring.new(os.urandom)
        self.made.answer(2)
        self.made.read()

    def keep(self, request: str, subject: str, text: str = "text") -> None:
        self.ring, key = self.ring.keyed(self.ring.pseudonym(scoped("support", subject)), os.urandom)
        plain = json.dumps([{"place": "messages[0].content", "text": text}]).encode()
        sealed = seal(plain, request, Form.FULL, key, os.urandom)
        self.made.recorder.keep(sealed.line())
        self.made.recorder.add({"kind": Kind.DECISION.value, **sealed.reference()})
        self.made.recorder.commit()

    def erase(self, subject: str) -> None:
        self.ring = self.ring.without(self.ring.pseudonym(scoped("support", subject)), TIME)

    def note(self) -> None:
        erased = Erased(self.folder)
        erased.open()
        erased.note(self.made.recorder, self.ring.erased)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.made.recorder.commit()
        self.keys.write_bytes(self.ring.dump())
        given = ["content", *arguments, "--store", str(self.made.audit), "--keys", str(self.keys)]
        done = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def states(self) -> tuple[int, dict[str, str], list[str]]:
        code, out, _ = self("verify", "-o", "json")
        value = json.loads(out)
        return code, {one["request"]: one["state"] for one in value["requests"]}, value["faults"]


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    (tmp_path / "claim").mkdir()
    made = Claim(tmp_path)
    for request, subject in (("a-1", "ada"), ("b-1", "bob"), ("a-2", "ada")):
        made.keep(request, subject, f"text of {request}")
    return made


def test_all_is_readable_over_segments(claim: Claim) -> None:
    assert len(list(claim.made.audit.glob("*.content"))) > 1
    assert claim.states() == (0, {"a-1": "Readable", "b-1": "Readable", "a-2": "Readable"}, [])
    code, out, _ = claim("show", "a-2")
    assert (code, json.loads(out)) == (0, {"place": "messages[0].content", "text": "text of a-2"})
    assert claim("show", "nobody")[0] == 1
    assert "records: 3 Readable." in claim("verify")[1]


def test_erased_and_said_in_the_chain(claim: Claim) -> None:
    claim.erase("ada")
    code, states, _ = claim.states()
    assert (code, states["a-1"], states["b-1"]) == (1, "ErasedUnrecorded", "Readable")
    claim.note()
    claim.keep("a-3", "ada", "again")
    assert claim.states() == (
        0, {"a-1": "Erased", "b-1": "Readable", "a-2": "Erased", "a-3": "Readable"}, []
    )  # fmt: skip
    code, out, err = claim("show", "a-1")
    assert (code, out) == (1, "")
    assert f"Erased since {TIME}" in err


def test_a_key_that_is_back(claim: Claim) -> None:
    before = claim.ring
    claim.erase("ada")
    claim.note()
    claim.ring = before
    assert claim.states()[1]["a-1"] == "KeyIsBack"
    assert claim("show", "a-1")[0] == 1


def test_a_line_that_was_changed_moved_or_taken_out(claim: Claim) -> None:
    files = sorted(claim.made.audit.glob("*.content"))
    whole = files[0].read_bytes()
    files[0].write_bytes(whole.replace(b'"nonce":"', b'"nonce":"00', 1))
    assert claim.states()[1]["a-1"] == "Changed"
    files[0].unlink()
    assert claim.states()[1]["a-1"] == "Missing"
    files[-1].write_bytes(files[-1].read_bytes() + whole)
    assert claim.states()[:2] == (0, {"a-1": "Readable", "b-1": "Readable", "a-2": "Readable"}), "by what it is"


def test_a_line_of_which_no_record_tells(claim: Claim) -> None:
    (first, *_) = sorted(claim.made.audit.glob("*.content"))
    key = next(iter(claim.ring.keys.values()))
    stray = seal(b"[]", "stray", Form.FULL, key, os.urandom).line()
    first.write_bytes(stray + first.read_bytes())
    code, _, faults = claim.states()
    assert (code, faults) == (1, ["Content of stray lies there, and no record tells of it."])
    first.write_bytes(first.read_bytes().removeprefix(stray) + stray)
    assert claim.states()[0] == 0, "the end of a file may be newer than the records that were copied"
    first.write_bytes(b"{}\n" + first.read_bytes())
    assert "is no sealed content" in claim.states()[2][0]


def test_records_that_were_changed_are_named_too(claim: Claim) -> None:
    segment = claim.made.segments[0]
    segment.write_bytes(segment.read_bytes().replace(b"support", b"Support", 1))
    code, _, faults = claim.states()
    assert code == 1
    assert any("`slm audit verify` names all" in fault for fault in faults)


def test_a_folder_without_records_and_keys_of_another_ring(claim: Claim, tmp_path: Path) -> None:
    claim.ring = Keyring.new(os.urandom)
    code, states, _ = claim.states()
    assert (code, set(states.values())) == (1, {"KeyLost"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x").write_text("")
    given = ["content", "verify", "--store", str(tmp_path / "empty"), "--keys", str(claim.keys)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2
    assert "no records in" in done.stderr


@pytest.mark.parametrize(
    "given", [[], ["--store", "x"], ["--keys", "x"], ["-n", "support", "--store", "x", "--keys", "y"]]
)
def test_erase_wants_to_know_where(given: list[str]) -> None:
    done = CliRunner().invoke(app, ["content", "erase", "--subject", "ada", *given])
    assert done.exit_code == 2
    assert "--namespace of the route" in done.stderr


def test_without_a_cluster_and_without_a_file_of_keys_it_is_said(claim: Claim, tmp_path: Path) -> None:
    given = ["content", "verify", "--store", str(claim.made.audit)]
    nothing = {"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    done = CliRunner().invoke(app, given, env=nothing)
    assert done.exit_code == 2
    assert "cannot be had" in done.stderr
