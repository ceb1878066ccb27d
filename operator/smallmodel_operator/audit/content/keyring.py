"""Keys of subjects. Whoever destroys one has erased what was sealed under it, wherever copies of that lie. Pure.

A ring is a value: what changes it returns another one. An erased key leaves a tombstone, its name and when, so that
"erased" is never taken for "lost". A subject that comes back afterwards gets a new key, which opens nothing old.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

FORM: Final = "smallmodel.dev/subject-keys/v1"
KEY_BYTES: Final = 32
MOST_SUBJECT: Final = 256
"""Characters of a subject's name."""
_NAME_BYTES: Final = 8
_NAME: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SECRET: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
Random = Callable[[int], bytes]
"""So many bytes nobody can guess."""


class NotAKeyring(ValueError):  # noqa: N818 - says what is the matter
    """A text is no ring of keys; it says what is the matter, never what stood there."""


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """`name` is 16 hex digits by chance, and what records call it; `subject` a pseudonym; `secret` 32 bytes."""

    name: str
    subject: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A key that was destroyed at a time (UTC, `2026-11-23T05:26:00.000000Z`)."""

    name: str
    subject: str
    time: str


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys and tombstones by their names.

    Args:
        pepper: 32 secret bytes, of which pseudonyms are made.
        keys: at most one of each subject.
        erased: what was destroyed.
    """

    pepper: bytes = field(repr=False)
    keys: Mapping[str, SubjectKey] = field(default_factory=dict)
    erased: Mapping[str, Tombstone] = field(default_factory=dict)

    @classmethod
    def new(cls, random: Random) -> "Keyring":
        return cls(random(KEY_BYTES))

    def pseudonym(self, subject: str) -> str:
        """What records call a subject: 32 hex digits, an HMAC, from which nobody without the ring tells who it is.

        Raises:
            ValueError: it is no name of a subject.
        """
        if not subject.strip() or len(subject) > MOST_SUBJECT:
            raise ValueError(f"a subject is a name of 1 to {MOST_SUBJECT} characters that are not all blank")
        return hmac.digest(self.pepper, subject.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:32]

    def of(self, pseudonym: str) -> SubjectKey | None:
        """The key a subject has now."""
        return next((key for key in self.keys.values() if key.subject == pseudonym), None)

    def keyed(self, pseudonym: str, random: Random) -> "tuple[Keyring, SubjectKey]":
        """The subject's key, made where it has none, and the ring with it."""
        if (known := self.of(pseudonym)) is not None:
            return self, known
        name = random(_NAME_BYTES).hex()
        while name in self.keys or name in self.erased:
            name = random(_NAME_BYTES).hex()
        made = SubjectKey(name, pseudonym, random(KEY_BYTES))
        return replace(self, keys={**self.keys, name: made}), made

    def without(self, pseudonym: str, time: str) -> "Keyring":
        """Every key of a subject destroyed."""
        gone = [name for name, key in self.keys.items() if key.subject == pseudonym]
        left = {name: key for name, key in self.keys.items() if name not in gone}
        return replace(self, keys=left, erased={**self.erased, **{n: Tombstone(n, pseudonym, time) for n in gone}})

    def tombstones(self, pseudonym: str) -> list[Tombstone]:
        """Of one subject, the oldest first."""
        mine = (one for one in self.erased.values() if one.subject == pseudonym)
        return sorted(mine, key=lambda one: (one.time, one.name))

    def dump(self) -> bytes:
        """For who keeps it: it is a secret."""
        keys = {key.name: {"subject": key.subject, "secret": key.secret.hex()} for key in self.keys.values()}
        erased = {one.name: {"subject": one.subject, "time": one.time} for one in self.erased.values()}
        whole = {"form": FORM, "pepper": self.pepper.hex(), "keys": keys, "erased": erased}
        return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def load(cls, data: bytes) -> "Keyring":
        """Read it.

        Raises:
            NotAKeyring: it is none, or contradicts itself.
        """
        try:
            whole = orjson.loads(data)
            if whole["form"] != FORM:
                raise NotAKeyring(f"its form is not {FORM}")
            keys = {name: _key(name, value) for name, value in whole["keys"].items()}
            erased = {name: _tombstone(name, value) for name, value in whole["erased"].items()}
            ring = cls(bytes.fromhex(_fit(_SECRET, whole["pepper"])), keys, erased)
        except NotAKeyring:
            raise
        except (AttributeError, KeyError, TypeError, ValueError):
            raise NotAKeyring("it is no ring of subjects' keys") from None
        if keys.keys() & erased.keys():
            raise NotAKeyring("it has a key that it calls erased")
        if len({key.subject for key in keys.values()}) < len(keys):
            raise NotAKeyring("a subject has two keys in it")
        return ring


def _key(name: str, value: Any) -> SubjectKey:
    return SubjectKey(_fit(_NAME, name), str(value["subject"]), bytes.fromhex(_fit(_SECRET, value["secret"])))


def _tombstone(name: str, value: Any) -> Tombstone:
    return Tombstone(_fit(_NAME, name), str(value["subject"]), _fit(_TIME, value["time"]))


def _fit(pattern: "re.Pattern[str]", text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError
    return text
