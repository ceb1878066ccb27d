"""Keys: how they are made, and what of callers' keys a gateway holds. Pure."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

TABLE: Final = "keys.json"
"""Entry of Secret `smallmodel-gateway-keys` with the hashes of all callers' keys."""
ENGINE_MASTER: Final = "engine-master"
"""Entry with the key all engine keys are made of."""
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a credential belongs to. `namespace` is empty for a key that opens only the models that list it.

    `name` is `key:<namespace>/<model>` (the key in Secret `<model>-client`), `key:<namespace>/<model>/<entry>` (an
    entry of `spec.access.apiKeys`) or `sa:<namespace>/<name>`. `also` are the names the same key has at other models:
    it opens those, too, and its holder is called by `name` everywhere.
    """

    namespace: str
    name: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Masters:
    """What all keys are made of. `client` never leaves the operator's namespace; gateways hold `engine`."""

    client: bytes
    engine: bytes

    def __repr__(self) -> str:
        return "Masters(…)"  # never in a log or a traceback


def engine_key(master: bytes, uid: str) -> str:
    """The key the engine of the model with this uid asks for, 64 hex digits."""
    return hmac.new(master, f"engine:{uid}".encode(), hashlib.sha256).hexdigest()


def peer_key(master: bytes) -> str:
    """The key gateways show each other, 64 hex digits."""
    return hmac.new(master, b"gateways", hashlib.sha256).hexdigest()


def audit_seed(master: bytes, gateway: str) -> bytes:
    """What a gateway signs its records with is made of: 32 bytes for each gateway's pod, the same after a restart."""
    return hmac.new(master, f"audit:{gateway}".encode(), hashlib.sha256).digest()


def egress_seed(master: bytes) -> bytes:
    """What gateways sign passes with is made of, 32 bytes: the egress is told the public half, and never this."""
    return hmac.new(master, b"egress", hashlib.sha256).digest()


def request_key(master: bytes, namespace: str, generation: int) -> bytes:
    """What the HMACs of requests to a namespace's models are made with: 32 bytes, of which no other namespace's key and
    no other generation's can be told."""
    return hmac.new(master, f"request:{namespace}:{generation}".encode(), hashlib.sha256).digest()


def request_key_name(key: bytes, generation: int) -> str:
    """What a record calls such a key: its generation, and 16 hex digits that say which key it is and nothing of it."""
    return f"{generation}-{hmac.new(key, b'name', hashlib.sha256).hexdigest()[:16]}"


def client_key(master: bytes, uid: str, generation: int) -> str:
    """The key in Secret `<model>-client`: made again from the same values at any time, so nothing has to be kept."""
    made = hmac.new(master, f"client:{uid}:{generation}".encode(), hashlib.sha256).digest()
    return "slm-" + base64.urlsafe_b64encode(made).decode().rstrip("=")


def hashed(key: str) -> str:
    """What is stored of a caller's key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def dump(table: Mapping[str, Identity]) -> str:
    """The table as it stands in the Secret."""
    keys = {sha: [who.namespace, who.name] for sha, who in sorted(table.items())}
    also = {sha: list(who.also) for sha, who in sorted(table.items()) if who.also}
    # Beside the keys: a gateway that does not know of it reads all the rest.
    return json.dumps({"version": VERSION, "keys": keys} | ({"also": also} if also else {}), separators=(",", ":"))


def load(text: str) -> dict[str, Identity]:
    """Read the table.

    Raises:
        ValueError: it is not one, or of another version; the caller keeps the table it had.
    """
    try:
        value: Any = json.loads(text)
        version, keys = value["version"], value["keys"].items()
        also = {sha: tuple(map(str, names)) for sha, names in value.get("also", {}).items()}
        table = {str(sha): Identity(str(place), str(name), also.get(sha, ())) for sha, (place, name) in keys}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the key table cannot be read: {error}") from None
    if version != VERSION:
        raise ValueError(f"the key table has version {version}, this gateway reads {VERSION}")
    return table
