"""A real HTTPS server on loopback that holds one file and behaves as badly as the path asks for."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from hack.cluster import certificates

PIECE = 64 * 2**10
BUFFER = 256 * 2**10
"""What the kernel takes before it arrives anywhere: small, so that what counts as sent is what left."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    range: str
    if_range: str
    host: str
    authorization: str


@dataclass
class Held:
    """What the server holds and what happened to it."""

    file: Path
    tag: str = '"one"'
    asked: list[Asked] = field(default_factory=list)
    sent: int = 0
    """Bytes of the file handed to the kernel, over all connections."""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Given instead of the file, in turn, while there are any: status and headers."""
    cut: list[int] = field(default_factory=list)
    """After how many bytes of the file the next connections break off."""
    silent: threading.Event = field(default_factory=threading.Event)
    """Set at the end: connections on `/silent` get no byte of the file before."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ranges(self) -> list[str]:
        return [asked.range for asked in self.asked]


class Site(BaseHTTPRequestHandler):
    """GET of: /file, /no-range, /tags (another ETag each time), /no-tag, /chunked, /silent, /to-file (redirect), …"""

    protocol_version = "HTTP/1.1"
    held: ClassVar[Held]

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        wanted, held = self.headers.get("Range", ""), self.held
        told = self.headers.get("If-Range", ""), self.headers.get("Host", ""), self.headers.get("Authorization", "")
        held.asked.append(Asked(self.path, wanted, *told))
        how = self.path.strip("/").partition("?")[0].removesuffix(".gguf")
        if held.answers:
            self._status(*held.answers.pop(0))
        elif how.isdigit():
            self._status(int(how), {})
        elif how.startswith("to-"):
            self._status(302, {"Location": self._elsewhere(how)})
        else:
            self._file(how, wanted)

    def _elsewhere(self, how: str) -> str:
        port = self.headers["Host"].rpartition(":")[2]
        targets = {"to-http": "http://127.0.0.1:1/x?secret=1", "to-other": f"https://localhost:{port}/file.gguf"}
        return targets.get(how, f"https://{self.headers['Host']}/file.gguf")

    def _status(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, how: str, wanted: str) -> None:
        size, tag = self.held.file.stat().st_size, self._tag(how)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if how == "no-range" or self.headers.get("If-Range", tag) != tag:
            begin, wanted = 0, ""
        if begin >= size:
            return self._status(416, {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        if tag:
            self.send_header("ETag", tag)
        chunked = how == "chunked"
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size - begin))))
        self.end_headers()
        self._body(begin, how, chunked=chunked)
        return None

    def _tag(self, how: str) -> str:
        return {"no-tag": "", "tags": f'"{len(self.held.asked)}"'}.get(how, self.held.tag)

    def _body(self, begin: int, how: str, *, chunked: bool) -> None:
        if how == "silent":
            self.held.silent.wait(60)
        left = self.held.cut.pop(0) if self.held.cut else None
        with self.held.file.open("rb") as file:
            file.seek(begin)
            while piece := file.read(PIECE if left is None else min(PIECE, left)):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                with self.held.lock:
                    self.held.sent += len(piece)
                left = None if left is None else left - len(piece)
        if left is not None:
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")


def keys_in(folder: Path) -> Path:
    """An authority (`ca.crt`) and the server's certificate, for 127.0.0.1 and localhost."""
    certificates.make(folder, "127.0.0.1", "10.0.0.0/24")
    return folder


@contextmanager
def serve(keys: Path, file: Path, handler: type[Site] = Site) -> Iterator[tuple[int, Held]]:
    """The port, and what is held there."""
    held = Held(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"held": held}))
    server.daemon_threads = True
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "server.crt", keys / "server.key")
    # The handshake in the request's own thread: one that breaks off there must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away are wanted here
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port, held
    finally:
        held.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()
