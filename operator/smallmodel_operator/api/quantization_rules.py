"""Rules of spec.quantization."""

from typing import Final

from smallmodel_operator.api.rule import Rule

_PLACE: Final = "spec.quantization"
QUANTIZATION_RULES: Final[tuple[Rule, ...]] = (
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
)
