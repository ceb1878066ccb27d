import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gguf_file import TENSORS, build
from tests.unit.cli.test_inspect_weights import PICKLE

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.survey_weights import MAX_FILES, Place, survey
from smallmodel_operator.core.facts import Survey
from smallmodel_operator.weights import result


def typed(kind: str, code: int, **changes: Any) -> bytes:
    """A model whose matrices are of one type."""
    tensors = [(name, shape, kind if len(shape) > 1 else "F32") for name, shape, _ in TENSORS]
    return build({"general.file_type": code, **changes}, tensors)


Q8, F16 = typed("Q8_0", 7), typed("F16", 1)


def look(root: Path, files: dict[str, bytes], path: str = "", accept: tuple[str, ...] = ()) -> tuple[int, Any]:
    volume, message = root / "weights", root / "termination-log"
    for name, data in files.items():
        target = volume / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    code = survey(Place(str(volume), path, "sha256:a", "uid-1", accept), message_file=message)
    text = message.read_text()
    assert len(text) <= result.MAX_BYTES
    return code, result.decode(text)


def refused(root: Path, files: dict[str, bytes], path: str = "") -> result.Failure:
    code, said = look(root, files, path)
    assert isinstance(said, result.Failure)
    assert code == result.EXIT_REFUSED
    return said


def test_every_type_is_told_with_its_size_the_largest_first(tmp_path: Path) -> None:
    code, said = look(tmp_path, {"b/q8.gguf": Q8, "a/f16.gguf": F16, "README.md": b"text"})
    assert isinstance(said, Survey)
    assert code == result.EXIT_FOUND
    assert [(v.type, v.file) for v in said.variants] == [("F16", "a/f16.gguf"), ("Q8_0", "b/q8.gguf")]
    assert said.variants[0].tensor_bytes == said.facts.tensor_bytes > said.variants[1].tensor_bytes > 0
    assert (said.facts.artifact, said.facts.claim, said.facts.layers) == ("sha256:a", "uid-1", 2)
    assert said.left_out == ""


def test_a_folder_or_one_file_of_it(tmp_path: Path) -> None:
    files = {"b/q8.gguf": Q8, "a/f16.gguf": F16}
    for path in ("b", "b/q8.gguf"):
        _, said = look(tmp_path, files, path)
        assert [v.file for v in said.variants] == ["b/q8.gguf"]


def test_what_cannot_be_served_is_left_out_and_named(tmp_path: Path) -> None:
    adapter = build({"general.type": "adapter"})
    _, said = look(tmp_path, {"q8.gguf": Q8, "legal.gguf": adapter, "x.gguf": F16[:-1]})
    assert [v.type for v in said.variants] == ["Q8_0"]
    assert "`legal.gguf`: The file is a LoRA adapter" in said.left_out


def test_nothing_to_serve_says_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    assert "`cut.gguf`: The file is cut short" in refused(tmp_path, {"cut.gguf": F16[:-1]}).message


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.gguf": Q8, "b.gguf": Q8}, "Q8_0 twice (`a.gguf`, `b.gguf`)"),
        ({"a.gguf": Q8, "b.gguf": typed("F16", 1, **{"llama.block_count": 3})}, "different models (`b.gguf`, `a.gguf`"),
        ({f"{n}.gguf": Q8 for n in range(MAX_FILES + 1)}, f"holds {MAX_FILES + 1} GGUF files"),
    ],
)
def test_several_models_are_ambiguous(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    said = refused(tmp_path, files)
    assert said.reason is Reason.WEIGHTS_AMBIGUOUS
    assert says in said.message


def test_names_that_are_too_long_to_tell(tmp_path: Path) -> None:
    kinds = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "BF16": 32}
    files = {f"{'d' * 200}/{'e' * 200}/{kind}.gguf": typed(kind, code) for kind, code in kinds.items()}
    said = refused(tmp_path, files)
    assert said.reason is Reason.WEIGHTS_AMBIGUOUS
    assert "too long" in said.message


def test_an_empty_source_and_one_of_pickles(tmp_path: Path) -> None:
    said = refused(tmp_path, {"README.md": b"text"})
    assert (said.reason, "README.md" in said.message) == (Reason.WEIGHTS_NOT_FOUND, True)
    assert refused(tmp_path, {"pytorch_model.bin": PICKLE}).reason is Reason.UNSAFE_FORMAT
    assert refused(tmp_path, {}, "nothing").reason is Reason.WEIGHTS_NOT_FOUND


def test_types_that_are_wanted_and_not_there_are_told_as_they_would_come_out(tmp_path: Path) -> None:
    _, said = look(tmp_path, {"a/f16.gguf": F16, "q8.gguf": Q8}, accept=("Q8_0", "Q4_K_M"))
    assert [v.type for v in said.makes] == ["Q4_K_M"]
    assert 0 < said.makes[0].tensor_bytes < said.facts.tensor_bytes
    assert (said.parent, said.digest) == ("a/f16.gguf", hashlib.sha256(F16).hexdigest())


def test_what_was_quantized_is_no_parent(tmp_path: Path) -> None:
    _, said = look(tmp_path, {"q8.gguf": Q8}, accept=("Q4_K_M",))
    assert (said.makes, said.parent, said.digest) == ((), "", "")


def test_nothing_is_read_in_whole_where_nothing_is_lacking(tmp_path: Path) -> None:
    _, said = look(tmp_path, {"f16.gguf": F16, "q8.gguf": Q8}, accept=("Q8_0",))
    assert (said.makes, said.digest) == ((), "")
