"""May a request leave? Pure: the same request, policy and labels always give the same answer. Fails closed.

Only a request that was read whole, carries a label that is trusted and not one of those that stay, and in which nothing
was found may leave. Everything else stays inside, with its reasons: kinds and places, never what was found.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from smallmodel_operator.routing.detect.request import Text, Unread, texts
from smallmodel_operator.routing.detect.scanner import DETECTORS, BadPattern, Found, Scanner, Undecided

MOST_BYTES: Final = 1024 * 1024
MOST_PLACES: Final = 5
"""Places that are told of one kind."""
_APART: Final = "\n" * 8
"""Between two texts: further apart than any pattern reaches."""
NEED_RECOGNIZER: Final = frozenset({"Phi", "Names"})


class Verdict(StrEnum):
    """What may happen to the request."""

    INSIDE = "Inside"
    MAY_LEAVE = "MayLeave"


@dataclass(frozen=True, slots=True)
class Policy:
    """What stays inside.

    Args:
        detectors: Pii, Pci, Secrets; Phi and Names keep everything inside without a recognizer behind them.
        labels: requests with one of these stay.
        patterns: name and RE2 expression.
        deny_terms: words and phrases.
        most_bytes: larger requests stay.
        recognized: detectors that a recognizer answers for. It is asked by who decides, after this.
    """

    detectors: tuple[str, ...] = DETECTORS
    labels: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    deny_terms: tuple[str, ...] = ()
    most_bytes: int = MOST_BYTES
    recognized: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request stays: a word in CamelCase; for what was found its detector, kind and places."""

    reason: str
    detector: str = ""
    kind: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and all its reasons; none where it may leave."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy that is ready to be asked."""

    policy: Policy
    scanner: Scanner
    missing: tuple[str, ...]


def compiled(policy: Policy) -> Compiled:
    """Compile a policy once, for many requests.

    Raises:
        BadPattern: it names an unknown detector, or a pattern that does not run.
    """
    unknown = [d for d in policy.detectors if d not in DETECTORS and d not in NEED_RECOGNIZER]
    if unknown:
        raise BadPattern(f"unknown detector {unknown[0]!r}: there are {', '.join((*DETECTORS, 'Phi', 'Names'))}.")
    scanner = _scanner(tuple(policy.detectors), tuple(policy.patterns), tuple(policy.deny_terms))
    return Compiled(policy, scanner, missing(policy.detectors, policy.recognized))


def missing(detectors: Collection[str], recognized: Collection[str]) -> tuple[str, ...]:
    """Detectors that need a recognizer and have none."""
    return tuple(d for d in detectors if d in NEED_RECOGNIZER and d not in recognized)


@lru_cache(maxsize=16)
def _scanner(detectors: tuple[str, ...], patterns: tuple[tuple[str, str], ...], terms: tuple[str, ...]) -> Scanner:
    """One takes a tenth of a second, and most routes look for the same."""
    return Scanner(detectors, patterns, terms)


def decide(body: bytes, rules: Compiled, labels: Collection[str]) -> Decision:
    """The decision on a request's body, with the labels that trusted callers gave it."""
    reasons = told(rules, labels)
    try:
        reasons += _found(texts(body, rules.policy.most_bytes), rules.scanner)
    except (Unread, Undecided) as error:
        reasons.append(Reason(str(error.args[0])))
    except Exception:
        reasons.append(Reason("DetectorFailed"))
    return Decision(Verdict.INSIDE if reasons else Verdict.MAY_LEAVE, tuple(reasons))


def told(rules: Compiled, labels: Collection[str]) -> list[Reason]:
    """Why a request stays whatever its body says: a detector without a recognizer, no label, one that stays."""
    reasons = [Reason("RecognizerMissing", detector) for detector in rules.missing]
    if not labels:
        reasons.append(Reason("Unlabelled"))
    return reasons + [Reason("Label", kind=label) for label in sorted(set(labels) & set(rules.policy.labels))]


def to_recognize(body: bytes, rules: Compiled) -> str:
    """What a recognizer is asked about: all texts of a request, as the patterns saw them, in one.

    Raises:
        Unread, Undecided: it cannot be read or looked through; `decide` keeps such a request inside.
    """
    parts = texts(body, rules.policy.most_bytes)
    return _APART.join(rules.scanner.forms(_APART.join(part.text for part in parts)))


def _found(parts: list[Text], scanner: Scanner) -> list[Reason]:
    """All texts in one pass; only where that finds something, one by one for the places."""
    whole = scanner.scan(_APART.join(part.text for part in parts))
    if not whole:
        return []
    places: dict[Found, list[str]] = {found: [] for found in sorted(whole)}
    for part in parts:
        for found in scanner.scan(part.text):
            places.setdefault(found, []).append(part.place)
    return [
        Reason("Found", found.detector, found.kind, tuple(dict.fromkeys(where))[:MOST_PLACES])
        for found, where in places.items()
    ]
