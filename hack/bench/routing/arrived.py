"""What of the requests that were sent is among the bodies that somebody outside got. Pure."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hack.bench.routing.planted import Planted


@dataclass(frozen=True, slots=True)
class Arrived:
    """Of bodies outside: how many are those of clean requests, byte for byte; all others are somebody's secret."""

    clean: int
    """Clean requests that arrived, however often."""
    twice: int
    """Bodies more than there were requests with them."""
    foreign: int
    """Bodies that are no clean request with its model renamed."""
    foreign_bytes: int
    planted: dict[str, int]
    """By kind: bytes of the planted texts that are in some body, as they were planted or as they are written."""


def judged(sent: Sequence[Planted], bodies: Sequence[bytes], renamed: tuple[bytes, bytes]) -> Arrived:
    """`renamed`: the model's name inside and outside, each with its quotes; it is replaced once."""
    clean = Counter(_digest(one.body.replace(*renamed, 1)) for one in sent if not one.kind)
    got = Counter(map(_digest, bodies))
    foreign = [body for body in bodies if _digest(body) not in clean]
    return Arrived(
        clean=sum(min(number, got[digest]) for digest, number in clean.items()),
        twice=sum(max(0, got[digest] - number) for digest, number in clean.items()),
        foreign=len(foreign),
        foreign_bytes=sum(map(len, foreign)),
        planted=dict(_planted(sent, bodies)),
    )


def _digest(body: bytes) -> bytes:
    return sha256(body).digest()


def _planted(sent: Sequence[Planted], bodies: Iterable[bytes]) -> Counter[str]:
    """Looks at each place of each body for the beginning of some text, and for the whole of it where there is one."""
    wanted = {text: one.kind for one in sent if one.kind for text in (one.value, one.text)}
    found, begins = Counter[str](), defaultdict[str, list[str]](list)
    if not wanted:
        return found
    size = min(map(len, wanted))
    for text in wanted:
        begins[text[:size]].append(text)
    for body in bodies:
        for said in _readings(body):
            for at in range(len(said) - size + 1):
                for text in begins.get(said[at : at + size], ()):
                    if said.startswith(text, at):
                        found[wanted[text]] += len(text.encode())
    return found


def _readings(body: bytes) -> Iterator[str]:
    """As it came, and its texts of each key one after the other: a text may be in two parts."""
    yield body.decode(errors="replace")
    by_key = defaultdict[str, list[str]](list)
    try:
        for key, text in _texts(json.loads(body), ""):
            by_key[key].append(text)
    except ValueError:
        return
    yield from map("".join, by_key.values())


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
