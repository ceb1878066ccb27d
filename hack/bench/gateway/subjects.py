"""What is measured: each a URL and the processes that serve it, on loopback, in front of the same mock engine."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.gateway.cases import CASES
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of

from hack.bench.gateway.peer import KEY, configuration, install, started
from hack.bench.gateway.reader import BOTH, METRICS
from hack.envoy.binary import program

WORKERS: Final = 2
"""Worker threads of each Envoy, as the chart has it."""
START_SECONDS: Final = 90


@dataclass(frozen=True, slots=True)
class Subject:
    """`pids`: processes of the data path. `beside`: of its agent, which makes metrics and records of the lines of the
    log; `unrecorded`: the same that makes metrics only, to compare with; `folder`: where they do."""

    name: str
    url: str
    headers: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()
    unrecorded: tuple[int, ...] = ()
    folder: Path | None = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(words: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child that ends with us."""
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out, **options) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()


def answers(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a URL is answered. Raises RuntimeError with the end of the log if it never is."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no answer from {url}:\n{log.read_text(errors='replace')[-2000:]}")


def direct(engine: int) -> Subject:
    return Subject("direct", f"http://127.0.0.1:{engine}/v1/chat/completions")


@contextmanager
def raw_envoy(folder: Path, engine: int) -> Iterator[Subject]:
    """Envoy with one route and no filter but the router, no access log."""
    port, file, log = free_port(), folder / "raw.json", folder / "raw.log"
    file.write_text(json.dumps(_bootstrap(port, engine)))
    words = [program(), "-c", str(file), "--disable-hot-restart", "-l", "warning", "--concurrency", str(WORKERS)]
    with process(words, log) as child:
        answers(f"http://127.0.0.1:{port}/health", child, log)
        yield Subject("raw Envoy", f"http://127.0.0.1:{port}/v1/chat/completions", pids=(child.pid,))


def _bootstrap(port: int, engine: int) -> dict[str, Any]:
    def at(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "engine"}}]
    router = {"@type": f"{types}.http.router.v3.Router"}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "raw",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(engine)}}]}]
    cluster = {"name": "engine", "load_assignment": {"cluster_name": "engine", "endpoints": endpoints}}
    listener = {"name": "http", "address": at(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextmanager
def gateway(folder: Path, engine: int) -> Iterator[Subject]:
    """Our gateway, the model in the address, a client key; beside it the processes that read its access log."""
    own = folder / "gw"
    issuer = CASES["tokens"].issuer  # as in a cluster: the filter of tokens is there
    bot = model("support/bot", engine_image="engine@sha256:1", template_revision=2, chat_template="c" * 64)
    state = state_of((bot,), {"support/bot": engine}, issuer=issuer)

    def reader(what: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        words = [sys.executable, "-m", "hack.bench.gateway.reader", str(own), what]
        return process(words, folder / f"{what}.log")

    with Gateway(own, state, concurrency=WORKERS) as running, reader(METRICS) as counts, reader(BOTH) as agent:
        yield Subject(
            "our gateway",
            f"http://127.0.0.1:{running.port}/v1/chat/completions",
            ("Host: bot.support.svc.cluster.local", f"Authorization: Bearer {SUPPORT}"),
            (running.pid,),
            (agent.pid,),
            (counts.pid,),
            own,
        )


@contextmanager
def litellm(folder: Path, engine: int) -> Iterator[Subject]:
    """LiteLLM's proxy, one worker process, with a key."""
    port, log = free_port(), folder / "litellm.log"
    file = folder / "litellm.json"  # JSON is YAML, too
    file.write_text(json.dumps(configuration(engine)))
    with process(started(install(), file, port), log, env=_clean(folder)) as child:
        answers(f"http://127.0.0.1:{port}/health/liveliness", child, log)
        key = (f"Authorization: Bearer {KEY}",)
        yield Subject("LiteLLM", f"http://127.0.0.1:{port}/v1/chat/completions", key, (child.pid,))


def _clean(folder: Path) -> dict[str, str]:
    """Nothing of this machine's settings; prices from its own file, not from the internet."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "NO_PROXY": "127.0.0.1",
    }
