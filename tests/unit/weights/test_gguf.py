import hashlib
import io
import struct
import tracemalloc
from pathlib import Path

import gguf as reference
import numpy as np
import pytest
from tests.fakes.gguf_file import build, string

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import CHECKS
from smallmodel_operator.weights import gguf as gguf_module
from smallmodel_operator.weights.describe import facts
from smallmodel_operator.weights.gguf import BadWeights, Header, read_header
from smallmodel_operator.weights.stream import CHUNK

REPOSITORY = Path(__file__).parents[3]
LAST_TENSOR = 65 * 4


def header(data: bytes) -> Header:
    return read_header(io.BytesIO(data), len(data))


def refusal(data: bytes) -> str:
    with pytest.raises(BadWeights) as caught:
        facts(header(data), "a", "model.gguf")
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    return caught.value.message


@pytest.mark.parametrize("version", [2, 3])
def test_a_whole_header_is_read(version: int) -> None:
    data = build(version=version)
    read = header(data)
    assert read.version == version
    assert read.tensors == 4
    assert read.parameters == 64 * 4 + 64 * 64 + 64 + 65
    assert read.bytes_by_type == {"Q8_0": 8 * 34, "Q4_0": 128 * 18, "F32": (64 + 65) * 4}
    assert read.lengths["tokenizer.ggml.tokens"] == 4
    assert read.data_offset % 32 == 0
    assert read.data_offset + read.data_bytes == len(data)


def test_it_agrees_with_the_gguf_package_on_a_file_that_package_wrote(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    writer = reference.GGUFWriter(file, "llama")
    writer.add_block_count(3)
    writer.add_context_length(512)
    writer.add_embedding_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv([8, 4, 2])
    writer.add_token_list([f"token{i}" for i in range(999)])
    writer.add_file_type(int(reference.LlamaFileType.MOSTLY_Q4_K_M))
    blocks = np.zeros((16, 144), dtype=np.uint8)
    writer.add_tensor("token_embd.weight", blocks, raw_dtype=reference.GGMLQuantizationType.Q4_K)
    writer.add_tensor("output_norm.weight", np.ones(256, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with file.open("rb") as stream:
        found = facts(read_header(stream, file.stat().st_size), "a", "m.gguf")
    tensors = reference.GGUFReader(file).tensors
    assert found.tensor_bytes == sum(int(t.n_bytes) for t in tensors)
    assert found.parameters == sum(int(t.n_elements) for t in tensors)
    assert found.vocabulary == 999
    assert found.quantization == "Q4_K_M"
    assert found.heads_kv == 5, "the mean of 8, 4 and 2, rounded up"
    assert found.token_embedding_bytes == 16 * 144


def test_the_first_examples_model_is_read() -> None:
    file = next((REPOSITORY / "examples/01-first-model/weights").glob("*.gguf"))
    with file.open("rb") as stream:
        found = facts(read_header(stream, file.stat().st_size), "a", file.name)
    assert found.architecture == "llama"
    assert found.layers > 0
    assert found.tensor_bytes < found.file_bytes == file.stat().st_size


def test_one_byte_less_names_both_sizes() -> None:
    data = build()
    message = refusal(data[:-1])
    assert f"it has {len(data) - 1} bytes and its header describes {len(data)}" in message


def test_every_shorter_file_is_refused() -> None:
    data = build()
    for length in range(len(data)):
        assert refusal(data[:length])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"GGUF\x03\0\0\0", "cut short"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(64), "zip archive"),
        (struct.pack("<Q", 60) + b'{"__metadata__":{"format":"pt"}}' + bytes(40), "safetensors"),
        (b"\x1f\x8b" + bytes(64), "compressed"),
        (b"tjgg" + bytes(64), "before GGUF"),
        (b'{"architectures": ["LlamaForCausalLM"]}', "JSON text"),
        (b"FUGG" + bytes(64), "big endian"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "gguf-convert-endian"),
        (b"GGUF" + struct.pack("<III", 1, 1, 1) + bytes(64), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 9, 1, 1), "version 9"),
        (b"\x7fELF" + bytes(64), "not a GGUF file"),
    ],
)
def test_what_is_not_gguf_is_named(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_absurd_counts_are_refused_before_anything_is_read() -> None:
    assert "claims" in refusal(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 1))
    assert "claims" in refusal(b"GGUF" + struct.pack("<IQQ", 3, 1, 2**60))
    assert "no tensors" in refusal(build(tensors=()))


