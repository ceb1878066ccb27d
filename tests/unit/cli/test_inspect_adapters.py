"""How much memory LoRA adapters take, read from files that the reference writer made."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tests.fakes.gguf_file import build

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_adapters import inspect
from smallmodel_operator.weights import result


def adapter(file: Path, rank: int, kind: Any = np.float16, **words: str) -> Path:
    """A LoRA of one layer of 64 x 128."""
    said = {"general.type": "adapter", "adapter.type": "lora", **words}
    writer = gguf.GGUFWriter(file, "llama")
    for key, value in said.items():
        writer.add_string(key, value)
    writer.add_float32("adapter.lora.alpha", float(rank))
    for part, shape in (("lora_a", (rank, 128)), ("lora_b", (64, rank))):
        writer.add_tensor(f"blk.0.ffn_down.weight.{part}", np.zeros(shape, dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def look(message: Path, **files: Path) -> tuple[int, Any]:
    code = inspect(files, message)
    return code, result.decode(message.read_text())


def test_the_bytes_of_all_tensors_by_name(tmp_path: Path) -> None:
    small, large = adapter(tmp_path / "s.gguf", 8), adapter(tmp_path / "l.gguf", 64, np.float32)
    code, said = look(tmp_path / "m", hr=small, legal=large)
    assert (code, said) == (0, result.AdapterSizes({"hr": 8 * 192 * 2, "legal": 64 * 192 * 4}))


def test_sixty_four_adapters_fit_a_termination_message(tmp_path: Path) -> None:
    file = adapter(tmp_path / "s.gguf", 8)
    names = [f"{n:02d}-{'x' * 29}" for n in range(64)]
    assert look(tmp_path / "m", **dict.fromkeys(names, file))[0] == 0
    assert len((tmp_path / "m").read_bytes()) <= result.MAX_BYTES


def test_what_is_no_adapter_is_refused_with_its_name(tmp_path: Path) -> None:
    base, cut = tmp_path / "base.gguf", adapter(tmp_path / "cut.gguf", 8)
    base.write_bytes(build())
    cut.write_bytes(cut.read_bytes()[:-100])
    pickled = tmp_path / "adapter.gguf"
    pickled.write_bytes(b"\x80\x04" + b"x" * 100)
    other = adapter(tmp_path / "other.gguf", 8, **{"adapter.type": "ia3"})
    for file, reason, words in (
        (base, Reason.WEIGHTS_INVALID, "not a LoRA adapter"),
        (other, Reason.WEIGHTS_INVALID, "not a LoRA adapter"),
        (cut, Reason.WEIGHTS_INVALID, "cut short"),
        (pickled, Reason.UNSAFE_FORMAT, "pickle"),
        (tmp_path / "gone.gguf", Reason.WEIGHTS_NOT_FOUND, "no file `gone.gguf`"),
    ):
        code, said = look(tmp_path / "m", hr=file)
        assert (code, said.reason) == (result.EXIT_REFUSED, reason), said
        assert "Adapter 'hr'" in said.message
        assert words in said.message


@pytest.mark.parametrize("text", ['{"adapters":[]}', '{"adapters":{"hr":-1}}', '{"adapters":{"hr":"x"}}'])
def test_nonsense_is_no_result(text: str) -> None:
    assert result.decode(text) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("lora.gguf", "there; there is `hr/a.gguf`, `legal/b.gguf`. Correct its `source.path`"),
        ("legal/lora.gguf", "there; there is `b.gguf`. Correct"),
        ("none/at/all/lora.gguf", "there; there is `hr/a.gguf`, `legal/b.gguf`. Correct"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_the_files_there_are(tmp_path: Path, path: str, says: str) -> None:
    image = tmp_path / "image"
    for file in ("hr/a.gguf", "legal/b.gguf", "README.md"):
        (image / file).parent.mkdir(parents=True, exist_ok=True)
        (image / file).write_bytes(b"x")
    _, said = look(tmp_path / "m", hr=image / path)
    assert isinstance(said, result.Failure)
    assert said.reason is Reason.WEIGHTS_NOT_FOUND
    assert says in said.message


def test_an_image_without_adapters_is_told_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    _, said = look(tmp_path / "m", hr=tmp_path / "image" / "lora.gguf")
    assert "there is no file at all" in said.message
    for n in range(7):
        (tmp_path / "image" / f"{n}.bin").touch()
    _, said = look(tmp_path / "m", hr=tmp_path / "image" / "lora.gguf")
    assert "there is `0.bin`, `1.bin`, `2.bin`, `3.bin`, `4.bin`, …" in said.message
