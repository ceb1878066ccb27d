"""GGUF header -> WeightsFacts: what the operator needs to know about the weights."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from smallmodel_operator.core.facts import CHECKS, WeightsFacts
from smallmodel_operator.weights import template
from smallmodel_operator.weights.foreign import AGAIN
from smallmodel_operator.weights.gguf import CHAT_TEMPLATE, Header, Template, invalid
from smallmodel_operator.weights.gguf_types import EMBEDDING, FILE_TYPES, UNQUANTIZED

_WINDOW_EVERY: Final = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4}
"""Architectures of which llama.cpp keeps only a window in most layers: one layer in so many keeps the whole context,
unless the header says otherwise. Others that name a window are counted in full."""

_TOKEN_BYTES: Final = 204
_MERGE_BYTES: Final = 90
"""Tables of llama.cpp's tokenizer for each token and each merge rule: measured, see docs/explanation/memory.md."""


def facts(header: Header, artifact: str, file: str, *, amx: bool = False) -> WeightsFacts:
    """What the operator needs to know about these weights; `amx`: the processor has Intel's matrix unit.

    Raises:
        BadWeights: a key is missing or senseless, or the file is a part, an adapter or a projector.
    """
    values = header.values
    architecture = _text(values, "general.architecture")
    _servable(values, architecture)
    number = _numbers(values, architecture)
    embedding, heads = number("embedding_length"), number("attention.head_count")
    head = embedding // heads if heads else 0
    window, sliding = _sliding(values, architecture, number)
    return WeightsFacts(
        artifact=artifact,
        file=file,
        file_bytes=header.file_bytes,
        tensor_bytes=sum(header.bytes_by_type.values()),
        parameters=header.parameters,
        quantization=_quantization(header),
        architecture=architecture,
        context_length=number("context_length"),
        layers=number("block_count"),
        embedding=embedding,
        heads=heads,
        heads_kv=number("attention.head_count_kv", heads),
        key_length=number("attention.key_length", head),
        value_length=number("attention.value_length", head),
        vocabulary=header.lengths.get("tokenizer.ggml.tokens", 0) or number("vocab_size", 0),
        feed_forward=number("feed_forward_length", 0),
        experts=number("expert_count", 0),
        licence=_text(values, "general.license", ""),
        name=_text(values, "general.name", ""),
        chat_template=fingerprint(header.templates),
        template_finding=template.first(header.templates),
        checks=CHECKS,
        token_embedding_bytes=header.tensor_sizes.get(EMBEDDING, 0),
        active_feed_forward=_active_feed_forward(number),
        repacked_bytes=header.copies.amx if amx else header.copies.plain,
        copy_growth_bytes=header.copies.growth,
        tokenizer_bytes=tokenizer_bytes(
            header.lengths.get("tokenizer.ggml.tokens", 0), header.lengths.get("tokenizer.ggml.merges", 0)
        ),
        sliding_window=window,
        sliding_layers=sliding,
    )


def fingerprint(templates: tuple[Template, ...]) -> str:
    """SHA-256 of the chat template; of all with their keys, where there are several: who allows it allows all."""
    if [t.key for t in templates] == [CHAT_TEMPLATE]:
        return templates[0].sha256
    lines = "".join(f"{t.sha256} {t.key}\n" for t in sorted(templates, key=lambda t: t.key))
    return hashlib.sha256(lines.encode()).hexdigest() if lines else ""


def _servable(values: Mapping[str, Any], architecture: str) -> None:
    if values.get("general.type") == "adapter":
        raise invalid("The file is a LoRA adapter, not a model. Name the base model's weights in `spec.source`.")
    if values.get("general.type") in ("mmproj", "imatrix") or architecture == "clip":
        raise invalid("The file is an image projector or an importance matrix, not a language model. Name the model.")
    parts = values.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise invalid(
            f"The weights are split into {parts} files, which is not supported. Join them with "
            "`llama-gguf-split --merge FIRST-PART model.gguf`.",
        )


def _numbers(values: Mapping[str, Any], architecture: str) -> Callable[..., int]:
    def number(key: str, default: int | None = None) -> int:
        full = f"{architecture}.{key}"
        found = values.get(full, default)
        if isinstance(found, list) and found and all(type(v) is int for v in found):
            # One number per layer: the mean, rounded up, keeps layers x number an upper bound of the sum.
            found = -(-sum(found) // len(found)) if key.endswith("_kv") else max(found)
        if found is None:
            raise invalid(
                f"The GGUF header lacks `{full}`, so the model cannot be served. "
                "Convert it again with a current llama.cpp."
            )
        if type(found) is not int or not 0 <= found < 2**31:
            raise invalid(f"The GGUF header is damaged: `{full}` is {str(found)[:64]}. {AGAIN}")
        return found

    return number


def tokenizer_bytes(tokens: int, merges: int) -> int:
    """Memory of the tokenizer's tables."""
    return tokens * _TOKEN_BYTES + merges * _MERGE_BYTES


def _active_feed_forward(number: Callable[..., int]) -> int:
    """Width of the experts a token is sent to, and of the one it always passes; 0 for a dense model."""
    used, inner = number("expert_used_count", 0), number("feed_forward_length", 0)
    return used * number("expert_feed_forward_length", inner) + number("expert_shared_feed_forward_length", 0)


def _sliding(values: Mapping[str, Any], architecture: str, number: Callable[..., int]) -> tuple[int, int]:
    """Window in tokens, and number of layers that keep no more."""
    window, layers = number("attention.sliding_window", 0), number("block_count")
    every = _WINDOW_EVERY.get(architecture, 0)
    pattern = values.get(f"{architecture}.attention.sliding_window_pattern", every)
    if not every or not window:
        return 0, 0
    if isinstance(pattern, list):
        return window, sum(1 for slides in pattern[:layers] if slides)
    every = pattern if type(pattern) is int and pattern > 0 else every
    return window, layers - layers // every


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    found = values.get(key, default)
    if not isinstance(found, str) or (default is None and not found):
        if default is not None:
            return default
        raise invalid(f"The GGUF header lacks `{key}`. Convert the model again with a current llama.cpp.")
    return "".join(c for c in found if c.isprintable())[:128]


def _quantization(header: Header) -> str:
    dominant = max(header.bytes_by_type, key=lambda t: header.bytes_by_type[t])
    code = header.values.get("general.file_type")
    named = FILE_TYPES.get(code, "") if type(code) is int else ""
    # A file whose tensors were quantized without the name being changed is named by its tensors.
    if not named or (named in UNQUANTIZED) != (dominant in UNQUANTIZED):
        return dominant
    return named