def test_a_string_longer_than_the_file_is_cut_short() -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**40) + bytes(100)
    assert "goes beyond" in refusal(data)


def test_an_array_longer_than_the_file_is_refused_at_once() -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + string("k") + struct.pack("<IIQ", 9, 8, 2**60) + bytes(100)
    assert "goes beyond" in refusal(data)


def test_arrays_of_arrays_and_unknown_value_types_are_refused() -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + string("key")
    assert "elements of type 9" in refusal(start + struct.pack("<IIQ", 9, 9, 1) + bytes(64))
    assert "value type 77" in refusal(start + struct.pack("<I", 77) + bytes(64))


@pytest.mark.parametrize("alignment", [0, 1, 7, 48, 2**21])
def test_a_senseless_alignment_is_refused(alignment: int) -> None:
    assert "general.alignment" in refusal(build({"general.alignment": alignment}))


def test_another_alignment_is_honoured() -> None:
    assert header(build({"general.alignment": 128}, alignment=128)).data_offset % 128 == 0
    assert "instead of" in refusal(build({"general.alignment": 128}, alignment=32))


def test_an_unknown_block_type_names_the_tensor() -> None:
    data = build()
    tensor = string("blk.0.attn_q.weight") + struct.pack("<IQQ", 2, 64, 64)
    broken = data.replace(tensor + struct.pack("<I", 2), tensor + struct.pack("<I", 99))
    message = refusal(broken)
    assert "blk.0.attn_q.weight" in message
    assert "block type 99" in message


def test_rows_that_are_no_multiple_of_the_block_are_refused() -> None:
    assert "no multiple of Q4_K's 256" in refusal(build(tensors=[("output.weight", (64, 4), "Q4_K")]))


@pytest.mark.parametrize("shape", [(), (1, 1, 1, 1, 1), (0, 4), (2**63, 2**63)])
def test_senseless_shapes_are_refused(shape: tuple[int, ...]) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + string("t")
    data += struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", 0, 0) + bytes(128)
    assert refusal(data)


class Endless:
    """A stream that claims a huge file and says how much was read of it."""

    def __init__(self, start: bytes) -> None:
        self._start = io.BytesIO(start)
        self.given = 0

    def read(self, count: int, /) -> bytes:
        data = self._start.read(count) or bytes(count)
        self.given += len(data)
        return data


def test_memory_stays_small_on_a_vocabulary_of_a_million_and_the_weights_are_not_read() -> None:
    tokens = [f"token {i}" for i in range(300_000)]
    data = build({"tokenizer.ggml.tokens": tokens, "tokenizer.chat_template": "x" * 3_000_000})
    stream = Endless(data)
    tracemalloc.start()
    try:
        read = read_header(stream, len(data) + 10**12)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.lengths["tokenizer.ggml.tokens"] == 300_000
    assert peak < 16 * CHUNK
    assert stream.given <= read.data_offset + CHUNK


@pytest.mark.parametrize("template", ["", "{{ messages }}", "ü" * 3_000_000])
def test_of_the_chat_template_the_hash_is_kept(template: str) -> None:
    data = build({"tokenizer.chat_template": template, "general.name": "after"})
    read = read_header(io.BytesIO(data), len(data))
    assert read.values["tokenizer.chat_template"] == hashlib.sha256(template.encode()).hexdigest()
    assert read.values["general.name"] == "after"


def test_a_chat_template_larger_than_any_is_damage() -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + string("tokenizer.chat_template")
    with pytest.raises(BadWeights, match="claims to be 17000000 bytes long"):
        read_header(io.BytesIO(start + struct.pack("<IQ", 8, 17_000_000) + bytes(1000)), 20_000_000)


