"""The pass: a decision that one request may leave, signed, and good for once. Pure; clocks are handed in.

    signer = Signer(egress_seed(master))                        # a gateway's agent: the private key
    text = signer.sign(Pass(id, target, policy, sha256(body), now))
    gate = Gate([signer.public], began=now)                     # the egress: the public key only
    gate.check(text, Sent(id, target, body), now)               # the Pass, or Refused says why

A pass has one encoding: fields of fixed length, or with their length in front, then the signature; all of it in
base64url. What decodes to the same bytes from another text is refused, too.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LEAD_MS: Final = 5_000
"""How far the clock of who signs may be ahead."""
LIFE_MS: Final = 25_000
"""How old a pass may be. With the lead it is accepted for 30 s of the egress's own clock at most."""
WINDOW_MS: Final = LEAD_MS + LIFE_MS
MOST_USED: Final = 100_000
"""Passes that are remembered as used, some 20 MB; while there are more, none passes."""
MOST_TEXT: Final = 255
"""Bytes of a request id, and of a target's name."""
_KIND: Final = b"smallmodel.dev/egress-pass/1\n"
"""Signed in front of every pass: nothing else that is signed with Ed25519 here can be taken for one."""
_SUM, _SIGNATURE, _TIME = 32, 64, 8
_POLICY: Final = "sha256:"
MOST_CHARACTERS: Final = -(-(_TIME + 2 * _SUM + 2 * (1 + MOST_TEXT) + _SIGNATURE) * 4 // 3)
"""Of a pass."""


class Why(StrEnum):
    """Why a request does not pass."""

    MISSING = "pass-missing"
    BROKEN = "pass-broken"
    UNSIGNED = "pass-unsigned"
    """By no key that is known here."""
    EARLY = "pass-early"
    """The clock of who signed is ahead."""
    EXPIRED = "pass-expired"
    UNSURE = "pass-unsure"
    """It may have been used before the egress began, which remembers nothing of that."""
    OTHER_REQUEST = "pass-of-another-request"
    OTHER_TARGET = "pass-for-another-target"
    OTHER_BODY = "pass-for-another-body"
    USED = "pass-used"
    FULL = "too-many-passes"


class Refused(Exception):  # noqa: N818 - says what is the matter
    """A request does not pass."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Pass:
    """What is signed: that this request, with this body as it is sent on, may go to this target under this policy.

    `target`: `<namespace>/<route>/<target>`; `policy`: `sha256:` and 64 hex digits; `body`: SHA-256 in hex; `issued`:
    milliseconds since 1970.
    """

    id: str
    target: str
    policy: str
    body: str
    issued: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it is about to be sent on."""

    id: str
    target: str
    body: bytes


def encoded(given: Pass) -> bytes:
    """Its canonical bytes.

    Raises:
        ValueError: a field is not of its form.
    """
    if not given.policy.startswith(_POLICY):
        raise ValueError("policy: give `sha256:` and 64 hex digits")
    sums = b"".join(_sum(text) for text in (given.policy.removeprefix(_POLICY), given.body))
    if not 0 <= given.issued < 1 << 63:
        raise ValueError("issued: give milliseconds since 1970")
    return given.issued.to_bytes(_TIME, "big") + sums + _text(given.id) + _text(given.target)


def decoded(raw: bytes) -> Pass:
    """The pass with these canonical bytes.

    Raises:
        ValueError: they are of none.
    """
    issued, rest = int.from_bytes(raw[:_TIME], "big"), raw[_TIME:]
    policy, body, rest = rest[:_SUM], rest[_SUM : 2 * _SUM], rest[2 * _SUM :]
    request, rest = _taken(rest)
    target, rest = _taken(rest)
    made = Pass(request, target, _POLICY + policy.hex(), body.hex(), issued)
    if encoded(made) != raw:
        raise ValueError("these are not the bytes of a pass")
    return made


def _sum(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != _SUM or raw.hex() != text:
        raise ValueError("a SHA-256 has 64 hex digits in lower case")
    return raw


def _text(text: str) -> bytes:
    raw = text.encode("ascii")
    if not 0 < len(raw) <= MOST_TEXT or not text.isprintable():
        raise ValueError(f"a request id and a target have 1 to {MOST_TEXT} printable ASCII characters")
    return bytes([len(raw)]) + raw


def _taken(raw: bytes) -> tuple[str, bytes]:
    if not raw:
        raise ValueError("a pass ends too early")
    end = 1 + raw[0]
    return raw[1:end].decode("ascii"), raw[end:]


class Signer:
    """Who holds the private key. `public` is 64 hex digits."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 secret bytes.

        Raises:
            ValueError: it has another length.
        """
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw().hex()

    def sign(self, given: Pass) -> str:
        """The pass as a header's value.

        Raises:
            ValueError: a field is not of its form.
        """
        raw = encoded(given)
        return _packed(raw + self._key.sign(_KIND + raw))

    def __repr__(self) -> str:
        return f"Signer({self.public})"  # the secret half is never in a log


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    """Raises: ValueError."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError("no pass is so long")
    raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    if _packed(raw) != text:
        raise ValueError("a pass has one text")
    return raw


def sha256(body: bytes) -> str:
    """In hex."""
    return hashlib.sha256(body).hexdigest()


class Gate:
    """Lets each signed request through once. Its time never goes back, whatever the clock does.

    Args:
        keys: public keys that count, each 64 hex digits.
        began: when it began to remember what was used, in milliseconds since 1970.

    Raises:
        ValueError: a key is none, or there is none.
    """

    def __init__(self, keys: Sequence[str], began: int, most: int = MOST_USED) -> None:
        self._keys = [Ed25519PublicKey.from_public_bytes(_sum(key)) for key in keys]
        if not self._keys:
            raise ValueError("no public key: nobody's pass could count")
        self._began, self._now, self._most = began, began, most
        self._used: OrderedDict[str, int] = OrderedDict()
        """Request ids and when each was used, the oldest first."""

    def __len__(self) -> int:
        """How many it remembers as used."""
        return len(self._used)

    def check(self, text: str, sent: Sent, now: int) -> Pass:
        """The pass of a request, which is used up by it. `now`: milliseconds since 1970.

        Raises:
            Refused: it does not pass; nothing is used up.
        """
        found = self._signed(text)
        self._now = now = max(now, self._now)
        self._check_time(found.issued, now)
        if found.id != sent.id:
            raise Refused(Why.OTHER_REQUEST)
        if found.target != sent.target:
            raise Refused(Why.OTHER_TARGET)
        if found.body != sha256(sent.body):
            raise Refused(Why.OTHER_BODY)
        self._use(found.id, now)
        return found

    def _signed(self, text: str) -> Pass:
        if not text:
            raise Refused(Why.MISSING)
        try:
            raw = _unpacked(text)
            found, signature = decoded(raw[:-_SIGNATURE]), raw[-_SIGNATURE:]
        except ValueError:
            raise Refused(Why.BROKEN) from None
        for key in self._keys:
            try:
                key.verify(signature, _KIND + raw[:-_SIGNATURE])
            except InvalidSignature:
                continue
            return found
        raise Refused(Why.UNSIGNED)

    def _check_time(self, issued: int, now: int) -> None:
        if issued > now + LEAD_MS:
            raise Refused(Why.EARLY)
        if issued <= now - LIFE_MS:
            raise Refused(Why.EXPIRED)
        # Used at the gate before this one it could have been by a clock that is ahead, too.
        if issued <= self._began + LEAD_MS:
            raise Refused(Why.UNSURE)

    def _use(self, request: str, now: int) -> None:
        while self._used and next(iter(self._used.values())) <= now - WINDOW_MS:
            self._used.popitem(last=False)
        if request in self._used:
            raise Refused(Why.USED)
        if len(self._used) >= self._most:
            raise Refused(Why.FULL)
        self._used[request] = now
