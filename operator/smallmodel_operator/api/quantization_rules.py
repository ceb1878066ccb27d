"""Rules of spec.quantization."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from smallmodel_operator.api.rule import Rule

_PLACE: Final = "spec.quantization"
_MATRIX: Final = f"{_PLACE}.importanceMatrix"
WITH_MATRIX: Final = ("Q6_K", "Q5_K_M", "Q4_K_M")
"""Types that llama.cpp makes differently with an importance matrix."""
_GATE: Final = f"{_PLACE}.gate"


def _limit(field: str, cel: str, must: str, holds: Callable[[Decimal], bool]) -> Rule:
    """What a limit of the gate must be; `cel` has the number as a format's `n`."""
    return Rule(
        "SmallModel",
        _GATE,
        f"!has(self.{field}) || {cel.format(n=f'double(self.{field})')}",
        f"{_GATE}.{field}",
        f"`{_GATE}.{field}` must be {must}.",
        lambda g: not _decimal(g.get(field)) or holds(Decimal(g[field])),
    )


def _decimal(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[0-9]+([.][0-9]+)?", text) is not None


_LIMITS: Final = (
    _limit("maxMeanDivergence", "{n} > 0.0", "above 0, in nats; no quantized file is its parent", lambda n: n > 0),
    _limit("maxTailDivergence", "{n} > 0.0", "above 0, in nats; no quantized file is its parent", lambda n: n > 0),
    _limit("minSameTopPercent", "{n} <= 100.0", "at most 100: it is a share in percent", lambda n: n <= 100),
    _limit(
        "maxPerplexityRatio",
        "{n} >= 1.0",
        "at least 1: it is the made file's perplexity over its parent's, and nothing needs to be better than that",
        lambda n: n >= 1,
    ),
)
QUANTIZATION_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec",
        "!has(self.quantization) || self.quantization.method != 'GGUF' || !has(self.engine) || "
        "!has(self.engine.name) || self.engine.name == 'LlamaCpp'",
        f"{_PLACE}.method",
        "`spec.quantization.method` must be None, or left out, with VLLM and TGI: they serve no GGUF files.",
        lambda s: (
            (s.get("quantization") or {}).get("method") != "GGUF"
            or (s.get("engine") or {}).get("name", "LlamaCpp") == "LlamaCpp"
        ),
    ),
    Rule(
        "SmallModel",
        _PLACE,
        "self.method != 'GGUF' || (has(self.accept) && size(self.accept) > 0)",
        f"{_PLACE}.accept",
        "`spec.quantization.accept` must name at least one type with method GGUF, best first: [Q8_0, Q5_K_M, Q4_K_M].",
        lambda q: q.get("method") != "GGUF" or bool(q.get("accept")),
    ),
    Rule(
        "SmallModel",
        _PLACE,
        "self.method != 'None' || !has(self.accept) || size(self.accept) == 0",
        f"{_PLACE}.accept",
        "`spec.quantization.accept` must be empty with method None: the source is served as it is.",
        lambda q: q.get("method") != "None" or not q.get("accept"),
    ),
    Rule(
        "SmallModel",
        _PLACE,
        "!has(self.accept) || self.accept.all(a, self.accept.exists_one(b, a == b))",
        f"{_PLACE}.accept",
        "`spec.quantization.accept` must name each type once.",
        lambda q: len(set(q.get("accept") or [])) == len(q.get("accept") or []),
    ),
    Rule(
        "SmallModel",
        _PLACE,
        "!has(self.importanceMatrix) || !has(self.gate) || !has(self.gate.textConfigMapRef) || "
        "self.importanceMatrix.textConfigMapRef.name != self.gate.textConfigMapRef.name || "
        "self.importanceMatrix.textConfigMapRef.key != self.gate.textConfigMapRef.key",
        f"{_MATRIX}.textConfigMapRef",
        f"`{_MATRIX}.textConfigMapRef` must name another text than `spec.quantization.gate.textConfigMapRef`: measured "
        "on the text it was made for, a file looks better than it is. Split the text into two entries.",
        lambda q: (
            "importanceMatrix" not in q
            or "textConfigMapRef" not in (q.get("gate") or {})
            or q["importanceMatrix"]["textConfigMapRef"] != q["gate"]["textConfigMapRef"]
        ),
    ),
    Rule(
        "SmallModel",
        _PLACE,
        "!has(self.importanceMatrix) || (has(self.accept) && "
        f"self.accept.exists(a, a in [{', '.join(repr(kind) for kind in WITH_MATRIX)}]))",
        _MATRIX,
        f"`{_MATRIX}` makes a difference to {', '.join(WITH_MATRIX)} alone, and `accept` names none of them: one must "
        "be accepted, or the matrix left out.",
        lambda q: "importanceMatrix" not in q or not set(WITH_MATRIX).isdisjoint(q.get("accept") or []),
    ),
    *_LIMITS,
)
