"""Two versions on the same prompts: is one worse? Exact and paired, with three outcomes. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from typing import Final

ALPHA: Final = 0.05
"""So improbable must a difference be, if there were none, to be called one."""


class Verdict(StrEnum):
    """What a comparison came to. Inconclusive is held for a person."""

    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`lost` are prompts only the version before answered as expected, `gained` those only the new one does."""

    verdict: Verdict
    lost: tuple[str, ...]
    gained: tuple[str, ...]


def tail(wins: int, losses: int) -> float:
    """How probable at least so many losses are by chance: McNemar's exact test, one-sided (a sign test)."""
    n = wins + losses
    return float(sum(comb(n, k) for k in range(losses, n + 1)) / 2**n)


def against_version(failed: Collection[str], before: Collection[str]) -> Comparison:
    """A new version beside the one that serves, by the ids each fails.

    Pass: nothing that was answered is lost, or it is better beyond chance. Fail: it is worse beyond chance. What is
    between is for a person: a prompt was lost, and so few differ that it may mean nothing.
    """
    lost, gained = tuple(sorted(set(failed) - set(before))), tuple(sorted(set(before) - set(failed)))
    if not lost or tail(len(lost), len(gained)) <= ALPHA:
        verdict = Verdict.PASS
    elif tail(len(gained), len(lost)) <= ALPHA:
        verdict = Verdict.FAIL
    else:
        verdict = Verdict.INCONCLUSIVE
    return Comparison(verdict, lost, gained)


def alone(failed: Collection[str], items: int) -> Comparison:
    """A first version, with nothing to compare it with: by what is expected.

    Pass: everything is answered as expected. Fail: more is not than is, beyond chance.
    """
    lost = tuple(sorted(failed))
    if not lost:
        return Comparison(Verdict.PASS, (), ())
    worse = tail(items - len(lost), len(lost)) <= ALPHA
    return Comparison(Verdict.FAIL if worse else Verdict.INCONCLUSIVE, lost, ())
