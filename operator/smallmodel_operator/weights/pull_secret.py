"""Who a pull secret says to be at a registry: the kubelet's rules of which entry counts. Pure."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from smallmodel_operator.weights.image import DOCKER_HUB, DOCKER_HUB_API, Name

HUB_NAMES: Final = (DOCKER_HUB, "index.docker.io", DOCKER_HUB_API)


class IdentityToken(Exception):  # noqa: N818
    """The entry holds nothing but a token for a protocol that is not spoken here."""


def login(configs: Iterable[str], image: Name) -> tuple[str, str] | None:
    """User and password for an image, from documents of Secrets of type kubernetes.io/dockerconfigjson.

    The entry whose path is the longest counts; None where there is none.

    Raises:
        IdentityToken: it has no password.
    """
    fitting = [
        (len(key), entry)
        for text in configs
        for key, entry in _entries(text)
        if _fits(key, image) and isinstance(entry, dict)
    ]
    for _, entry in sorted(fitting, key=lambda found: -found[0]):
        if pair := _pair(entry):
            return pair
        if entry.get("identitytoken"):
            raise IdentityToken
    return None


def mounted(names: Sequence[str], at: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volume and mount of Secrets, for the kubelet to fill in; those that are missing are left out, as it does."""
    if not names:
        return [], []
    sources = [
        {"secret": {"name": name, "optional": True, "items": [{"key": ".dockerconfigjson", "path": f"{n}.json"}]}}
        for n, name in enumerate(names)
    ]
    volume = {"name": "credentials", "projected": {"sources": sources}}
    return [volume], [{"name": "credentials", "mountPath": at, "readOnly": True}]


def _entries(text: str) -> list[tuple[str, Any]]:
    try:
        auths = json.loads(text)["auths"]
        return [(_bare(key), entry) for key, entry in auths.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _bare(key: str) -> str:
    """`host[:port][/path]`, of what may also be an address of the API."""
    bare = key.partition("://")[2] or key
    for end in ("/", "/v1", "/v2"):
        bare = bare.removesuffix(end)
    return bare


def _fits(key: str, image: Name) -> bool:
    host, _, path = key.partition("/")
    hosts = HUB_NAMES if image.host == DOCKER_HUB else (image.host,)
    same = any(host.count(".") == name.count(".") and fnmatchcase(name, host) for name in hosts)
    return same and (not path or f"{image.repository}/".startswith(f"{path.rstrip('/')}/"))


def _pair(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    user, password = entry.get("username"), entry.get("password")
    if not (user and password) and isinstance(entry.get("auth"), str):
        try:
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    return (str(user), str(password)) if user and password else None
