"""A real Envoy that asks for decisions, with two upstreams by name: one inside, one outside. Its configuration is made
of the gateway's own parts (xds/decide.py); the door is left out: who calls is what the header `x-caller` says.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.envoy.binary import program
from tests.gateway.running import Answer, _Unix, here

from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES
from smallmodel_operator.gateway.xds import decide
from smallmodel_operator.gateway.xds.listener import BUFFER
from smallmodel_operator.gateway.xds.replies import local_replies
from smallmodel_operator.gateway.xds.words import ROUTE, extension, formatted, header, typed

CHAT = "/v1/chat/completions"


def bootstrap(folder: Path, upstreams: Mapping[str, int]) -> dict[str, Any]:
    """Envoy's whole configuration; `upstreams`: ports by the name of their target."""
    site = here(folder)
    listener = {
        "name": "http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "per_connection_buffer_limit_bytes": BUFFER,
        "filter_chains": [{"filters": [_manager(site, upstreams)]}],
    }
    return {
        "admin": {"address": {"pipe": {"path": site.admin_socket, "mode": 0o600}}},
        "static_resources": {
            "listeners": [listener],
            "clusters": [decide.cluster(site), *(_cluster(name, port) for name, port in upstreams.items())],
        },
    }


def _manager(site: Any, upstreams: Mapping[str, int]) -> dict[str, Any]:
    mutations: list[dict[str, Any]] = [{"remove_on_match": {"key_matcher": {"prefix": "x-slm-"}}}]
    mutations.append({"append": header(ROUTE, "support/assistant|assistant")})
    mutations.append({"append": formatted(decide.CALLER, "%REQ(x-caller)%")})
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    targets = {
        name: {
            "match": {"prefix": "/"},
            "route": {"cluster": name},
            "request_body_buffer_limit": LARGEST_BODY_BYTES,
            "request_headers_to_add": [header(decide.TARGET, f"support/assistant/{name}")],
            "response_headers_to_add": [formatted("x-target", f"{name} %REQ(x-slm-decision)%")],
        }
        for name in upstreams
    }
    return extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http",
        early_header_mutation_extensions=[{"name": "early", "typed_config": typed(kind, mutations=mutations)}],
        always_set_request_id_in_response=True,
        local_reply_config={"mappers": [*decide.replies(), *local_replies()["mappers"]]},
        http_filters=[
            decide.decides(),
            extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
        ],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "matcher": decide.by_target(targets)}]},
    )


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


class Asking:
    """The Envoy, and the agent that is asked, which can be ended and begun again."""

    def __init__(self, folder: Path, module: str) -> None:
        self.folder, self._module = folder, module
        self.port = 0
        self.envoy_pid = 0
        self.agent: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """The agent; returns when it is asked and records."""
        log = (self.folder / "agent.log").open("ab")
        words = [sys.executable, "-m", self._module, str(self.folder)]
        self.agent = subprocess.Popen(words, stdout=log, stderr=log)
        log.close()
        until_ready(lambda: self.ask(b"{}").status == 200, self.said)

    def end(self, sign: int) -> None:
        assert self.agent is not None
        self.agent.send_signal(sign)

    def said(self) -> str:
        """What the agent logged."""
        return (self.folder / "agent.log").read_text()

    def ask(self, body: Any, path: str = CHAT, **headers: str) -> Answer:
        """POST a body, bytes or an iterator of them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"content-type": "application/json", **{n.replace("_", "-"): v for n, v in headers.items()}}
        try:
            connection.request("POST", path, body, sent, encode_chunked=not isinstance(body, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


def until_ready(true: Callable[[], bool], said: Callable[[], str]) -> None:
    """Wait until it is true; what was said is told where it never is."""
    end = time.monotonic() + 120
    while True:
        try:
            if true():
                return
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() < end, said()
        time.sleep(0.01)


@contextmanager
def asking(
    folder: Path, upstreams: Mapping[str, int], module: str = "tests.fakes.deciding", concurrency: int = 1
) -> Iterator[Asking]:
    """Both processes; `module` is the agent's."""
    file, log = folder / "envoy.json", folder / "envoy.log"
    file.write_text(json.dumps(bootstrap(folder, upstreams)))
    words = [program(), "-c", str(file), "--disable-hot-restart", "-l", "warning"]
    words += ["--concurrency", str(concurrency)]
    found = Asking(folder, module)
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out) as envoy:
        found.envoy_pid = envoy.pid
        try:
            until_ready(lambda: _port(folder, found), log.read_text)
            found.begin()
            yield found
        finally:
            if found.agent is not None:
                found.agent.kill()
                found.agent.wait(60)
            envoy.terminate()


def _port(folder: Path, found: Asking) -> bool:
    connection = _Unix(str(folder / "admin.sock"))
    try:
        connection.request("GET", "/listeners?format=json")
        listed = json.loads(connection.getresponse().read()).get("listener_statuses", [])
    finally:
        connection.close()
    found.port = listed[0]["local_address"]["socket_address"]["port_value"] if listed else 0
    return bool(found.port)
