"""The port of a download's pod: `GET /progress` says how far it is. Only the operator gets there."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from smallmodel_operator.core.facts import Progress
from smallmodel_operator.weights import progress
from smallmodel_operator.weights.meter import Meter

PATIENCE_SECONDS: Final = 5.0
"""For a question to arrive; a connection that says nothing is closed."""


class Board:
    """What is said now. One value, replaced as a whole: the port reads it from another thread."""

    def __init__(self) -> None:
        self.progress = Progress(0, 0, None)

    def tell(self, progress: Progress) -> None:
        """What is said from now on."""
        self.progress = progress


class Together(Board):
    """For several files after each other: each says how far it is, and what is said is how far all of them are."""

    def __init__(self, board: Board, total: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._board, self._total, self._clock = board, total, clock
        self._before = 0
        self._meter: Meter | None = None

    def there(self, size: int) -> None:
        """A file of so many bytes is whole."""
        self._before += size

    def tell(self, progress: Progress) -> None:
        done, now = min(self._total, self._before + progress.done), self._clock()
        self._meter = self._meter or Meter(now, done)  # what an earlier pod fetched is no speed of ours
        self._meter.at(done, self._total, now)
        left = self._meter.seconds_left(now)
        self.progress = Progress(done, self._total, left, progress.reason, progress.message)
        self._board.tell(self.progress)


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS
    board: ClassVar[Board]

    def log_message(self, *words: Any) -> None:
        """The log is for the download."""

    def do_GET(self) -> None:
        found = self.path == "/progress"
        body = progress.encode(self.board.progress).encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    daemon_threads = True

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked went away; that is no trouble of the download."""


@contextmanager
def answering(board: Board, port: int) -> Iterator[int]:
    """The port it answers on, while it does; 0 asks for any free one. A port that is taken only costs the progress."""
    try:
        server = _Server(("", port), type("_Bound", (_Handler,), {"board": board}))
    except OSError as error:
        print(f"nobody can ask how far the download is: {error}", flush=True)
        yield 0
        return
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
