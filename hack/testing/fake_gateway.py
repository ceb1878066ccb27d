"""A fake gateway agent: `GET /signals` that says of every SmallModel and ModelRoute that it is routed to and idle for
0 s, and `GET /usage` that says what a test wants.

For tiers without pods, where no gateway can run. It follows both by `kubectl get --watch`, like the real agent
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

KINDS = ("smallmodels.smallmodel.dev", "modelroutes.smallmodel.dev")
COLUMNS = "custom-columns=N:.metadata.namespace,M:.metadata.name"


class FakeGateway:
    """Use as `with FakeGateway([kubectl, "--kubeconfig", path]) as gateway:`; `gateway.url` is SLM_GATEWAY_URLS."""

    def __init__(self, kubectl: Sequence[str]) -> None:
        self._kubectl = list(kubectl)
        self._targets: set[str] = set()
        self.usage: dict[str, Any] = {"epoch": 1, "models": {}}
        self.says: dict[str, dict[str, Any]] = {}
        """Other words on a model, by `<namespace>/<name>`."""
        self.usage_asked = 0
        """How often."""
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FakeGateway":
        # It ends soon when it is told to.
        threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True).start()
        for kind in KINDS:  # kubectl watches one at a time
            threading.Thread(target=self._follow, args=(kind,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stopping.set()
        for process in self._processes.values():
            process.kill()
        self._server.shutdown()
        self._server.server_close()

    def _follow(self, kind: str) -> None:
        command = [*self._kubectl, "get", kind, "-A", "--watch", "--no-headers", "-o", COLUMNS]
        while not self._stopping.is_set():
            # Its complaints while the API server is away are not for the test's output.
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                self._processes[kind] = process
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
