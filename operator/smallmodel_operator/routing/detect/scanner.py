"""All patterns of a policy in one pass over a text; what the pass hints at is then looked at closely. Pure.

One automaton (RE2's set) says which patterns occur: most texts have none, and that is all they cost. A marker at the
end of every text must be among what it found: an automaton that gave up would find nothing, and nothing looks clean.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import re2

from smallmodel_operator.routing.detect import encodings, normal, numbers
from smallmodel_operator.routing.detect.packed import Opaque
from smallmodel_operator.routing.detect.patterns import PATTERNS, PCI, PII, Pattern

CUSTOM, DENY = "Custom", "DenyTerms"
DETECTORS: Final = ("Pii", "Pci", "Secrets")
MOST_LEVELS: Final = 4
"""Encodings within encodings that are opened."""
MOST_DECODED: Final = 4
"""Characters that are decoded of one text, by its length; and 64 Ki more."""
LONGEST_PATTERN: Final = 1024
MOST_PATTERNS: Final = 256
MOST_CANDIDATES: Final = 5000
"""Matches of one pattern in one text that are checked."""
_MEMORY: Final = 64 * 1024 * 1024
_MARKER: Final = "\n\n\n\n\n\n\n\n~slm~end~"
_HASH: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{32,128}|[0-9A-F]{32,128})(?![0-9A-Za-z])")
_LONGEST_HASH: Final = 128
_WINDOW: Final = 8192
"""Bytes in which RE2 is asked for the next match: a call takes time for all it is given."""
_LONGEST_MATCH: Final = 1024
_WITHOUT_BLANKS: Final = "\u0e00"
"""The first alphabet (Thai) in which words stand beside each other without blanks."""
_RUN: Final = r"[0-9](?:[ \t\r\n.\-_/|:,*()+~]{0,3}[0-9]){8}"


T = TypeVar("T")


class BadPattern(ValueError):  # noqa: N818 - says what is the matter
    """A policy asks for what cannot be looked for."""


class Undecided(Exception):  # noqa: N818 - says what is the matter
    """A text could not be looked through; `args[0]` is the reason in CamelCase."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A kind of thing that was found, never the thing."""

    detector: str
    kind: str


class Scanner:
    """What a policy looks for, compiled.

    Args:
        detectors: of `DETECTORS`.
        patterns: a user's own, name and RE2 expression.
        terms: words and phrases, whatever their case.

    Raises:
        BadPattern: a pattern is none RE2 can run, matches everything, or there are too many.
    """

    def __init__(
        self,
        detectors: Sequence[str] = DETECTORS,
        patterns: Sequence[tuple[str, str]] = (),
        terms: Sequence[str] = (),
    ) -> None:
        if len(patterns) + len(terms) > MOST_PATTERNS:
            raise BadPattern(f"at most {MOST_PATTERNS} patterns and deny-terms are looked for: join some of them.")
        for name, pattern in patterns:
            _runs(name, pattern)
        wanted = frozenset(detectors)
        own = [p for p in PATTERNS if p.detector in wanted]
        own += [Pattern(f"{CUSTOM}/{name}", CUSTOM, pattern) for name, pattern in patterns]
        own += [Pattern("DenyTerm", DENY, _term(term)) for term in terms if term.strip()]
        self._patterns = own
        self._close = [_close(p) for p in own]
        self._kinds = {k.name: PCI if k.name == "CreditCard" else PII for k in numbers.KINDS}
        self._wanted = wanted
        self._set = re2.Set.SearchSet(_options())
        for pattern in (*(p.pattern for p in own), _RUN, *(hint for hint, _ in encodings.FORMS), _MARKER.strip()):
            self._set.Add(pattern)
        self._set.Compile()
        self._run, self._marker = len(own), len(own) + 1 + len(encodings.FORMS)
        self._forms = set(range(self._run + 1, self._marker))
        if self._seen("") != {self._marker}:
            raise BadPattern(
                "a pattern matches the empty text, and so every request: leave it out, or have it ask for more."
            )

    def scan(self, text: str) -> set[Found]:
        """What is in a text, decoded as deeply as it is encoded.

        Raises:
            Undecided: it could not be looked through to its end.
        """
        found: set[Found] = set()
        self._through(text, found)
        return found

    def spans(self, text: str) -> list[tuple[int, int, Found]]:
        """Where what is found stands in a text, as far as it stands there in plain characters: begin, end, kind.

        Raises:
            Undecided: it could not be looked through to its end.
        """
        hints = self._seen(text)
        spans = []
        if self._run in hints:
            numbered = self._checked(numbers.placed(text))
            spans = [
                (*at, Found(self._kinds[kind], kind)) for kind, at in numbered if self._kinds[kind] in self._wanted
            ]
        for number in sorted(hints):
            if number < self._run:
                pattern = self._patterns[number]
                close = self._close[number] or _whole(pattern.pattern)
                spans += [(*at, Found(pattern.detector, pattern.name)) for at in _places(pattern, close, text)]
        return spans

    def forms(self, text: str) -> list[str]:
        """A text and all that is encoded in it, each as the patterns see it last: in plain characters.

        Raises:
            Undecided: it could not be looked through to its end.
        """
        seen = (normal.encoded(normal.plain(one)).decode() for one in self._through(text, set()))
        return list(dict.fromkeys(seen))

    def _through(self, text: str, found: set[Found]) -> list[str]:
        """Everything a text holds, itself first; what is found in it is added to `found`."""
        left = len(text) * MOST_DECODED + 65536
        level, seen = [text], {text: None}
        for depth in range(MOST_LEVELS + 1):
            below: list[str] = []
            for one in level:
                for coded in self._one(one, found):
                    left -= len(coded)
                    if left < 0:
                        raise Undecided("TooMuchEncoded")
                    if coded not in seen:
                        seen[coded] = None
                        below.append(coded)
            if not below:
                break
            if depth == MOST_LEVELS:
                raise Undecided("EncodedTooDeeply")
            level = below
        return list(seen)

    def _one(self, text: str, found: set[Found]) -> Iterator[str]:
        """Look at one text as it stands and in plain characters; yields what it holds in another form."""
        for form in normal.forms(text):
            hints = self._seen(form)
            found.update(self._looked(form, hints))
            for number in sorted(hints & self._forms):
                try:
                    yield from encodings.FORMS[number - self._run - 1][1](form)
                except Opaque:
                    raise Undecided("Opaque") from None

    def _seen(self, text: str) -> set[int]:
        try:
            hints = set(self._set.Match(normal.encoded(text + _MARKER)))
        except UnicodeEncodeError:
            raise Undecided("NotUtf8") from None
        if self._marker not in hints:
            raise Undecided("DetectorFailed")
        return hints

    def _checked(self, found: Iterator[T]) -> set[T]:
        try:
            return set(found)
        except numbers.TooMany:
            raise Undecided("TooMuchToCheck") from None

    def _looked(self, text: str, hints: set[int]) -> Iterator[Found]:
        if self._run in hints:
            for kind in self._checked(numbers.found(text)):
                if self._kinds[kind] in self._wanted:
                    yield Found(self._kinds[kind], kind)
        data = ""
        for number in hints:
            if number < self._run:
                data = data or normal.encoded(text).decode()
                pattern, close = self._patterns[number], self._close[number]
                if close is None or any(True for _ in _places(pattern, close, data)):
                    yield Found(pattern.detector, pattern.name)


