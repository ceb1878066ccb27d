"""The own Envoy, asked through its admin socket: is it ready, what passes through it, what did it refuse."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
TRAFFIC: Final = r"^cluster\.[^./]+/[^.]+\.upstream_rq_(active|total)$"
VERSIONS: Final = r"^(listener_manager\.lds|cluster_manager\.cds|http\..*\.rds\..*)\.version_text$"
_STAT: Final = re.compile(r"^cluster\.(?P<target>[^./]+/[^.]+)\.upstream_rq_(?P<what>active|total)$")
_VERSION: Final = re.compile(r"^(?P<where>.+)\.version_text$")
_FILE: Final = {"listener_manager.lds": "xds/lds.json", "cluster_manager.cds": "xds/cds.json"}


class Unreachable(Exception):  # noqa: N818 - says what is the matter
    """Envoy did not answer on its admin socket."""


Upstream = tuple[str, int]
"""IP address and port; of a Unix socket its path and 0."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Requests of one target in this Envoy: now, and since Envoy started (retries counted)."""

    active: int = 0
    total: int = 0


def traffic_of(stats: Mapping[str, Any]) -> dict[str, Passing]:
    """Read `/stats?format=json`: requests by target."""
    found: dict[str, dict[str, int]] = {}
    for stat in stats.get("stats", ()):
        if match := _STAT.match(str(stat.get("name", ""))):
            found.setdefault(match["target"], {})[match["what"]] = int(stat["value"])
    return {target: Passing(**numbers) for target, numbers in found.items()}


def versions_of(stats: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Read `/stats?format=json`: versions served, by file; more than one where listeners differ."""
    found: dict[str, frozenset[str]] = {}
    for stat in stats.get("stats", ()):
        if match := _VERSION.match(str(stat.get("name", ""))):
            name = _FILE.get(match["where"], "xds/rds.json")
            found[name] = found.get(name, frozenset()) | {str(stat["value"])}
    return found


def upstreams_of(clusters: Mapping[str, Any]) -> dict[str, frozenset[Upstream]]:
    """Read `/clusters?format=json`: addresses by cluster.

    Raises:
        KeyError, TypeError, AttributeError: it says something else.
    """
    found: dict[str, set[Upstream]] = {}
    for cluster in clusters.get("cluster_statuses", ()):
        addresses = found.setdefault(str(cluster["name"]), set())
        for host in cluster.get("host_statuses", ()):
            address = host["address"]
            if pipe := address.get("pipe"):
                addresses.add((str(pipe["path"]), 0))
            else:
                addresses.add((str(address["socket_address"]["address"]), int(address["socket_address"]["port_value"])))
    return {name: frozenset(addresses) for name, addresses in found.items()}


def kept_before(name: str) -> str:
    """What is said of a file that Envoy refuses."""
    return f"Envoy refuses the newest {name} and serves the one before: see the log of container envoy for the reason"


def refused(written: Mapping[str, str], served: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Files whose newest content Envoy does not serve. A file that Envoy does not mention is not loaded yet."""
    return frozenset(name for name, versions in served.items() if written.get(name) and versions != {written[name]})


class Admin:
    """The admin interface on a Unix socket. Use as `async with`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Admin":
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._socket)), timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self, *, draining: bool = False) -> bool:
        """Does Envoy take requests? With `draining`: is it there at all?"""
        try:
            return (await self._get("/ready")).strip() == "LIVE" or draining
        except Unreachable:
            return False

    async def traffic(self) -> dict[str, Passing]:
        """Requests by target.

        Raises:
            Unreachable: no answer; that is not the same as no traffic.
        """
        return traffic_of(await self._stats(TRAFFIC))

    async def total(self, pattern: str) -> int:
        """Sum of the statistics whose names match.

        Raises:
            Unreachable: no answer.
        """
        return sum(int(stat.get("value", 0)) for stat in (await self._stats(pattern)).get("stats", ()))

    async def versions(self) -> dict[str, frozenset[str]]:
        """Versions of configuration files that are served.

        Raises:
            Unreachable: no answer.
        """
        return versions_of(await self._stats(VERSIONS, "TextReadouts"))

    async def addresses(self, target: str) -> frozenset[str]:
        """Where Envoy sends requests for a target now: `address:port`, or the path of a Unix socket.

        Raises:
            Unreachable: no answer.
        """
        text = await self._get("/clusters?" + urlencode({"filter": f"^{re.escape(target)}$"}))
        lines = (line.split("::") for line in text.splitlines())
        return frozenset(part[1] for part in lines if len(part) > 2 and part[2].startswith("health_flags"))

    async def upstreams(self) -> dict[str, frozenset[Upstream]]:
        """Where every cluster leads now, by Envoy's own word.

        Raises:
            Unreachable: no answer, or one that cannot be read.
        """
        value = _json(await self._get("/clusters?format=json"))
        try:
            return upstreams_of(value)
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"Envoy's list of clusters cannot be read: {error!r}") from None

    async def began(self, *, exactly: bool = False) -> float:
        """When this Envoy was started, in seconds since 1970: to a second, and never too early; or exactly, which takes
        it longer to say the more models there are.

        Raises:
            Unreachable: no answer, or one that cannot be read.
        """
        try:
            if not exactly:
                uptime = _json(await self._get("/server_info"))["uptime_current_epoch"]
                return time.time() - float(uptime.removesuffix("s"))
            configs = _json(await self._get("/config_dump?mask=last_updated"))["configs"]
            (text,) = (one["last_updated"] for one in configs if one["@type"].endswith(".BootstrapConfigDump"))
            return datetime.fromisoformat(text).timestamp()
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unreachable(f"Envoy does not say when it was started: {error!r:.200}") from None

    async def reopen_logs(self) -> None:
        """Have Envoy write its access log to a fresh file, if the old one was renamed. Lines kept back are written.

        Raises:
            Unreachable: no answer; it writes to the old one still.
        """
        await self._get("/reopen_logs", "POST")

    async def set_runtime(self, key: str, value: int) -> None:
        """Set a runtime value, for as long as this Envoy runs.

        Raises:
            Unreachable: no answer.
        """
        await self._get("/runtime_modify?" + urlencode({key: value}), "POST")

    async def _stats(self, pattern: str, kind: str = "All") -> Mapping[str, Any]:
        text = await self._get("/stats?" + urlencode({"filter": pattern, "format": "json", "type": kind}))
        return _json(text)

    async def _get(self, path: str, method: str = "GET") -> str:
        if self._session is None:
            raise Unreachable("the connection to Envoy's admin interface is closed")
        try:
            async with self._session.request(method, f"http://envoy{path}") as response:
                text = await response.text()
                if response.status != 200 and not path.startswith("/ready"):
                    raise Unreachable(f"Envoy's admin interface answered {response.status}: {text[:100]}")
                return text
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"Envoy does not answer on {self._socket.name}: {error}") from error


def _json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreachable(f"the answer of Envoy's admin interface is no JSON: {error}") from None
    return value if isinstance(value, dict) else {}
