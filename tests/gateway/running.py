"""A real Envoy with a given state, for tests and benchmarks: no Kubernetes, no agent process, free ports.

    with Gateway(folder, state) as gateway:
        gateway.post("/support/v1/chat/completions", {"model": "bot"}, key="slm-…")
        gateway.apply(other_state)          # returns when Envoy serves it
        gateway.log()                       # the access log's lines so far

Everything but the processes is what a gateway pod runs: files by gateway/config.py's rules, endpoints over
gateway/discovery.py on xds.sock, the pinned binary of hack/envoy.
"""

import asyncio
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hack.envoy.binary import bodies, program

from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.line import fields_of, parse
from smallmodel_operator.gateway.config import version_of, versioned
from smallmodel_operator.gateway.discovery import Discovery
from smallmodel_operator.gateway.files import Files, dump
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import EnvoyRenderer, Site


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The OpenAI error object; fails when the body is none."""
        assert self.headers["content-type"] == "application/json", self
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["message"]
        assert self.headers["x-slm-cause"]
        return error


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def here(folder: Path, **more: Any) -> Site:
    """A gateway on this machine: any free ports on loopback, all its files in one folder."""
    free: dict[str, Any] = {"address": "127.0.0.1", "http_port": 0, "https_port": 0}
    return Site(**{"folder": folder, "data": folder, "certificates": folder, "bodies": bodies(), **free, **more})


class Gateway:
    """One Envoy. `port` is its HTTP port, `https_port` its HTTPS port if the state says `tls`."""

    def __init__(self, folder: Path, state: State, concurrency: int = 1, **site: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site = here(folder, **site)
        self.renderer = EnvoyRenderer(self.site)
        self.state = state
        self.port = self.https_port = 0
        self._concurrency = concurrency
        self._files = Files(folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="discovery")
        self._process: subprocess.Popen[bytes] | None = None

    # -- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Gateway":
        self._thread.start()
        self.discovery = self._on_loop(self._discovery)
        self._write(self.state)
        (self.site.folder / "bootstrap.json").write_bytes(dump(self.renderer.bootstrap()))
        words = [program(), "-c", str(self.site.folder / "bootstrap.json"), "--disable-hot-restart", "-l", "warning"]
        self._errors = (self.site.folder / "envoy.log").open("wb")
        self._process = subprocess.Popen(
            [*words, "--concurrency", str(self._concurrency)], stdout=self._errors, stderr=self._errors
        )
        self._eventually(lambda: self.admin("/ready").strip() == "LIVE", "Envoy is ready")
        self._eventually(self._listening, "Envoy listens")
        self._eventually(self._warm, "health checks have passed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._errors.close()
        asyncio.run_coroutine_threadsafe(self.discovery.stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    @property
    def pid(self) -> int:
        """Envoy's process."""
        assert self._process is not None
        return self._process.pid

    async def _discovery(self) -> Discovery:
        discovery = Discovery(Path(self.site.xds_socket))
        await discovery.start()
        return discovery

    def _on_loop(self, work: Callable[..., Any], *args: Any) -> Any:
        async def run() -> Any:
            result = work(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def _eventually(self, true: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        until = time.monotonic() + timeout
        while True:
            try:
                if true():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"Envoy ended: {(self.site.folder / 'envoy.log').read_text()[-3000:]}")
            if time.monotonic() > until:
                raise AssertionError(f"not within {timeout} s: {what}\n{self.errors()}")
            time.sleep(0.005)

    def _listening(self) -> bool:
        ports = {}
        for item in json.loads(self.admin("/listeners?format=json")).get("listener_statuses", []):
            ports[item["name"]] = item["local_address"].get("socket_address", {}).get("port_value")
        self.port, self.https_port = ports.get("http", 0), ports.get("https", 0)
        return bool(self.port) and (bool(self.https_port) or not self.state.tls)

    def _warm(self) -> bool:
        return "/failed_active_hc" not in self.admin("/clusters")

    def _known(self) -> bool:
        clusters = self.admin("/clusters")
        return all(f"{target}::" in clusters for target in self.state.clusters)

    # -- configuration -----------------------------------------------------------------------------------------

    def _write(self, state: State) -> dict[str, str]:
        values = {target: self.renderer.endpoints(state, target) for target in state.clusters}
        files = {name: versioned(value) for name, value in self.renderer.everything(state).items()}
        self._on_loop(self.discovery.put, {target: value for target, (_, value) in values.items()})
        endpoints = {name: dump(value) for name, value in values.values()}
        self._files.write_all({**{name: dump(value) for name, value in files.items()}, **endpoints})
        self._on_loop(self.discovery.keep_only, state.clusters)
        return {name: version_of(value) for name, value in files.items()}

    def apply(self, state: State) -> None:
        """Serve another state; returns when Envoy does."""
        versions = self._write(state)
        self.state = state

        def served() -> bool:
            text = self.admin("/stats?type=TextReadouts&filter=version_text")
            wanted = (versions[f"xds/{name}.json"] for name in ("cds", "rds", "lds"))
            return all(version in text for version in wanted)

        self._eventually(served, "Envoy serves the new configuration")
        self._eventually(self._known, "every model has a cluster: its pods were checked once")
        for target in state.clusters:
            assert self._on_loop(self.discovery.settled, target, 60.0), f"endpoints of {target}: not accepted"

    # -- asking ------------------------------------------------------------------------------------------------

    def admin(self, path: str, method: str = "GET") -> str:
        """The text of an admin page."""
        connection = _Unix(self.site.admin_socket)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, host: str = ""
    ) -> Answer:
        """One request on a connection of its own; a body that is not bytes or an iterator is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if host:
            sent["Host"] = host
        try:
            connection.request(method, path, body, sent, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, key: str = "", host: str = "", **headers: str) -> Answer:
        """POST with a key."""
        credential = {"Authorization": f"Bearer {key}"} if key else {}
        return self.request("POST", path, body, {**credential, **headers}, host)

    def get(self, path: str, key: str = "", host: str = "") -> Answer:
        """GET with a key."""
        return self.request("GET", path, None, {"Authorization": f"Bearer {key}"} if key else {}, host)

    # -- what it says ------------------------------------------------------------------------------------------

    def errors(self) -> str:
        """Envoy's own log, its end."""
        path = self.site.folder / "envoy.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def log(self, request_id: str = "", timeout: float = 60.0) -> list[dict[str, Any]]:
        """Lines of the access log, with None for what they leave out; with `request_id` that request's, waited for."""
        path = self.site.data / "access.log"
        until = time.monotonic() + timeout
        while True:
            self.admin("/reopen_logs", "POST")  # flushes, in a thread of its own
            size = -1
            while path.exists() and size != path.stat().st_size:
                size = path.stat().st_size
                time.sleep(0.05)
            lines = path.read_text().splitlines() if path.exists() else []
            found = [
                {**dict.fromkeys(FIELDS), **fields_of(parse(line.encode()))} for line in lines if request_id in line
            ]
            if found or not request_id or time.monotonic() > until:
                return found
            time.sleep(0.02)
