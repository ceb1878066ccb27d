"""safetensors header and config.json -> WeightsFacts, for engines that serve such a folder. Pure: bytes and values in.

A safetensors file is eight bytes of length, JSON of that length, and the tensors' bytes without a gap. Nothing of it
runs; what would (a model's own Python code, pickles) is refused, or never loaded.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import CHECKS, WeightsFacts
from smallmodel_operator.weights import describe, template
from smallmodel_operator.weights.gguf import MAX_TEMPLATE, Template
from smallmodel_operator.weights.refusal import invalid

LENGTH_BYTES: Final = 8
MAX_HEADER: Final = 32 * 2**20
"""Bytes of one file's header; a model of 20 B parameters has some 100 KiB."""
MAX_TENSORS: Final = 200_000
AGAIN: Final = "Copy the folder again."
METHODS: Final[Mapping[str, str]] = {
    "awq": "AWQ", "gptq": "GPTQ", "fp8": "FP8", "compressed-tensors": "COMPRESSED_TENSORS",
}  # fmt: skip
"""`quantization_config.quant_method` of config.json -> what the status calls it."""
_BITS: Final[Mapping[str, int]] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I64": 64, "U64": 64,
    "I32": 32, "U32": 32, "I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8,
}  # fmt: skip
_PACKED: Final = ("qweight", "weight_packed")
"""Names of tensors that hold several weights in each number."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file: bytes and parameters by type of its tensors."""

    file_bytes: int
    bytes_by_type: Mapping[str, int]
    parameters: int
    packed_elements: int
    """Numbers of 32 bits that hold several weights each; how many, the configuration says."""


def header_length(start: bytes) -> int:
    """Bytes of the JSON, from the file's first eight.

    Raises:
        BadWeights: the file is cut, or none of this format.
    """
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= MAX_HEADER:
        raise invalid(f"It is no safetensors file, or cut short: it names a header of {length} bytes. {AGAIN}")
    return length


def shard(text: bytes, file_bytes: int) -> Shard:
    """What one file holds.

    Args:
        text: the header's JSON.
        file_bytes: size of the whole file.

    Raises:
        BadWeights: the header is damaged, or the file is not as long as it says.
    """
    try:
        entries = json.loads(text)
        tensors = {name: value for name, value in entries.items() if name != "__metadata__"}
        if len(tensors) > MAX_TENSORS:
            raise invalid(f"It names {len(tensors)} tensors, more than {MAX_TENSORS}.")
        found = [_tensor(name, value) for name, value in tensors.items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise invalid(f"Its header is damaged ({type(error).__name__}). {AGAIN}") from None
    end = LENGTH_BYTES + len(text) + max((t.end for t in found), default=0)
    if end != file_bytes:
        short = "cut short" if end > file_bytes else "longer than its header says"
        raise invalid(f"It is {short}: {file_bytes} bytes, and its header counts {end}. {AGAIN}")
    by_type: dict[str, int] = {}
    for one in found:
        by_type[one.dtype] = by_type.get(one.dtype, 0) + one.bytes
    plain = sum(t.elements for t in found if not t.packed)
    return Shard(file_bytes, by_type, plain, sum(t.elements for t in found if t.packed))


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    elements: int
    bytes: int
    end: int
    packed: bool


def _tensor(name: str, value: Any) -> _Tensor:
    dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
    if dtype not in _BITS or any(type(n) is not int or n < 0 for n in (*shape, begin, end)):
        raise ValueError(name)
    elements = math.prod(shape)
    if end - begin != elements * _BITS[dtype] // 8:
        raise ValueError(name)
    packed = name.endswith(_PACKED) and _BITS[dtype] == 32
    return _Tensor(dtype, elements, end - begin, end, packed)


def refuse_code(config: Mapping[str, Any]) -> None:
    """Look whether config.json asks for the model's own code.

    Raises:
        BadWeights: it does.
    """
    if config.get("auto_map"):
        raise invalid(
            "`config.json` asks for Python code of the model's own (`auto_map`), which is never run. Take a model "
            "whose architecture the engine knows itself."
        )


def facts(
    config: Mapping[str, Any], shards: Sequence[Shard], templates: Mapping[str, str], artifact: str, folder: str
) -> WeightsFacts:
    """What the operator needs to know about these weights.

    Args:
        config: the folder's config.json.
        shards: its safetensors files.
        templates: chat templates by the file they stand in.
        artifact: name of the immutable set of files.
        folder: where it is inside the volume.

    Raises:
        BadWeights: the configuration lacks something, or asks for the model's own code.
    """
    refuse_code(config)
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    number = _numbers(text or config)
    heads, embedding = number("num_attention_heads"), number("hidden_size")
    head = number("head_dim", embedding // heads if heads else 0)
    bits, method = _quantization(config)
    dtype = _dominant(shards)
    known = tuple(Template(k, _sha256(v), v[:MAX_TEMPLATE], len(v)) for k, v in sorted(templates.items()))
    return WeightsFacts(
        artifact=artifact,
        file=folder,
        file_bytes=sum(s.file_bytes for s in shards),
        tensor_bytes=sum(sum(s.bytes_by_type.values()) for s in shards),
        parameters=sum(s.parameters + s.packed_elements * (32 // bits) for s in shards),
        quantization=method or dtype,
        architecture=_architecture(config),
        context_length=number("max_position_embeddings"),
        layers=number("num_hidden_layers"),
        embedding=embedding,
        heads=heads,
        heads_kv=number("num_key_value_heads", heads),
        key_length=head,
        value_length=head,
        vocabulary=number("vocab_size"),
        feed_forward=number("intermediate_size", 0),
        chat_template=describe.fingerprint(known),
        template_finding=template.first(known),
        checks=CHECKS,
        format=SAFETENSORS,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise invalid("`config.json` names no architecture (`architectures`). Take the publisher's own file.")
    return "".join(c for c in names[0] if c.isprintable())[:64]


def _quantization(config: Mapping[str, Any]) -> tuple[int, str]:
    """Bits of a packed weight, and the method; of weights that are not quantized 32 and nothing."""
    found = config.get("quantization_config")
    if not isinstance(found, dict):
        return 32, ""
    method = str(found.get("quant_method") or "").lower()
    if method not in METHODS:
        raise invalid(
            f"`config.json` says that the weights are quantized as {method[:32]!r}, which is not supported. Take "
            f"weights that are not quantized, or as one of {', '.join(METHODS)}."
        )
    bits = found.get("bits", 4)
    return (bits if bits in (2, 4, 8) else 4), METHODS[method]


def _dominant(shards: Iterable[Shard]) -> str:
    total: dict[str, int] = {}
    for one in shards:
        for dtype, size in one.bytes_by_type.items():
            total[dtype] = total.get(dtype, 0) + size
    if not total:
        raise invalid(f"The safetensors files hold no tensors. {AGAIN}")
    return max(total, key=lambda dtype: total[dtype])


def _numbers(values: Mapping[str, Any]) -> Any:
    def number(key: str, default: int | None = None) -> int:
        found = values.get(key)
        found = default if found is None else found
        if type(found) is not int or not 0 <= found < 2**31:
            said = "lacks" if found is None else f"is damaged: {str(found)[:32]!r} is no number for"
            raise invalid(f"`config.json` {said} `{key}`, so it cannot be served. Take the publisher's own file.")
        return found

    return number