def headed(*pairs: bytes, tensors: int = 1) -> bytes:
    """A header of these keys and nothing after them."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(pairs)) + b"".join(pairs)


def key(name: str, text: str = "x") -> bytes:
    return string(name) + struct.pack("<I", 8) + string(text)


def test_a_key_given_twice_is_refused() -> None:
    """The engine might take the one, and the look at it the other."""
    template = "tokenizer.chat_template"
    assert f"the key `{template}` twice" in refusal(headed(key(template), key(template)) + bytes(64))
    numbers = string("n") + struct.pack("<IIQ", 9, 4, 5000) + bytes(20_000)
    assert "the key `n` twice" in refusal(headed(numbers, key("n")) + bytes(64))


def test_a_tensor_given_twice_is_refused() -> None:
    twice = [("output.weight", (32,), "F32"), ("output.weight", (32,), "F32")]
    assert "the tensor `output.weight` twice" in refusal(build(tensors=twice))


@pytest.mark.parametrize("name", ["tokenizer.chat_template\0", "töken", "a\nb"])
def test_names_end_where_the_engine_thinks_they_end(name: str) -> None:
    assert "has characters no name has" in refusal(headed(key(name)) + bytes(64))
    assert "has characters no name has" in refusal(build(tensors=[(name, (32,), "F32")]))


def test_names_longer_than_the_engine_takes_are_refused() -> None:
    assert "a tensor's name claims to be 64 bytes" in refusal(build(tensors=[("t" * 64, (32,), "F32")]))
    assert header(build(tensors=[("t" * 63, (32,), "F32")]))
    assert "a key claims to be 1025 bytes" in refusal(headed(key("k" * 1025)) + bytes(64))


def test_overlapping_tensors_and_gaps_are_refused() -> None:
    data = build()
    second = struct.pack("<IQ", 2, 288)
    assert data.count(second) == 1
    for offset in (0, 32, 320, 2**63):
        assert f"is at {offset} instead of 288" in refusal(data.replace(second, struct.pack("<IQ", 2, offset)))


def test_arrays_are_bounded_all_together() -> None:
    million = string("a0") + struct.pack("<IIQ", 9, 0, 2**20) + bytes(2**20)
    arrays = [million.replace(b"a0", f"a{i}".encode()) for i in range(9)]
    assert "claim 9437184 elements" in refusal(headed(*arrays) + bytes(2**20))


def test_what_is_kept_of_arrays_is_bounded_all_together() -> None:
    read = header(build({f"a{i:02}": [0] * 4096 for i in range(20)}))
    assert sum(len(v) for k, v in read.values.items() if k.startswith("a")) <= gguf_module.KEPT_NUMBERS
    assert sum(v for k, v in read.lengths.items() if k.startswith("a")) == 20 * 4096


def test_a_header_without_an_end_is_refused() -> None:
    keys = [key(f"k{i}", "x" * 15_000_000) for i in range(18)]
    data = headed(*keys) + bytes(64)
    with pytest.raises(BadWeights, match="more than 256 MiB"):
        read_header(io.BytesIO(data), len(data))


def test_named_templates_are_kept_and_looked_at_like_the_first() -> None:
    two = {"tokenizer.chat_template": "{{ messages }}", "tokenizer.chat_template.tool_use": "{{ tools }}"}
    read = header(build(two))
    assert [(t.key, t.text) for t in read.templates] == list(two.items())
    fingerprint = facts(read, "a", "m").chat_template
    assert fingerprint not in [t.sha256 for t in read.templates], "one sum stands for both"
    assert fingerprint != facts(header(build({**two, "tokenizer.chat_template.tool_use": "x"})), "a", "m").chat_template
    many = {f"tokenizer.chat_template.t{i}": "x" for i in range(17)}
    assert "more than 16 chat templates" in refusal(build(many))


def test_facts_say_what_was_found_in_the_template_and_that_it_was_looked_at() -> None:
    fine = facts(header(build({"tokenizer.chat_template": "{{ messages }}"})), "a", "m")
    assert (fine.template_finding, fine.checks) == ("", CHECKS)
    found = facts(header(build({"tokenizer.chat_template": "a\n{{ x.__class__ }}"})), "a", "m")
    assert found.template_finding == "PrivateAttribute in line 2 of `tokenizer.chat_template`"
    other = facts(header(build({"tokenizer.chat_template.rag": "{% include 'x' %}"})), "a", "m")
    assert other.template_finding == "OtherTemplate in line 1 of `tokenizer.chat_template.rag`"
