"""Declared hosts: everything the egress may reach, as values. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

MOST: Final = 64
"""Declared hosts of a cluster."""
_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)+(?=[a-z]){_LABEL}")
"""Its last part begins with a letter: some take 0x7f.1 for an address."""
_NAME: Final = re.compile(rf"{_LABEL}/{_LABEL}/{_LABEL}")
_PATH: Final = re.compile(r"(/[-A-Za-z0-9._~]+)*")
_FIELDS: Final = frozenset({"name", "url", "credential"})
MOST_SILENT: Final = 300
"""Seconds: as long as a gateway waits."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds a host may say nothing before its answer begins: of a stream, and of one that is made whole first."""

    stream: int = 60
    answer: int = MOST_SILENT


@dataclass(frozen=True, slots=True)
class Declared:
    """One host outside. `name`: `<namespace>/<route>/<target>`; `path` stands in front of what is asked for, without a
    slash at its end; `credential`: requests there get one, and are refused while there is none."""

    name: str
    host: str
    port: int = 443
    path: str = "/v1"
    credential: bool = True
    silence: Silence = Silence()

    @property
    def file(self) -> str:
        """Of its credential, among those of all: a name has no dots, so no two have one file."""
        return self.name.replace("/", ".")


def parse(name: str, url: str, *, credential: bool = True, silence: Silence = Silence()) -> Declared:
    """A host from its URL.

    Raises:
        ValueError: it is not one that can be held to; the text says what is wrong and the way out.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a target: give <namespace>/<route>/<target>")
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ValueError(f"{name}: `url` has to begin with https://: who answers must prove who it is")
    if parts.username is not None or parts.password is not None or "?" in url or "#" in url:
        raise ValueError(f"{name}: `url` has no credentials, query or fragment; a credential comes from its Secret")
    host = parts.hostname or ""
    if _number(host) or not _HOST.fullmatch(host) or host != (parts.netloc.rpartition(":")[0] or parts.netloc):
        raise ValueError(f"{name}: `url` has to name its host with a DNS name in lower case, like api.example.com")
    path = parts.path.removesuffix("/")
    if not _PATH.fullmatch(path) or any(step in (".", "..") for step in path.split("/")):
        raise ValueError(f"{name}: the path of `url` has plain words between slashes, like /v1")
    if not all(1 <= seconds <= MOST_SILENT for seconds in (silence.stream, silence.answer)):
        raise ValueError(f"{name}: `silence` has whole seconds between 1 and {MOST_SILENT}")
    return Declared(name, host, _port(name, parts), path, credential, silence)


def _port(name: str, parts: SplitResult) -> int:
    try:
        found = 443 if parts.port is None else parts.port
    except ValueError:
        found = 0
    if not found:
        raise ValueError(f"{name}: the port of `url` is a number between 1 and 65535; without one it is 443")
    return found


def _number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def load(text: str) -> tuple[Declared, ...]:
    """Read what `dump` gave.

    Raises:
        ValueError: it is something else; nothing of it counts.
    """
    try:
        found = tuple(_one(item) for item in json.loads(text)["hosts"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no list of declared hosts: {error!r}") from None
    if not 0 < len(found) <= MOST:
        raise ValueError(f"declare between 1 and {MOST} hosts")
    if len({host.name for host in found}) < len(found):
        raise ValueError("two declared hosts have one name")
    return found


def _one(item: Mapping[str, Any]) -> Declared:
    if item.keys() - {"silence"} != _FIELDS:
        raise ValueError(f"a declared host has the fields {', '.join(sorted(_FIELDS))} and silence")
    if not isinstance(item["credential"], bool):
        raise ValueError("`credential` of a declared host is true or false")
    silence = _silence(item["silence"]) if "silence" in item else Silence()  # an older release declared none
    return parse(str(item["name"]), str(item["url"]), credential=item["credential"], silence=silence)


def _silence(given: Mapping[str, Any]) -> Silence:
    if given.keys() != {"stream", "answer"} or not all(type(seconds) is int for seconds in given.values()):
        raise ValueError("`silence` of a declared host has whole seconds: stream, answer")
    return Silence(given["stream"], given["answer"])


def dump(hosts: Sequence[Declared]) -> str:
    """The same hosts, the same text."""
    ordered = sorted(hosts, key=lambda host: host.name)
    said = [{"name": h.name, "url": url(h), "credential": h.credential, "silence": asdict(h.silence)} for h in ordered]
    return json.dumps({"hosts": said}, sort_keys=True, separators=(",", ":"))


def url(host: Declared) -> str:
    """As it is declared."""
    return f"https://{host.host}:{host.port}{host.path}"
