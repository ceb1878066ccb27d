"""What a converter is let to read of a folder of safetensors files, and what its failures mean. Pure.

Some of llama.cpp's converters run a model's own Python code where they find it, or load pickles. They are shown copies
of what they need and nothing else, and a folder that asks for code is refused.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights.convert import TYPES
from smallmodel_operator.weights.refusal import BadWeights, invalid
from smallmodel_operator.weights.result import Failure

CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
TOKENIZERS: Final = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"), ("vocab.txt",))
"""One of these sets is a tokenizer."""
SMALL: Final = (
    CONFIG, "generation_config.json", INDEX, TOKENIZER_CONFIG, "tokenizer.json", "tokenizer.model", "vocab.json",
    "vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json", "README.md",
)  # fmt: skip
"""Files besides the weights that a converter may read."""
MAX_SMALL: Final = 128 * 2**20
"""Bytes of one of them: the tokenizer of a vocabulary of 260,000 tokens has 35 MB."""
NO_SPACE: Final = "No space left on device"
_UNKNOWN: Final = re.compile(r"Model (\S{1,128}) is not supported")
_ERROR: Final = re.compile(r"^(?:[A-Za-z_][\w.]*(?:Error|Exception)\b.*|ERROR:.*)$", re.MULTILINE)
_SIGNALS: Final = 128
_KILLED: Final = _SIGNALS + 9


def refuse(facts: WeightsFacts, tokenizer: Mapping[str, Any], names: Collection[str]) -> None:
    """Look whether a folder can be converted.

    Args:
        facts: of its safetensors files.
        tokenizer: tokenizer_config.json; empty where there is none.
        names: files of the folder.

    Raises:
        BadWeights: it cannot; the message names the file and the way out.
    """
    if tokenizer.get("auto_map"):
        raise invalid(
            f"`{TOKENIZER_CONFIG}` asks for Python code of the model's own (`auto_map`), which is never run. Take a "
            "model whose tokenizer llama.cpp knows itself, or its GGUF file."
        )
    if facts.quantization not in TYPES:
        raise invalid(
            f"The safetensors files in `{facts.file or '/'}` are stored as {facts.quantization}. Made into GGUF are "
            f"{', '.join(TYPES)} only: take the publisher's weights that were not quantized, or his GGUF file."
        )
    if not any(set(names) >= set(one) for one in TOKENIZERS):
        raise BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"The folder `{facts.file or '/'}` has no tokenizer (`tokenizer.json` or `tokenizer.model`), without which "
            "no GGUF file can be made. Copy the whole folder of the model.",
        )


def shown(shards: Iterable[str], *, indexed: bool) -> dict[str, str]:
    """Names of weights' files -> under which the converter finds them: without an index it looks for `model*`."""
    return {name: name if indexed or name.startswith("model") else f"model-{name}" for name in shards}


def digest(sums: Mapping[str, str]) -> str:
    """One SHA-256 for those of all files that are read, by name."""
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def failure(log: str, code: int) -> Failure:
    """What it means that the converter ended with this code and this log. Signals are counted from 128."""
    if NO_SPACE in log:
        return Failure(
            Reason.CLAIM_FULL, f"The claim `smallmodel-weights` became full while converting: {NO_SPACE}.", passing=True
        )
    if code > _SIGNALS or "MemoryError" in log:
        short = code == _KILLED or code <= _SIGNALS
        how = "it took more memory than it was given" if short else f"by signal {code - _SIGNALS}"
        return Failure(Reason.QUANTIZATION_FAILED, f"The converter was killed: {how}.", passing=True)
    if unknown := _UNKNOWN.search(log):
        return Failure(
            Reason.ARCHITECTURE_UNKNOWN,
            f"`{CONFIG}` names the architecture {_plain(unknown[1])!r}, which llama.cpp's converter in the quantizer's "
            "image does not know. Take another model, its publisher's GGUF file, or an image with a newer llama.cpp.",
        )
    if "pre-tokenizer was not recognized" in log:
        return Failure(
            Reason.WEIGHTS_INVALID,
            "`tokenizer.json` holds a tokenizer that llama.cpp's converter in the quantizer's image does not know, so "
            "its text would be split wrongly. Take the publisher's GGUF file, or an image with a newer llama.cpp.",
        )
    said = _ERROR.findall(log) or [line for line in log.splitlines() if line.strip()]
    last = _plain(said[-1])[-300:] if said else ""
    text = f"The converter failed with exit code {code}{f': {last}' if last else ''}."
    return Failure(Reason.QUANTIZATION_FAILED, text)


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()
