"""Who signs for a chain: Ed25519 over a canonical value, with a key made of the gateways' master key. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from smallmodel_operator.audit.record import canonical

SIGNATURE: Final = "signature"
KEY: Final = "key"


class Signer:
    """One gateway's key. `public` is 64 hex digits."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 secret bytes; the same give the same key.

        Raises:
            ValueError: it has another length.
        """
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw().hex()

    def sign(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The value with `key` and `signature`."""
        named = {**value, KEY: self.public}
        return {**named, SIGNATURE: self._key.sign(canonical(named)).hex()}

    def __repr__(self) -> str:
        return f"Signer({self.public})"  # the secret half is never in a log


def signed(value: Mapping[str, Any]) -> bool:
    """Does its signature fit what it says, by the key it names? Whose key that is has to be known from elsewhere."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(value[KEY]))
        unsigned = {name: item for name, item in value.items() if name != SIGNATURE}
        key.verify(bytes.fromhex(value[SIGNATURE]), canonical(unsigned))
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return False
    return True
