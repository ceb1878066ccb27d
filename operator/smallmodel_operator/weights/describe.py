"""GGUF header -> WeightsFacts: what the operator needs to know about the weights."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from smallmodel_operator.core.facts import CHECKS, WeightsFacts
from smallmodel_operator.weights import template
from smallmodel_operator.weights.foreign import AGAIN
from smallmodel_operator.weights.gguf import CHAT_TEMPLATE, Header, Template, invalid
from smallmodel_operator.weights.gguf_types import FILE_TYPES, UNQUANTIZED


def facts(header: Header, artifact: str, file: str) -> WeightsFacts:
    """What the operator needs to know about these weights.

    Raises:
        BadWeights: a key is missing or senseless, or the file is a part, an adapter or a projector.
    """
    values = header.values
    architecture = _text(values, "general.architecture")
    _servable(values, architecture)
    number = _numbers(values, architecture)
    embedding, heads = number("embedding_length"), number("attention.head_count")
    head = embedding // heads if heads else 0
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
        chat_template=_fingerprint(header.templates),
        template_finding=template.first(header.templates),
        checks=CHECKS,
        token_embedding_bytes=header.tensor_sizes.get("token_embd.weight", 0),
    )


def _fingerprint(templates: tuple[Template, ...]) -> str:
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
