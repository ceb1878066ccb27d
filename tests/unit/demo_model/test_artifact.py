"""The committed demo model is the file its digest and card speak of, and llama.cpp can load what it holds."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hack.demo_model.questions import MODEL

LIMIT_BYTES = 4_000_000


@pytest.fixture(scope="module")
def reader() -> gguf.GGUFReader:
    return gguf.GGUFReader(MODEL)


def test_digest_file_names_the_artifact() -> None:
    digest, name = Path(f"{MODEL}.sha256").read_text().split()
    assert name == MODEL.name
    assert digest == hashlib.sha256(MODEL.read_bytes()).hexdigest()


def test_model_card_states_the_same_digest_and_size() -> None:
    card = (MODEL.parent / "MODEL_CARD.md").read_text()
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in card
    assert f"{MODEL.stat().st_size:,} bytes" in card


def test_size_is_within_four_megabytes() -> None:
    assert 500_000 < MODEL.stat().st_size <= LIMIT_BYTES


def test_header_is_gguf_version_3() -> None:
    magic, version, tensors, pairs = struct.unpack("<4sIQQ", MODEL.read_bytes()[:24])
    assert (magic, version) == (b"GGUF", 3)
    assert tensors > 0
    assert pairs > 0


def test_architecture_and_tokenizer_metadata(reader: gguf.GGUFReader) -> None:
    value = {name: field.contents() for name, field in reader.fields.items()}
    assert value["general.architecture"] == "llama"
    assert value["llama.context_length"] >= 512
    assert value["llama.embedding_length"] % 256 == 0
    assert value["llama.feed_forward_length"] % 256 == 0
    assert value["tokenizer.ggml.model"] == "gpt2"
    assert len(value["tokenizer.ggml.tokens"]) == value["llama.vocab_size"]
    assert value["tokenizer.ggml.tokens"][value["tokenizer.ggml.eos_token_id"]] == "<|end|>"
    assert "add_generation_prompt" in value["tokenizer.chat_template"]


def test_weights_are_finite_and_not_all_alike(reader: gguf.GGUFReader) -> None:
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(weights).all(), tensor.name
        assert weights.std() > 0, tensor.name
