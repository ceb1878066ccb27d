"""What an inspection says of a folder of safetensors files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes import safetensors_folder

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_weights import inspect
from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.remember import facts_of, weights_status
from smallmodel_operator.weights import result


def look(root: Path, path: str = "") -> WeightsFacts | result.Failure:
    message = root.parent / "said"
    inspect(str(root), path, "sha256:a", "", "uid-1", message_file=message, layout=SAFETENSORS)
    said = result.decode(message.read_text())
    assert said is not None
    return said


@pytest.mark.parametrize("path", ["", "bot"])
def test_the_folder_is_described_and_remembered(tmp_path: Path, path: str) -> None:
    root = tmp_path / "weights"
    safetensors_folder.write(root / path)
    facts = look(root, path)
    assert isinstance(facts, WeightsFacts)
    assert (facts.format, facts.file, facts.quantization) == (SAFETENSORS, path or ".", "BF16")
    assert (facts.architecture, facts.context_length, facts.layers) == ("LlamaForCausalLM", 4096, 2)
    assert (facts.heads_kv, facts.key_length, facts.parameters) == (2, 16, 128 * 64 + 64)
    assert facts.tensor_bytes == 128 * 64 * 2 + 64 * 4
    assert facts_of({"weights": weights_status(facts, "")}) == facts


def test_quantized_weights_are_recognised_by_their_own_configuration(tmp_path: Path) -> None:
    root = safetensors_folder.write(tmp_path / "w", quantization_config={"quant_method": "awq", "bits": 4})
    packed = {"a.qweight": ("I32", (8, 4)), "a.scales": ("BF16", (4,))}
    (root / "model.safetensors").write_bytes(safetensors_folder.file(packed))
    facts = look(root)
    assert isinstance(facts, WeightsFacts)
    assert (facts.quantization, facts.parameters) == ("AWQ", 8 * 4 * 8 + 4)


def test_an_index_names_the_files(tmp_path: Path) -> None:
    root = safetensors_folder.write(tmp_path / "w")
    (root / "model.safetensors").rename(root / "model-1.safetensors")
    (root / "duplicate.safetensors").write_bytes(b"never read")
    index = {"weight_map": {"model.norm.weight": "model-1.safetensors"}}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    assert isinstance(look(root), WeightsFacts)


def _cut(root: Path) -> None:
    (root / "model.safetensors").write_bytes(safetensors_folder.file()[:-1])


def _long(root: Path) -> None:
    (root / "model.safetensors").write_bytes(safetensors_folder.file() + b"x")


def _damaged(root: Path) -> None:
    data = bytearray(safetensors_folder.file())
    data[8] = 0
    (root / "model.safetensors").write_bytes(data)


def _huge_header(root: Path) -> None:
    (root / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}")


def _shard_missing(root: Path) -> None:
    (root / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')


def _pickles_only(root: Path) -> None:
    (root / "model.safetensors").unlink()
    (root / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")


def _adapter(root: Path) -> None:
    (root / "config.json").unlink()
    (root / "adapter_config.json").write_text("{}")


def _config(text: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / "config.json").write_text(text)

    return damage


@pytest.mark.parametrize(
    ("damage", "reason", "says"),
    [
        (_cut, Reason.WEIGHTS_INVALID, "`model.safetensors`: It is cut short"),
        (_long, Reason.WEIGHTS_INVALID, "longer than its header says"),
        (_damaged, Reason.WEIGHTS_INVALID, "header is damaged"),
        (_huge_header, Reason.WEIGHTS_INVALID, "names a header of"),
        (_shard_missing, Reason.WEIGHTS_INVALID, "`model-2.safetensors`, named by"),
        (_pickles_only, Reason.UNSAFE_FORMAT, "`pytorch_model.bin`"),
        (_adapter, Reason.WEIGHTS_NOT_FOUND, "LoRA adapter"),
        (_config("[1]"), Reason.WEIGHTS_INVALID, "`config.json` is no JSON object"),
        (_config("{}"), Reason.WEIGHTS_INVALID, "lacks `num_attention_heads`"),
        (_config('{"auto_map": {"AutoModel": "m.M"}}'), Reason.WEIGHTS_INVALID, "never run"),
        (_config('{"num_attention_heads": true}'), Reason.WEIGHTS_INVALID, "is no number"),
    ],
)
def test_what_cannot_be_served_is_named(
    tmp_path: Path, damage: Callable[[Path], None], reason: Reason, says: str
) -> None:
    root = safetensors_folder.write(tmp_path / "w")
    damage(root)
    said = look(root)
    assert isinstance(said, result.Failure)
    assert said.reason is reason
    assert says in said.message


def test_an_unknown_quantization_is_refused(tmp_path: Path) -> None:
    said = look(safetensors_folder.write(tmp_path / "w", quantization_config={"quant_method": "bitsandbytes"}))
    assert isinstance(said, result.Failure)
    assert "'bitsandbytes'" in said.message


@pytest.mark.parametrize("stored", ["tokenizer_config.json", "list", "chat_template.jinja"])
def test_chat_templates_are_looked_at_wherever_engines_read_them(tmp_path: Path, stored: str) -> None:
    bad = "{{ strftime_now('%Y') }}\n{% for x in ().__class__.__mro__ %}{% endfor %}"
    entry = {"chat_template": [{"name": "tool_use", "template": bad}] if stored == "list" else bad}
    root = safetensors_folder.write(tmp_path / "w", tokenizer=None if stored.endswith("jinja") else entry)
    if stored.endswith("jinja"):
        (root / stored).write_text(bad)
    facts = look(root)
    assert isinstance(facts, WeightsFacts)
    assert facts.template_finding
    assert len(facts.chat_template) == 64


def test_a_file_in_place_of_the_folder_says_the_way_out(tmp_path: Path) -> None:
    root = safetensors_folder.write(tmp_path / "w")
    said = look(root, "model.safetensors")
    assert isinstance(said, result.Failure)
    assert "Name the one with config.json" in said.message
