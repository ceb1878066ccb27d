"""Keys of subjects in Secrets, each changed on the state it was made of (cluster/shared.py)."""

import base64
import binascii
from typing import Any

from smallmodel_operator.audit.content.keyring import Keyring, NotAKeyring
from smallmodel_operator.audit.content.shards import ENTRY, MOST_BYTES
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.shared import Form, Shared, TooLarge


class SubjectKeys(Shared[Keyring | None]):
    """Reads and changes them, by the names of their Secrets; None: nothing was written there yet."""

    def __init__(self, client: Client, namespace: str, **given: Any) -> None:
        """`given`: see `Shared`."""
        super().__init__(client, namespace, Form("Secret", _load, _dump), **given)


def _load(data: dict[str, str]) -> Keyring | None:
    try:
        text = base64.b64decode(data.get(ENTRY, ""), validate=True)
        return Keyring.load(text) if text else None
    except (NotAKeyring, binascii.Error) as error:
        raise ValueError(f"entry {ENTRY}: {error}") from None


def _dump(ring: Keyring | None) -> dict[str, str]:
    text = ring.dump() if ring is not None else b""
    if len(text) > MOST_BYTES:
        raise TooLarge(f"it has no room for more subjects ({MOST_BYTES} bytes)")
    return {ENTRY: base64.b64encode(text).decode()}
