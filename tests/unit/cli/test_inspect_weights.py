import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gguf_file import build

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_weights import inspect
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import gguf, result

FILE = build()


class Volume:
    def __init__(self, root: Path) -> None:
        self.root = root / "weights"
        self.root.mkdir()
        self.message = root / "termination-log"

    def put(self, path: str, data: bytes = FILE) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def inspect(self, path: str = "", sha256: str = "") -> tuple[int, Any]:
        code = inspect(str(self.root), path, "sha256:a", sha256, "uid-1", message_file=self.message)
        return code, result.decode(self.message.read_text())

    def refused(self, path: str = "", sha256: str = "") -> result.Failure:
        code, said = self.inspect(path, sha256)
        assert isinstance(said, result.Failure)
        assert code == result.EXIT_REFUSED
        assert not said.passing
        return said


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


@pytest.mark.parametrize("path", ["", "models", "models/bot.gguf"])
def test_the_file_is_found_and_described(volume: Volume, path: str) -> None:
    volume.put("models/bot.gguf")
    volume.put("models/README.md", b"text")
    code, facts = volume.inspect(path)
    assert code == result.EXIT_FOUND
    assert isinstance(facts, WeightsFacts)
    assert (facts.artifact, facts.file, facts.file_bytes) == ("sha256:a", "models/bot.gguf", len(FILE))
    assert facts.claim == "uid-1"


def test_no_file_says_what_there_is(volume: Volume) -> None:
    volume.put("model.safetensors", b"x")
    said = volume.refused()
    assert said.reason is Reason.WEIGHTS_NOT_FOUND
    assert "model.safetensors" in said.message
    said = volume.refused("model.gguf")
    assert said.reason is Reason.WEIGHTS_NOT_FOUND
    assert "'model.gguf'" in said.message
    assert "spec.source.path" in said.message


def test_an_empty_volume_is_called_empty(volume: Volume) -> None:
    assert "is empty" in volume.refused().message


def test_several_files_are_ambiguous_and_named(volume: Volume) -> None:
    volume.put("a.gguf")
    volume.put("b/c.gguf")
    said = volume.refused()
    assert said.reason is Reason.WEIGHTS_AMBIGUOUS
    assert "a.gguf, b/c.gguf" in said.message
    assert volume.inspect("b")[0] == result.EXIT_FOUND


def test_a_damaged_file_is_refused(volume: Volume) -> None:
    volume.put("m.gguf", FILE[:-1])
    said = volume.refused()
    assert said.reason is Reason.WEIGHTS_INVALID
    assert said.message.startswith("`m.gguf`: ")
    assert "cut short" in said.message


def test_the_sum_is_checked(volume: Volume) -> None:
    volume.put("m.gguf")
    assert volume.inspect("", hashlib.sha256(FILE).hexdigest())[0] == result.EXIT_FOUND
    said = volume.refused("", "0" * 64)
    assert said.reason is Reason.DIGEST_MISMATCH
    assert said.message.startswith("`m.gguf`: the file's SHA-256 is ")
    assert hashlib.sha256(FILE).hexdigest() in said.message


def test_an_error_of_the_volume_may_pass(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    volume.put("m.gguf")

    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(gguf, "read_header", broken)
    code, said = volume.inspect()
    assert code == result.EXIT_PASSING
    assert said.passing
    assert "Input/output error" in said.message


def test_many_long_names_still_fit_a_termination_message(volume: Volume) -> None:
    for i in range(40):
        volume.put(f"{'é' * 100}{i}.gguf")
    volume.refused()
    assert len(volume.message.read_bytes()) <= result.MAX_BYTES


PICKLE = b"\x80\x04\x95" + bytes(64)


def test_a_source_of_pickles_is_refused_for_what_it_holds(volume: Volume) -> None:
    volume.put("config.json", b"{}")
    volume.put("pytorch_model.bin", PICKLE)
    for path in ("", "pytorch_model.bin"):
        said = volume.refused(path)
        assert said.reason is Reason.UNSAFE_FORMAT
        assert said.message.startswith("`pytorch_model.bin`: ")


def test_a_pickle_called_gguf_is_known(volume: Volume) -> None:
    volume.put("m.gguf", PICKLE)
    said = volume.refused()
    assert said.reason is Reason.UNSAFE_FORMAT
    assert said.message.startswith("`m.gguf`: ")


def test_pickles_beside_a_gguf_are_never_loaded_and_keep_nothing_from_serving(volume: Volume) -> None:
    volume.put("m.gguf")
    volume.put("training_args.bin", PICKLE)
    assert volume.inspect()[0] == result.EXIT_FOUND


def test_a_finding_in_the_template_is_a_fact_and_its_text_is_not(volume: Volume) -> None:
    volume.put("m.gguf", build({"tokenizer.chat_template": "{{ a.__class__.secret }}"}))
    _, facts = volume.inspect()
    assert facts.template_finding == "PrivateAttribute in line 1 of `tokenizer.chat_template`"
    assert "secret" not in volume.message.read_text()
