"""One record: a line of canonical JSON with its number, the hash of the record before it and its own. Pure.

    {"gen_ai.request.model":"bot",…,"kind":"answer","prev":"<hash>","seq":7,"time":"…","hash":"<hash>"}

The hash is the SHA-256 of the line without `"hash"`: keys sorted, no spaces, UTF-8, numbers are integers. For such
values that is RFC 8785, so any language can check it. The hash comes last, where it can be cut off without parsing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

ORIGIN: Final = "0" * 64
"""What the first record of a chain has for the hash of the one before it."""
_HASH_BYTES: Final = len(',"hash":""}') + 64
LARGEST: Final = 2**53 - 1
"""Integers up to here are the same number in every language that reads JSON."""

Body = Mapping[str, Any]


class Kind(StrEnum):
    """What a record is about."""

    ANSWER = "answer"
    """A request that is over, however it ended."""
    DECISION = "decision"
    """Where a request of a route may go; recorded before it goes there."""
    NOTE = "note"
    """Something that happened to the record itself: it began, lines were unreadable, old segments were removed."""
    IN_FORCE = "in-force"
    """What is in force for a model from here on: what the hashes in answers are hashes of."""
    CHECKPOINT = "checkpoint"
    """A signature over all records so far, with the numbers of requests and of records."""


_KINDS: Final = frozenset(Kind)
COMMIT: Final = "commit"
"""Entry of the last record of each commit, which is signed: how far the log was read."""
CONTENT: Final = "content"
"""Entry of a commit: how many bytes of content beside the segment are what records name."""
BOUNDARY: Final = "boundary"
"""Event of the note about the ClusterBoundary that came into force."""
ENFORCEMENT: Final = "enforcement"
"""Event of the note about what the canary found: does the network enforce policies?"""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read. `intact`: its hash is that of its bytes."""

    body: Body
    hash: str
    computed: str

    @property
    def intact(self) -> bool:
        return self.hash == self.computed

    @property
    def seq(self) -> int:
        return int(self.body["seq"])

    @property
    def prev(self) -> str:
        return str(self.body["prev"])

    @property
    def kind(self) -> str:
        return str(self.body["kind"])


def canonical(value: Body) -> bytes:
    """Equal values give equal bytes.

    Raises:
        ValueError: a text in it is no Unicode, which Envoy's lines never have.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # it says so of texts, too
        raise ValueError(str(error)) from None


def seal(body: Body, seq: int, prev: str) -> tuple[bytes, str]:
    """The line of a record (with its newline), and its hash.

    Raises:
        ValueError: a text in it is no Unicode.
    """
    return finish({**body, "seq": seq, "prev": prev})


def finish(whole: Body) -> tuple[bytes, str]:
    """The same of a body that has its number and the hash before it. Written for speed: it runs for every answer.

    Raises:
        ValueError: a text in it is no Unicode.
    """
    try:
        text = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return closed(text)


def closed(text: bytes) -> tuple[bytes, str]:
    """The line of a record that is written already, canonical, and its hash."""
    made = hashlib.sha256(text).hexdigest()
    return text[:-1] + b',"hash":"' + made.encode() + b'"}\n', made


def read(line: bytes) -> Record:
    """Read a line, with or without its newline.

    Raises:
        ValueError: it is no record; one whose hash is wrong is a record that is not intact.
    """
    line = line.removesuffix(b"\n")
    head, tail = line[:-_HASH_BYTES], line[-_HASH_BYTES:]
    if not head.startswith(b"{") or not tail.startswith(b',"hash":"') or not tail.endswith(b'"}'):
        raise ValueError("it does not end with a hash")
    whole = head + b"}"
    body = orjson.loads(whole)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    _check(body)
    # Two ways to write the same would be two hashes of one record: there is only one.
    computed = hashlib.sha256(whole).hexdigest() if canonical(body) == whole else ""
    return Record(body, tail[9:-2].decode("ascii", "replace"), computed)


def _check(body: Body) -> None:
    seq, prev, kind = body.get("seq"), body.get("prev"), body.get("kind")
    if type(seq) is not int or not 1 <= seq <= LARGEST:
        raise ValueError(f"its number is {seq!r}")
    if not isinstance(prev, str) or len(prev) != len(ORIGIN):
        raise ValueError("it does not name the record before it")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"its kind is {kind!r}")