def _places(pattern: Pattern, close: "re.Pattern[str]", text: str) -> Iterator[tuple[int, int]]:
    """Of its valid matches. They may overlap ones that are not: it looks on from the next place."""
    for number, match in enumerate(_matches(pattern.pattern, close, text)):
        if number == MOST_CANDIDATES:
            raise Undecided("TooMuchToCheck")
        if _stands(pattern, text, match.start(), match.end()) and (pattern.valid is None or pattern.valid(match[0])):
            yield match.span()


def _matches(pattern: str, close: "re.Pattern[str]", text: str) -> Iterator["re.Match[str]"]:
    """What `close` matches, each from the next place on where it does. Python's tries each place of the text with each
    alternative, which takes milliseconds; so RE2 says where one may begin. To it a character that is not ASCII is one
    byte that is no letter, as to `close`; a pattern with such characters of its own is left to Python's."""
    at = 0
    if not pattern.isascii() or not isinstance(close, re.Pattern):
        while match := close.search(text, at):
            yield match
            at = match.start() + 1
        return
    whole, data = _whole(pattern), text.encode("ascii", "replace")
    while at < len(data):
        begin = max(0, at - 1)  # what stands before it may matter
        found = whole.search(data[begin : at + _WINDOW + _LONGEST_MATCH], at - begin)
        if found is None:
            at += _WINDOW
            continue
        at = begin + found.start() + 1
        if match := close.match(text, at - 1):
            yield match


def _stands(pattern: Pattern, text: str, start: int, end: int) -> bool:
    """Whether it stands where such a thing may: alone, and in no hash."""
    if pattern.word and not _alone(text, start, end, "" if pattern.valid else "_"):
        return False
    return not pattern.no_hash or not _HASH.search(text, max(0, start - _LONGEST_HASH), end) or not _hashed(text, start)


def _hashed(text: str, start: int) -> bool:
    """Whether a hash in hexadecimal goes over the place."""
    hashes = _HASH.finditer(text, max(0, start - _LONGEST_HASH))
    return next((h.start() < start + 4 <= h.end() for h in hashes if h.end() > start), False)


def _alone(text: str, start: int, end: int, marks: str) -> bool:
    """Whether no letter, digit or one of `marks` stands beside it, and it is no fraction of a number. What is written
    without blanks (Chinese, Japanese, Thai) stands beside everything."""
    before, after = text[max(0, start - 2) : start], text[end : end + 1]
    joined = any((c.isalnum() and c < _WITHOUT_BLANKS) or c in marks for c in (*before[-1:], *after))
    return not joined and not (len(before) == 2 and before[1] in ".," and before[0].isdigit())


def _options() -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


def _close(pattern: Pattern) -> "re.Pattern[str] | None":
    """What looks at a hint closely; None where the hint is all there is. Ours alone, for their repeats are bounded."""
    if pattern.valid is None and not pattern.word:
        return None
    return re.compile(pattern.pattern, re.ASCII)  # as RE2 takes \b: a letter of another alphabet is none of a word


@lru_cache(2 * MOST_PATTERNS)
def _whole(pattern: str) -> Any:
    """What says where a hint stands that needs no closer look: RE2's, for it may be a user's."""
    return re2.compile(pattern, _options())


def _runs(name: str, pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise BadPattern(f"pattern {name!r} is longer than {LONGEST_PATTERN} characters.")
    try:
        empty = re2.compile(pattern, _options()).search("")
    except re2.error as error:
        raise BadPattern(
            f"pattern {name!r} is none that runs in bounded time (RE2's syntax: no look-around, no "
            f"back-references): {_said(error)}."
        ) from None
    if empty:
        raise BadPattern(
            f"pattern {name!r} matches the empty text, and so every request: leave it out, or have it ask for more."
        )


def _said(error: re2.error) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _term(term: str) -> str:
    """A word or phrase as a pattern: alone, in any case, with any blanks."""
    words = r"\s+".join(re2.escape(word) for word in normal.plain(term).split())
    return rf"(?i)(?:^|[^\pL\pN]){words}(?:$|[^\pL\pN])"
