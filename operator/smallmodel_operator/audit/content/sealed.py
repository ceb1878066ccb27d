"""The content of one request, encrypted: a line for a file, and what a record says of that line. Pure.

Each has a data key of its own (AES-256-GCM), which is wrapped by the subject's key (AES key wrap, RFC 3394) and stands
nowhere else. Request, subject, key and form are authenticated with it: a line cannot be passed off as another's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from smallmodel_operator.audit.content.keyring import KEY_BYTES, Random, SubjectKey
from smallmodel_operator.audit.record import canonical

NONCE_BYTES: Final = 12
_NAMES: Final = ("ciphertext", "form", "key", "nonce", "request", "subject", "wrapped")


class Form(StrEnum):
    """What was left of a request before it was sealed."""

    REDACTED = "Redacted"
    """Without what the detectors find."""
    FULL = "Full"
    """Without secrets alone."""


class NotOpened(ValueError):  # noqa: N818 - says what is the matter
    """It is not what was sealed, or this is not its key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """All but `request`, `subject`, `key` and `form` is hex."""

    request: str
    subject: str
    key: str
    form: str
    wrapped: str
    nonce: str
    ciphertext: str

    def line(self) -> bytes:
        """Canonical JSON, with its newline."""
        return canonical({name: getattr(self, name) for name in _NAMES}) + b"\n"

    def reference(self) -> dict[str, str]:
        """What a record says of it: nothing of the content, and its line's SHA-256."""
        return {
            "request.id": self.request,
            "slm.subject": self.subject,
            "slm.content.form": self.form,
            "slm.content.key": self.key,
            "slm.content.sha256": digest(self.line()),
        }

    @classmethod
    def read(cls, line: bytes) -> "Sealed":
        """Read a line.

        Raises:
            ValueError: it is none.
        """
        value = orjson.loads(line)
        if not isinstance(value, dict) or sorted(value) != list(_NAMES) or not all(map(_text, value.values())):
            raise ValueError("it is no sealed content")
        return cls(**value)


def digest(line: bytes) -> str:
    """Of a line, with or without its newline."""
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()


def seal(plain: bytes, request: str, form: Form, key: SubjectKey, random: Random) -> Sealed:
    """Encrypt what is kept of a request, named by its `x-request-id`."""
    data_key, nonce = random(KEY_BYTES), random(NONCE_BYTES)
    about = _about(request, key.subject, key.name, form)
    ciphertext = AESGCM(data_key).encrypt(nonce, plain, about)
    wrapped = aes_key_wrap(key.secret, data_key)
    return Sealed(request, key.subject, key.name, form.value, wrapped.hex(), nonce.hex(), ciphertext.hex())


def opened(sealed: Sealed, key: SubjectKey) -> bytes:
    """The content.

    Raises:
        NotOpened: it was changed, or sealed under another key.
    """
    about = _about(sealed.request, sealed.subject, sealed.key, sealed.form)
    try:
        data_key = aes_key_unwrap(key.secret, bytes.fromhex(sealed.wrapped))
        return AESGCM(data_key).decrypt(bytes.fromhex(sealed.nonce), bytes.fromhex(sealed.ciphertext), about)
    except (InvalidTag, InvalidUnwrap, ValueError):
        raise NotOpened("it is not what was sealed, or this is not its key") from None


def _about(request: str, subject: str, key: str, form: str) -> bytes:
    said: Mapping[str, Any] = {"request": request, "subject": subject, "key": key, "form": form}
    return canonical(said)


def _text(value: Any) -> bool:
    return isinstance(value, str)
