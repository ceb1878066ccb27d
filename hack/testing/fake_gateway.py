"""A fake gateway agent: `GET /signals` that says of every SmallModel that it is routed to and idle for 0 s, and
`GET /usage` that says what a test wants.

For tiers without pods, where no gateway can run. It follows the models by `kubectl get --watch`, like the real agent
speaks the wire format of both, and carries no traffic.
"""

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

COLUMNS = "custom-columns=N:.metadata.namespace,M:.metadata.name"


class FakeGateway:
    """Use as `with FakeGateway([kubectl, "--kubeconfig", path]) as gateway:`; `gateway.url` is SLM_GATEWAY_URLS."""

    def __init__(self, kubectl: Sequence[str]) -> None:
        self._command = [*kubectl, "get", "smallmodels.smallmodel.dev", "-A", "--watch", "--no-headers", "-o", COLUMNS]
        self._targets: set[str] = set()
        self.usage: dict[str, Any] = {"epoch": 1, "models": {}}
        self.says: dict[str, dict[str, Any]] = {}
        """Other words on a model, by `<namespace>/<name>`."""
        self.usage_asked = 0
        """How often."""
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FakeGateway":
        for work in (lambda: self._server.serve_forever(0.02), self._follow):  # it ends soon when it is told to
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        self._server.shutdown()
        self._server.server_close()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            # Its complaints while the API server is away are not for the test's output.
            with subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as process:
                self._process = process
                for line in process.stdout or ():
                    self._targets.add("/".join(line.split()))
            time.sleep(0.2)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                idle: dict[str, Any] = {"inFlight": 0, "held": 0, "idleSeconds": 0.0, "endpoints": 1, "requests": 0}
                models = {t: {**idle, **fake.says.get(t, {})} for t in sorted(fake._targets)}
                answer = {"gateway": "fake", "synced": True, "models": models}
                answers = {"/signals": answer, "/usage": fake.usage}
                body = json.dumps(answers.get(self.path)).encode()
                fake.usage_asked += self.path == "/usage"
                self.send_response(200 if self.path in answers else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
