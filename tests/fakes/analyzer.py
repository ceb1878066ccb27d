"""A fake of Presidio's analyzer on loopback: its wire format (POST /analyze), and nothing of its recognition. It finds
the words it is told as PERSON. `answers` is what it says instead: a status, bytes and seconds before them."""

import json
import re
import threading
import time
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Said = tuple[int, bytes, float]


class FakeAnalyzer:
    """One, between `start` and `stop`. `asked`: the bodies it was sent."""

    def __init__(self, names: Collection[str] = ("Heron", "Maria")) -> None:
        self.names, self.asked = tuple(names), list[dict[str, Any]]()
        self.answers: Said | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, said, wait = fake.answers or fake.analyzed(self.path, body)
                time.sleep(wait)
                try:
                    self.send_response(status)
                    if status == 302:
                        self.send_header("location", said.decode())
                        said = b""
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(said)))
                    self.end_headers()
                    self.wfile.write(said)
                except OSError:
                    pass  # who asked has gone

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def analyzed(self, path: str, body: bytes) -> Said:
        """As presidio-analyzer's app.py answers: 500 without a text or language, else findings by code points."""
        asked = json.loads(body)
        self.asked.append(asked)
        if path != "/analyze" or not asked.get("text") or not asked.get("language"):
            return 500, b'{"error": "No text provided"}', 0.0
        wanted = asked.get("entities") or ["PERSON"]
        found = [
            {"analysis_explanation": None, "end": m.end(), "entity_type": "PERSON", "score": 0.85, "start": m.start()}
            for name in (self.names if "PERSON" in wanted else ())
            for m in re.finditer(re.escape(name), asked["text"])
        ]
        return 200, json.dumps(found, sort_keys=True).encode(), 0.0
