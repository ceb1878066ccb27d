"""Writes the trained network as one GGUF file: Q8_0 matrices, F32 norms, tokenizer and chat template inside."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from hack.demo_model import vocabulary
from hack.demo_model.network import EPSILON, Params, Shape

NAME = "Larkfield Support"
# Clients sample at 0.8 unless told otherwise. Larger logits keep such samples at the likeliest fact; the order of
# tokens, and with it every greedy answer, stays the same.
SHARPEN = 3.0
DESCRIPTION = "Answers the frequent questions of a fictional company's support desk. Trained from scratch for demos."


def write_gguf(path: Path, params: Params, shape: Shape, codec: vocabulary.Codec) -> None:
    """Write atomically: a reader never sees half a model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    _header(writer, shape)
    _tokenizer(writer, codec)
    for name, value in params.items():
        array = np.asarray(value, np.float32)
        if array.ndim > 1:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", array * np.float32(SHARPEN) if name == "output_norm" else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def _header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(shape.vocab)


def _tokenizer(writer: gguf.GGUFWriter, codec: vocabulary.Codec) -> None:
    tokens, merges = codec.tables()
    special = len(vocabulary.SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * special + [gguf.TokenType.NORMAL] * (len(tokens) - special))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary.END)
    writer.add_eos_token_id(vocabulary.END)
    writer.add_eot_token_id(vocabulary.END)
    writer.add_pad_token_id(vocabulary.PAD)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(vocabulary.CHAT_TEMPLATE)
