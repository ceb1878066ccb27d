"""The HMAC of a request's body in its record, and the key that makes it. Pure.

An answer of a model with `spec.audit.requestHMAC` has `slm.request.hmac`: `<key>:<64 hex digits>`, or
`<key>:too-large`.
The key's name is its generation and a fingerprint: `1-9f86d081884c7d65`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from smallmodel_operator.audit.record import Record
from smallmodel_operator.core.keys import request_key, request_key_name

FIELD: Final = "slm.request.hmac"
LARGEST_BYTES: Final = 64 * 1024
"""Of a body that an HMAC is made of."""
TOO_LARGE: Final = "too-large"
FORM: Final = "smallmodel.dev/request-key/v1"
KEY_BYTES: Final = 32
_STAMP: Final = re.compile(r"((\d{1,7})-[0-9a-f]{16}):(?:([0-9a-f]{64})|([a-z-]{1,32}))")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a record says: the key's name and generation, and the HMAC in hex, or why there is none."""

    key: str
    generation: int
    value: str = ""
    omitted: str = ""

    @classmethod
    def of(cls, text: str) -> "Stamp":
        """Read the field.

        Raises:
            ValueError: it says neither.
        """
        found = _STAMP.fullmatch(text)
        if found is None:
            raise ValueError(f"{FIELD} says neither an HMAC nor why there is none")
        name, generation, value, omitted = found.groups()
        return cls(name, int(generation), value or "", omitted or "")


@dataclass(frozen=True, slots=True)
class RequestKey:
    """One generation of a namespace's key. `name` is what records call it."""

    namespace: str
    generation: int
    key: bytes

    def __repr__(self) -> str:
        return f"RequestKey({self.namespace}, {self.name})"  # the secret is never in a log or a traceback

    @classmethod
    def made(cls, master: bytes, namespace: str, generation: int) -> "RequestKey":
        """Of the gateways' master."""
        return cls(namespace, generation, request_key(master, namespace, generation))

    @property
    def name(self) -> str:
        return request_key_name(self.key, self.generation)

    def dump(self) -> str:
        """For a file that an auditor is given."""
        said = {"form": FORM, "namespace": self.namespace, "generation": self.generation, "name": self.name}
        return json.dumps({**said, "key": self.key.hex()}, indent=2) + "\n"

    @classmethod
    def load(cls, text: str | bytes) -> "RequestKey":
        """Read such a file.

        Raises:
            ValueError: it is none.
        """
        try:
            said: Any = json.loads(text)
            found = cls(str(said["namespace"]), int(said["generation"]), bytes.fromhex(said["key"]))
            fits = (said["form"], said["name"], len(found.key)) == (FORM, found.name, KEY_BYTES)
        except (KeyError, TypeError, ValueError, RecursionError):
            fits = False
        if not fits:
            raise ValueError("it is not what `slm audit key` prints")
        return found


class Verdict(StrEnum):
    """Is a body the one that was sent?"""

    MATCH = "match"
    NO_MATCH = "no-match"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judged:
    """`why` in a sentence, without a full stop."""

    verdict: Verdict
    why: str


_WHY_NOT: Final[Mapping[str, str]] = {
    TOO_LARGE: f"no HMAC was made of it: the body had more than {LARGEST_BYTES} bytes",
}


def stamp_of(record: Record) -> Stamp | Judged:
    """What a record says of its request; why nothing can be told from it."""
    if not record.intact:
        return _unknown("the record is not what was written")
    text = record.body.get(FIELD)
    if text is None:
        return _unknown(
            "the record has no HMAC: the model had no spec.audit.requestHMAC then, or the request was refused before it"
            " came to the model"
        )
    try:
        stamp = Stamp.of(str(text))
    except ValueError as error:
        return _unknown(str(error))
    if stamp.omitted:
        return _unknown(_WHY_NOT.get(stamp.omitted, f"no HMAC was made of it: {stamp.omitted}"))
    return stamp


def judge(record: Record, keys: Iterable[RequestKey], body: bytes) -> Judged:
    """Is the body the one that the request of this record had?"""
    stamp = stamp_of(record)
    if isinstance(stamp, Judged):
        return stamp
    key = next((known for known in keys if known.name == stamp.key), None)
    if key is None:
        return _unknown(f"it was made with key {stamp.key}, which is not among the keys given")
    made = hmac.new(key.key, body, hashlib.sha256).hexdigest()
    if hmac.compare_digest(made, stamp.value):
        return Judged(Verdict.MATCH, f"the body is the one that was sent: key {stamp.key} gives the recorded HMAC")
    sent = record.body.get("http.request.body.size")
    sizes = f"; it has {len(body)} bytes, the one sent had {sent}" if type(sent) is int and sent != len(body) else ""
    return Judged(
        Verdict.NO_MATCH, f"the body is not the one that was sent: its HMAC with key {stamp.key} is another one{sizes}"
    )


def _unknown(why: str) -> Judged:
    return Judged(Verdict.UNKNOWN, why)
