"""Credentials of one model: the Secret app teams mount, the engine's own key, and the hashes gateways know. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import ENGINE_KEY_FILE, ROLE_SERVER, labels, route_labels
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.keys import Identity, Masters, client_key, engine_key, hashed
from smallmodel_operator.core.outcome import Refused

LEAST_KEY_LENGTH: Final = 16
"""A key shorter than this is guessed; one of ours has 47 characters."""
GIVEN_LOOK_SECONDS: Final = 45.0
"""How often users' Secrets are looked at, which nobody watches: with what a look may be old, within a minute."""
LEAD: Final = timedelta(seconds=5)
"""How long gateways may take to hear of a new key before its Secret has it; until then it holds the key before."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One entry of `spec.access.apiKeys`."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """One model or route whose credentials are wanted. `url` is its base URL, `ca` a PEM bundle or empty."""

    name: str
    namespace: str
    uid: str
    url: str
    ca: str
    generation: int
    overlap: timedelta
    entries: tuple[KeyEntry, ...]
    route: bool = False
    """It is a route's: there is no engine behind the name itself."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """`secrets` are wanted in the model's namespace; `keys` are what gateways must know; `status` records rotation.

    `problems` name entries whose Secret cannot be used: the other credentials work all the same.
    """

    secrets: tuple[Object, ...]
    keys: Mapping[str, Identity]
    status: Mapping[str, Any]
    look_again_seconds: float | None = None
    problems: tuple[Refused, ...] = ()


def decide(
    request: CredentialRequest,
    masters: Masters,
    given: Mapping[str, Object | None],
    previous: Mapping[str, Any],
    now: datetime,
) -> Credentials:
    """What should be published for a model, and which keys open it now.

    Args:
        request: the model.
        masters: what keys are made of.
        given: the Secrets `apiKeys` refers to, by name; None: there is none.
        previous: `status.access` as last written, for the time of the last rotation.
        now: the time.
    """
    key = client_key(masters.client, request.uid, request.generation)
    own = f"key:{request.namespace}/{request.name}"
    keys = {hashed(key): Identity(request.namespace, own)}
    rotation = _rotation(request, previous, now)
    again: float | None = GIVEN_LOOK_SECONDS if request.entries else None
    if rotation is not None and (left := (rotation.at + request.overlap - now).total_seconds()) > 0:
        before = client_key(masters.client, request.uid, rotation.before)
        keys[hashed(before)] = Identity(request.namespace, own)
        if (lead := rotation.lead(request, now)) > 0:
            key, left = before, lead
        again = min(left, again or left)
    problems = []
    for entry in request.entries:
        try:
            # The model's own key, brought once more, opens no less than before.
            keys.setdefault(hashed(_given(entry, given.get(entry.secret))), Identity("", f"{own}/{entry.name}"))
        except Refused as problem:
            problems.append(problem)
    status: dict[str, Any] = {"secret": f"{request.name}-client", "keyGeneration": request.generation}
    if rotation is not None:
        status["previousKeyGeneration"] = rotation.before
        status["keyRotatedAt"] = rotation.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    secrets = (_client(request, key),) if request.route else (_client(request, key), _engine(request, masters))
    return Credentials(secrets, keys, {"access": status}, again, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Rotation:
    """The last one: the generation that was published before, and when the wanted one moved."""

    before: int
    at: datetime

    def lead(self, request: CredentialRequest, now: datetime) -> float:
        """Seconds until the new key is published; not after the old one has ended."""
        return (self.at + min(LEAD, request.overlap) - now).total_seconds()


def _rotation(request: CredentialRequest, previous: Mapping[str, Any], now: datetime) -> _Rotation | None:
    """None: the generation never moved, so no other key was ever valid."""
    known, text = previous.get("keyGeneration"), previous.get("keyRotatedAt")
    if known is None:
        return None
    last = None
    if text:
        before = int(previous.get("previousKeyGeneration") or known - 1)
        last = _Rotation(before, datetime.fromisoformat(str(text).replace("Z", "+00:00")))
    if known == request.generation:
        return last
    # Raised again so soon that the Secret has the key before still: that is the one apps hold.
    unpublished = last is not None and last.lead(request, now) > 0
    return _Rotation(last.before if last and unpublished else known, now.replace(microsecond=0))


def _given(entry: KeyEntry, secret: Object | None) -> str:
    where = f"`spec.access.apiKeys` {entry.name!r}"
    if secret is None:
        raise Refused(
            Reason.SECRET_NOT_FOUND,
            f"{where}: Secret {entry.secret!r} does not exist in this namespace. Create it with entry {entry.key!r}.",
            recheck_seconds=15,
        )
    encoded = (secret.get("data") or {}).get(entry.key)
    if encoded is None:
        raise Refused(
            Reason.SECRET_NOT_FOUND,
            f"{where}: Secret {entry.secret!r} has no entry {entry.key!r}. Add it or correct the name.",
            recheck_seconds=15,
        )
    try:
        text = base64.b64decode(encoded, validate=True).decode("ascii").strip()
    except ValueError:
        text = ""
    if len(text) < LEAST_KEY_LENGTH or not text.isprintable() or " " in text:
        raise Refused(
            Reason.SECRET_INVALID,
            f"{where}: entry {entry.key!r} of Secret {entry.secret!r} is no usable key: it takes at least "
            f"{LEAST_KEY_LENGTH} visible ASCII characters without spaces (`openssl rand -hex 32` makes one).",
            recheck_seconds=60,
        )
    return text


def _client(request: CredentialRequest, key: str) -> dict[str, Any]:
    """What an app mounts with `envFrom`. Lower-case names are those of the Service Binding specification."""
    host = request.url.split("//", 1)[1].split("/", 1)[0]
    data = {
        "OPENAI_BASE_URL": request.url,
        "OPENAI_API_KEY": key,
        "MODEL": request.name,
        "type": "openai",
        "provider": "smallmodel",
        "host": host,
        "uri": request.url,
        "model": request.name,
        "api-key": key,
    }
    if request.ca:
        data |= {"CA": request.ca, "ca.crt": request.ca}
    return _secret(request, f"{request.name}-client", "servicebinding.io/openai", data)


def _engine(request: CredentialRequest, masters: Masters) -> dict[str, Any]:
    return _secret(
        request, f"{request.name}-engine-key", "Opaque", {ENGINE_KEY_FILE: engine_key(masters.engine, request.uid)}
    )


def _secret(request: CredentialRequest, name: str, kind: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": request.namespace,
            "labels": route_labels(request.name) if request.route else labels(request.name, ROLE_SERVER),
        },
        "type": kind,
        "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()},
    }
