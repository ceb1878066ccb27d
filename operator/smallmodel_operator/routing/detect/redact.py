"""A request's texts with what was found in them replaced by its kind: `Pay [Iban] by Friday`. Pure. Fails closed.

Detectors say what is there, and only mostly where: in plain characters, as written. So each text is looked through
again when it is done, and where anything is still found (in another alphabet, encoded, over two parts) all of it is
replaced. A secret's pattern may end long before the secret does, so a text with one is replaced whole, too.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from smallmodel_operator.routing.detect.patterns import SECRETS
from smallmodel_operator.routing.detect.request import Text, texts
from smallmodel_operator.routing.detect.scanner import Found, Scanner

_JOINED: Final = "[*].text"
_PART: Final = re.compile(r"(.*)\[\d+\]\.text")
_BLANK: Final = re.compile(r"\s")


def redacted(body: bytes, scanner: Scanner, most_bytes: int) -> list[Text]:
    """The texts of a request in their order, nothing in them that the detectors find.

    Raises:
        Unread: it is no request that is understood.
        Undecided: a text could not be looked through to its end.
    """
    known = texts(body, most_bytes)
    joined = {text.place.removesuffix(_JOINED) for text in known if text.place.endswith(_JOINED)}
    done = [replace(t, text=without(t.text, scanner)) for t in known if not t.place.endswith(_JOINED)]
    parts: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(done):
        if (part := _PART.fullmatch(text.place)) and part[1] in joined:
            parts[part[1]].append(number)
    for numbers in parts.values():
        # What is split over parts is in none of them; no part of it is left.
        if found := scanner.scan("".join(done[number].text for number in numbers)):
            for number in numbers:
                done[number] = replace(done[number], text=_words(found))
    return done


def to_keep(body: bytes, scanner: Scanner, most_bytes: int) -> bytes:
    """The same as JSON: `[{"place": …, "text": …}, …]`.

    Raises:
        Unread, Undecided: see `redacted`.
    """
    done = redacted(body, scanner, most_bytes)
    return json.dumps([{"place": text.place, "text": text.text} for text in done], ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def without(text: str, scanner: Scanner) -> str:
    """One text. What touches a thing that is found, up to the next blank, goes with it.

    Raises:
        Undecided: it could not be looked through to its end.
    """
    found = scanner.scan(text)
    if not found:
        return text
    if any(one.detector == SECRETS for one in found):
        return _words(found)
    left = _cut(text, scanner.spans(text))
    return _words(found) if scanner.scan(left) else left


def _cut(text: str, spans: Iterable[tuple[int, int, Found]]) -> str:
    """One pass over the text, whatever the number of spans."""
    pieces: list[str] = []
    kinds: set[Found] = set()
    reach = 0
    for start, end, one in sorted(_trimmed(text, *span) for span in spans):
        if not kinds or (start >= reach and _BLANK.search(text, reach, start)):
            between = text[reach:start]
            kept = between[: len(between) - len(between.split()[-1])] if between[-1:].strip() else between
            pieces += [_words(kinds)] * bool(kinds) + [kept]
            kinds = set()
        kinds.add(one)
        if end > reach:
            blank = _BLANK.search(text, end)
            reach = blank.start() if blank else len(text)
    return "".join((*pieces, *[_words(kinds)] * bool(kinds), text[reach:]))


def _trimmed(text: str, start: int, end: int, one: Found) -> tuple[int, int, Found]:
    """Without blanks at its ends."""
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip()), one


def _words(found: Collection[Found]) -> str:
    return f"[{', '.join(sorted({one.kind.rpartition('/')[2] for one in found}))}]"
