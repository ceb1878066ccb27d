"""`slm content` as a user types it: kept, shown, erased, checked; and every way in which files can be wrong."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smallmodel_operator.audit.record import ORIGIN, read, seal
from smallmodel_operator.cli import content_store
from smallmodel_operator.cli.app import app

BODY = '{"messages": [{"role": "user", "content": "Pay DE75512108001245126199, today, Ada."}]}'


class Slm:
    """Commands on one store and one file of keys."""

    def __init__(self, folder: Path) -> None:
        self.store, self.keys = folder / "store", folder / "keys.json"

    def __call__(self, *arguments: str, stdin: str = BODY) -> tuple[int, str, str]:
        given = ["content", *arguments, "--store", str(self.store), "--keys", str(self.keys)]
        done = CliRunner().invoke(app, given, input=stdin, env={"COLUMNS": "200"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def keep(self, request: str, subject: str, *more: str, stdin: str = BODY) -> tuple[int, str, str]:
        return self("keep", "-", "--request", request, "--subject", subject, *more, stdin=stdin)

    def states(self) -> dict[str, str]:
        value = json.loads(self("verify", "-o", "json")[1])
        return {one["request"]: one["state"] for one in value["requests"]}

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.store / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


@pytest.fixture
def slm(tmp_path: Path) -> Slm:
    made = Slm(tmp_path)
    assert [made.keep("a-1", "ada")[0], made.keep("b-1", "bob")[0], made.keep("a-2", "ada")[0]] == [0, 0, 0]
    return made


def test_kept_is_shown_without_what_was_found(slm: Slm) -> None:
    code, out, _ = slm("show", "a-1")
    assert (code, json.loads(out.splitlines()[1])["text"]) == (0, "Pay [Iban] today, Ada.")
    assert slm("verify")[:2] == (0, "3 records: 3 Readable.\n")


def test_full_is_without_secrets_alone(slm: Slm) -> None:
    slm.keep("full", "ada", "--form", "Full")
    assert "DE75512108001245126199, today" in slm("show", "full")[1]
    slm.keep("secret", "ada", "--form", "Full", stdin='{"prompt": "password: hunter2hunter2"}')
    assert json.loads(slm("show", "secret")[1])["text"] == "[AssignedSecret]"


def test_nothing_that_was_said_stands_in_the_store_and_keys_are_their_owners(slm: Slm) -> None:
    stored = "".join(file.read_text() for file in slm.store.iterdir())
    assert not [word for word in ("Pay", "today", "bob", "Ada", '"ada') if word in stored]
    modes = {file.name: file.stat().st_mode & 0o777 for file in (slm.keys, *slm.store.iterdir())}
    assert modes == {"keys.json": 0o600, "records.jsonl": 0o600, "content.jsonl": 0o600}


def test_erasing_is_only_said_without_yes(slm: Slm) -> None:
    before = slm.keys.read_bytes()
    code, out, _ = slm("erase", "--subject", "ada")
    assert (code, "the content of 2 request(s). Nothing was done" in out) == (0, True)
    assert slm.keys.read_bytes() == before
    assert slm("verify")[0] == 0


def test_erased_is_erased_for_one_and_the_chain_says_so(slm: Slm) -> None:
    records = (slm.store / "records.jsonl").read_bytes()
    secret = [key["secret"] for key in json.loads(slm.keys.read_text())["keys"].values()]
    code, out, _ = slm("erase", "--subject", "ada", "--yes", "-o", "json")
    value = json.loads(out)
    assert (code, value["requests"], value["erased"]) == (0, ["a-1", "a-2"], True)
    assert (slm.store / "records.jsonl").read_bytes().startswith(records)
    assert slm("verify")[:2] == (0, "4 records: 2 Erased, 1 Readable.\n")
    assert sum(one in slm.keys.read_text() for one in secret) == 1
    code, out, err = slm("show", "a-1")
    assert (code, out, "a-1: Erased since 20" in err) == (1, "", True)
    assert slm("show", "b-1")[0] == 0


def test_who_comes_back_gets_a_key_that_opens_nothing_old(slm: Slm) -> None:
    slm("erase", "--subject", "ada", "--yes")
    assert slm.keep("a-3", "ada")[0] == 0
    assert slm.states() == {"a-1": "Erased", "b-1": "Readable", "a-2": "Erased", "a-3": "Readable"}
    assert json.loads(slm("erase", "--subject", "ada", "--yes", "-o", "json")[1])["requests"] == ["a-3"]
    assert slm("verify")[0] == 0


def test_nobody_is_erased_twice(slm: Slm) -> None:
    slm("erase", "--subject", "ada", "--yes")
    before = (slm.store / "records.jsonl").read_bytes()
    code, out, _ = slm("erase", "--subject", "ada", "--yes")
    assert (code, "nothing to erase" in out, (slm.store / "records.jsonl").read_bytes()) == (1, True, before)
    assert slm("erase", "--subject", "nobody", "--yes")[0] == 1


def test_a_key_from_a_backup_is_named_used_for_nothing_and_erased_again(slm: Slm) -> None:
    backup = slm.keys.read_bytes()
    slm("erase", "--subject", "ada", "--yes")
    slm.keys.write_bytes(backup)
    assert slm.states()["a-1"] == "KeyIsBack"
    assert slm("verify")[0] == 1
    assert slm("show", "a-1")[:2] == (1, "")
    code, _, err = slm.keep("a-3", "ada")
    assert (code, "was erased and is back" in err) == (2, True)
    assert slm("erase", "--subject", "ada", "--yes")[0] == 0
    assert slm("verify")[0] == 0


def test_an_erasure_that_broke_off_is_named_and_ended_by_another(slm: Slm, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "records.jsonl")

    with monkeypatch.context() as patched:
        patched.setattr(content_store, "_append", full)
        code, _, err = slm("erase", "--subject", "ada", "--yes")
        assert (code, "No space left" in err) == (2, True)
    assert slm.states()["a-1"] == "ErasedUnrecorded"
    assert slm("verify")[0] == 1
    assert slm("erase", "--subject", "ada", "--yes")[0] == 0
    assert slm("verify")[0] == 0


@pytest.mark.parametrize("erased", [False, True])
def test_changed_and_missing_are_told_from_erased(slm: Slm, erased: bool) -> None:
    if erased:
        slm("erase", "--subject", "ada", "--yes")
    slm.edit("content.jsonl", '"nonce":"', '"nonce":"00')
    lines = (slm.store / "content.jsonl").read_text().splitlines(keepends=True)
    (slm.store / "content.jsonl").write_text("".join(lines[:2]))
    assert slm.states() == {"a-1": "Changed", "b-1": "Readable", "a-2": "Missing"}
    assert slm("verify")[0] == 1


def test_lost_keys_are_not_called_erased(slm: Slm, tmp_path: Path) -> None:
    other = Slm(tmp_path / "other")
    other.keys.parent.mkdir()
    other.keep("c-1", "ada")
    shutil.copy(other.keys, slm.keys)
    assert set(slm.states().values()) == {"KeyLost"}
    slm.keys.unlink()
    assert "is not there" in slm("verify")[2]
    assert "give that one" in slm.keep("a-9", "ada")[2]


def test_keys_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    nowhere = Slm(tmp_path)
    nowhere.keys = tmp_path / "gone" / "keys.json"
    code, _, err = nowhere.keep("a-1", "ada")
    assert (code, f"there is no folder {tmp_path}/gone: make it" in err) == (2, True)
    assert not nowhere.keys.parent.exists()


def test_with_another_folders_keys_nothing_is_kept_nor_said_to_be_erased(slm: Slm, tmp_path: Path) -> None:
    other = Slm(tmp_path / "other")
    other.keys.parent.mkdir()
    other.keep("c-1", "ada")
    other.store = slm.store
    assert "the file of another folder" in other.keep("a-9", "ada")[2]
    code, _, err = other("erase", "--subject", "bob", "--yes")
    assert (code, "none of 3 request(s)" in err) == (2, True)
    assert set(slm.states().values()) == {"Readable"}


def test_an_older_file_of_keys_is_not_said_to_have_nothing_to_erase(slm: Slm) -> None:
    before = slm.keys.read_bytes()
    slm.keep("e-1", "eve")
    slm.keys.write_bytes(before)
    assert slm("erase", "--subject", "eve", "--yes")[0] == 2
    assert slm("erase", "--subject", "ada", "--yes")[0] == 0


def test_what_stands_in_a_damaged_file_does_nothing_to_the_terminal(slm: Slm) -> None:
    slm.edit("content.jsonl", '"request":"a-1"', '"request":"\\u001b[31m"')
    out = slm("verify")[1]
    assert ("no record tells" in out, "\x1b" in out) == (True, False)


@pytest.mark.parametrize(("old", "new"), [('"a-1"', '"a-7"'), ('"seq":2', '"seq":5'), ('"kind":"decision"', "nothing")])
def test_a_changed_record_is_found_and_nothing_is_added_to_it(slm: Slm, old: str, new: str) -> None:
    slm.edit("records.jsonl", old, new)
    assert slm("verify")[0] == 1
    assert "is damaged" in slm.keep("a-9", "ada")[2]
    assert "is damaged" in slm("erase", "--subject", "ada", "--yes")[2]


def test_a_record_taken_out_is_found(slm: Slm) -> None:
    lines = (slm.store / "records.jsonl").read_text().splitlines(keepends=True)
    (slm.store / "records.jsonl").write_text(lines[0] + lines[2])
    code, out, _ = slm("verify")
    assert (code, "records.jsonl:2 does not follow" in out, "b-1 lies there, and no record" in out) == (1, True, True)


def test_a_record_made_anew_is_found_by_the_one_behind_it(slm: Slm) -> None:
    lines = (slm.store / "records.jsonl").read_bytes().splitlines(keepends=True)
    forged, _ = seal({**read(lines[0]).body, "time": "2020-01-01T00:00:00.000000Z"}, 1, ORIGIN)
    (slm.store / "records.jsonl").write_bytes(forged + lines[1] + lines[2])
    assert slm("verify")[1].splitlines()[1:] == ["records.jsonl:2 does not follow the record before it."]


def test_a_line_that_is_broken_off_is_named(slm: Slm) -> None:
    file = slm.store / "content.jsonl"
    os.truncate(file, file.stat().st_size - 1)
    assert "its last line is broken off" in slm("verify")[2]


@pytest.mark.parametrize(
    ("arguments", "stdin", "why"),
    [
        (("keep", "-", "--request", "a-1", "--subject", "ada"), BODY, "is kept already"),
        (("keep", "-", "--request", "a 9", "--subject", "ada"), BODY, "--request"),
        (("keep", "-", "--request", "a-9", "--subject", " "), BODY, "--subject"),
        (("keep", "-", "--request", "a-9", "--subject", "ada"), "secret words", "NotJson"),
        (("keep", "-", "--request", "a-9", "--subject", "ada", "--form", "Full", "--policy", "p"), BODY, "--policy"),
        (("keep", "gone.json", "--request", "a-9", "--subject", "ada"), BODY, "gone.json cannot be read"),
    ],
)
def test_what_cannot_be_kept_changes_nothing(slm: Slm, arguments: tuple[str, ...], stdin: str, why: str) -> None:
    before = [slm.keys.read_bytes(), *(file.read_bytes() for file in sorted(slm.store.iterdir()))]
    code, out, err = slm(*arguments, stdin=stdin)
    assert (code, out, why in err, "secret words" in err) == (2, "", True, False)
    assert [slm.keys.read_bytes(), *(file.read_bytes() for file in sorted(slm.store.iterdir()))] == before


def test_one_at_a_time(slm: Slm) -> None:
    with content_store.locked(slm.keys):
        assert "Another program" in slm.keep("a-9", "ada")[2]
    assert slm.keep("a-9", "ada")[0] == 0


def test_files_that_are_none(tmp_path: Path) -> None:
    slm = Slm(tmp_path)
    slm.keys.write_text("{}")
    assert "is not what --keys wants" in slm("verify")[2]
    assert "is not what --keys wants" in slm.keep("a-1", "ada")[2]
    assert slm("show", "a-1")[0] == 2
