"""A fake Prometheus: a real HTTP server in a thread that answers the API's instant queries from scrapes it is given.

It speaks the wire format, with labels as a ServiceMonitor's targets have them, and knows our two kinds of questions by
their words; it evaluates no PromQL. Whether the real one does what we mean is tested on the real one.
"""

import json
import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from smallmodel_operator.core.exported import BINNED, EPOCH, METRICS, epoch_number


@dataclass
class Target:
    """A gateway as it was last scraped: `age` seconds ago, with what `GET /signals` said of its models then."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    age: float = 1.0
    instance: str = ""
    exported: bool = False
    """Its own labels are named `exported_…`, because the target's have the same names."""


@dataclass
class FakePrometheus:
    """`mode`: `well`, `503`, `html`, `shape`, `error`, `slow`, `trickle`, `redirect`, `cut`."""

    targets: dict[str, Target] = field(default_factory=dict)
    mode: str = "well"
    now: float = 1_763_000_000.0
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    change: dict[str, str] = field(default_factory=dict)
    """Values to lie about, by the metric's name."""
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, query: str) -> list[dict[str, Any]]:
        self.asked.append(query)
        found = [
            self._sample({"gateway": name, "version": "1", **self._labels(name)}, repr(self.now - target.age))
            for name, target in self.targets.items()
        ]
        if " or " in query:
            names = re.search(r'__name__=~"([^"]*)"', query)
            assert names is not None
            wanted = set(names[1].split("|"))
            found += [s for s in self._numbers() if s["metric"]["__name__"] in wanted]
        return found

    def _labels(self, gateway: str) -> dict[str, str]:
        return {"instance": self.targets[gateway].instance or f"{gateway}:10091", "job": "gateways"}

    def _sample(self, labels: Mapping[str, str], value: str) -> dict[str, Any]:
        return {"metric": dict(labels), "value": [self.now, value]}

    def _numbers(self) -> Iterator[dict[str, Any]]:
        for gateway, target in self.targets.items():
            for name, said in target.models.items():
                prefix = "exported_" if target.exported else ""
                own = dict(zip((f"{prefix}namespace", f"{prefix}model"), name.split("/"), strict=True))
                if target.exported:
                    own["namespace"] = "smallmodel-system"
                labels = {"instance": self._labels(gateway)["instance"], **own}
                for metric in METRICS:
                    value = _at(said, metric.path)
                    number = str(epoch_number(value) if metric is EPOCH else value)
                    yield self._sample({"__name__": metric.name, **labels}, self.change.get(metric.name, number))
                for metric in BINNED:
                    for part, count in _at(said, metric.path).items():
                        text = self.change.get(metric.name, str(count))
                        yield self._sample({"__name__": metric.name, "bin": part, **labels}, text)


def _at(said: Any, path: tuple[str, ...]) -> Any:
    for word in path:
        said = said[word]
    return said


class _Handler(BaseHTTPRequestHandler):
    fake: FakePrometheus

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        fake, split = self.fake, urlsplit(self.path)
        fake.tokens.append(self.headers.get("Authorization", ""))
        if split.path != "/prom/api/v1/query":
            self._say(404, b"no such page")
            return
        result = fake.answer(parse_qs(split.query)["query"][0])
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        pages = {
            "well": (200, body),
            "503": (503, b"<html>secret-of-a-proxy</html>"),
            "html": (200, b"<html>log in</html>"),
            "shape": (200, json.dumps({"data": {"result": [{"metric": {}, "value": None}]}}).encode()),
            "error": (422, json.dumps({"status": "error", "error": "too many samples"}).encode()),
            "redirect": (302, b""),
        }
        if fake.mode in pages:
            self._say(*pages[fake.mode])
        elif fake.mode == "slow":
            fake.over.wait(30)
        else:
            self._part(body, trickle=fake.mode == "trickle")

    def _part(self, body: bytes, *, trickle: bool) -> None:
        """Less than was promised, or all of it a byte at a time."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not trickle:
            self.wfile.write(body[: len(body) // 2])
            return
        for byte in body:
            if self.fake.over.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"{self.fake.url}/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that has had enough is no error of ours."""


@contextmanager
def prometheus(fake: FakePrometheus) -> Iterator[FakePrometheus]:
    """The fake, served below /prom of a port of its own."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_address[1]}/prom"
        try:
            yield fake
        finally:
            fake.over.set()
            server.shutdown()
            thread.join()
