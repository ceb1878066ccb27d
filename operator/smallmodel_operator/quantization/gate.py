"""Is a quantized file as good as the one it was made from: what llama-perplexity measured against what is allowed."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from typing import Final

LEAST_TEXT: Final = 8192
"""Bytes of text without which nothing can be said of rare tokens."""
PIECE: Final = 50
"""Letters and digits that two texts have in common by chance only where one quotes the other."""
SHARED_PERCENT: Final = 10
"""So much of the text a file is measured on may stand in the text of its importance matrix."""
_NUMBER: Final = r"\s*:?\s*(-?\d+\.\d+)"
_LINES: Final = {
    "mean_divergence": re.compile(rf"^Mean\s+KLD{_NUMBER}", re.MULTILINE),
    "tail_divergence": re.compile(rf"^99\.9%\s+KLD{_NUMBER}", re.MULTILINE),
    "same_top_percent": re.compile(rf"^Same top p{_NUMBER}", re.MULTILINE),
}
_PERPLEXITY: Final = re.compile(rf"^Mean PPL\(Q\){_NUMBER}", re.MULTILINE)
_OF_PARENT: Final = re.compile(r"Final estimate: PPL = (\d+\.\d+)")
"""What the tool calls the perplexity of the base is that of logits stored in 16 bits, which end 16 nats below the
likeliest: of text that the parent finds strange it is too low by any factor. This is the one before they were stored.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured against the parent. Divergence is Kullback-Leibler's, in nats for each token: the mean, and
    what 99.9 % of the tokens stay below. `same_top_percent`: how often both find the same token likeliest.
    """

    mean_divergence: Decimal
    tail_divergence: Decimal
    same_top_percent: Decimal
    perplexity_ratio: Decimal

    @property
    def text(self) -> str:
        return (
            f"divergence {self.mean_divergence} on average and {self.tail_divergence} at 99.9 %, the same likeliest "
            f"token in {self.same_top_percent} %, perplexity {self.perplexity_ratio} times its parent's"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed, in the figures' units."""

    mean_divergence: Decimal
    tail_divergence: Decimal
    same_top_percent: Decimal
    perplexity_ratio: Decimal


def _limits(mean: str) -> Limits:
    return Limits(Decimal(mean), Decimal(mean) * 25, Decimal("90"), Decimal("1.03"))


DEFAULTS: Final = {
    "F16": _limits("0.001"),
    "BF16": _limits("0.001"),
    "Q8_0": _limits("0.005"),
    "Q6_K": _limits("0.01"),
    "Q5_K_M": _limits("0.02"),
    "Q4_K_M": _limits("0.05"),
}
"""About 1.5 to 4 times what llama.cpp's own page gives for an 8B model, whose rare tokens diverge some 20 times as
much as the mean; docs/how-to/quantize.md."""


def limits(kind: str, wished: Mapping[str, str]) -> Limits:
    """What a file of this type must hold: the defaults, and what its user said."""
    return replace(DEFAULTS[kind], **{name: Decimal(number) for name, number in wished.items()})


def perplexity(of_parent: str) -> Decimal | None:
    """The parent's, in what the tool printed of it; None when that broke off before."""
    found = _OF_PARENT.search(of_parent)
    return (Decimal(found[1]) or None) if found else None


def parse(of_parent: str, measured: str) -> Figures | None:
    """The figures in what the tool printed of the parent and of the made file.

    None when one is missing: the tool's exit code says nothing about that.
    """
    found = {name: pattern.search(measured) for name, pattern in _LINES.items()}
    parent, made = perplexity(of_parent), _PERPLEXITY.search(measured)
    if parent is None or made is None or not all(found.values()):
        return None
    ratio = (Decimal(made[1]) / parent).quantize(Decimal("0.000001"))
    return Figures(**{name: Decimal(match[1]) for name, match in found.items() if match}, perplexity_ratio=ratio)


def failures(figures: Figures, limits: Limits) -> list[str]:
    """What is worse than allowed, each with both numbers; empty: it passes."""
    said = []
    for name, word in (("mean_divergence", "mean divergence"), ("tail_divergence", "divergence at 99.9 %")):
        measured, allowed = getattr(figures, name), getattr(limits, name)
        if measured > allowed:
            said.append(f"{word} {measured} (at most {allowed})")
    if figures.same_top_percent < limits.same_top_percent:
        said.append(f"same likeliest token in {figures.same_top_percent} % (at least {limits.same_top_percent} %)")
    if figures.perplexity_ratio > limits.perplexity_ratio:
        said.append(f"perplexity {figures.perplexity_ratio} times the parent's (at most {limits.perplexity_ratio})")
    return said


def shared_percent(measured_on: str, built_on: str) -> int:
    """How much of the text a file is measured on stands in the text its importance matrix is built on, in percent.

    Case, spaces and punctuation do not count; nor does where in the text it stands.
    """
    first, second = ("".join(c for c in text.casefold() if c.isalnum()) for text in (measured_on, built_on))
    pieces = {first[at : at + PIECE] for at in range(0, len(first), PIECE)} - {""}
    met = {piece for at in range(len(second)) if (piece := second[at : at + PIECE]) in pieces}
    return 100 * len(met) // max(1, len(pieces))


def as_text(value: Figures | Limits) -> dict[str, str]:
    """For a provenance file, or a Job's arguments."""
    return {name: str(number) for name, number in asdict(value).items()}


def from_text(said: object) -> Figures | None:
    """Figures of a provenance file; None when they are not all there."""
    try:
        return Figures(**{f.name: Decimal(str(said[f.name])) for f in fields(Figures)})  # type: ignore[index]
    except (TypeError, KeyError, ArithmeticError):
        return None
