"""Weights from a registry that refuses, fails, lies or is not there: each has its own reason, nothing is half-made.

Real registries where they do it by themselves (no password, no such image); the others are a fake that speaks the
distribution API. Both listen on the node's own loopback, which its containerd speaks plain HTTP to.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hack.cluster import network
from hack.cluster.binaries import program
from tests.cluster.conftest import Bed, model
from tests.fakes.registry import CONFIG

pytestmark = pytest.mark.long
"""Each waits for the kubelet."""

NOBODY, REAL, FAKE = 9, 5021, 5022
DIGEST = f"sha256:{'5' * 64}"
USERS = "slm:$2y$05$0h/rMEbR5Y7cWbMC8pFGyO3RXYTyTBJY3j2vQC8ZVn0JY8cFqXbpa\n"
"""Nobody knows the password."""
FAKED = """
import http.server, sys
CODES = {"forbidden": 403, "limited": 429, "failing": 500}
MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}'

class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # of the refusal of what is none: containerd tries HTTPS first
    def do_HEAD(self):
        self.do_GET()
    def do_GET(self):
        parts = self.path.split("/")
        code = CODES.get(parts[2], 200)
        body = MANIFEST if code == 200 else b""
        self.send_response(code)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        if code == 200:
            self.send_header("Docker-Content-Digest", parts[-1])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
"""


@contextmanager
def listening(bed: Bed, words: list[str], port: int) -> Iterator[None]:
    """A server in the node's network, as soon as it takes connections."""
    within = network.prefix(bed.node.name)
    knock = [*within, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]
    with subprocess.Popen([*within, *words]) as server:
        try:
            bed.until(lambda: subprocess.run(knock, capture_output=True).returncode == 0, 30, f"port {port}")
            yield
        finally:
            server.kill()


@pytest.fixture(scope="module")
def registries(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "users").write_text(USERS)
    auth = f"auth: {{htpasswd: {{realm: test, path: {folder / 'users'}}}}}"
    closed, open_ = folder / "closed.yml", folder / "open.yml"
    closed.write_text(CONFIG.format(folder=folder / "data", port=REAL, auth=auth, tls=""))
    open_.write_text(CONFIG.format(folder=folder / "data", port=REAL + 2, auth="", tls=""))
    serve = [program("registry"), "serve"]
    with (
        listening(bed, [*serve, str(closed)], REAL),
        listening(bed, [*serve, str(open_)], REAL + 2),
        listening(bed, [sys.executable, "-c", FAKED, str(FAKE)], FAKE),
    ):
        yield


@pytest.mark.parametrize(
    ("at", "reason", "way"),
    [
        (f"127.0.0.1:{NOBODY}/none", "SourceUnreachable", "that the node reaches it"),
        (f"127.0.0.1:{REAL}/weights", "SourceUnauthorized", "pull secret"),
        (f"127.0.0.1:{REAL + 2}/weights", "SourceNotFound", "no such image"),
        (f"127.0.0.1:{FAKE}/forbidden", "SourceForbidden", "the right to pull"),
        (f"127.0.0.1:{FAKE}/limited", "SourceRateLimited", "tried again"),
        (f"127.0.0.1:{FAKE}/failing", "SourceFailing", "trouble of its own"),
        (f"127.0.0.1:{FAKE}/lying", "DigestMismatch", "nothing of them was used"),
    ],
    ids=["down", "closed", "without", "forbidding", "busy", "failing", "lying"],
)
def test_no_weights(bed: Bed, namespace: str, registries: None, at: str, reason: str, way: str) -> None:
    bed.apply(model("bot", namespace, f"oci://{at}@{DIGEST}"))

    def stalled() -> str:
        condition = bed.condition("bot", namespace, "Stalled")
        assert condition.get("reason") in (None, reason) or condition.get("status") != "True", condition
        return str(condition["message"]) if condition.get("status") == "True" else ""

    message = bed.until(stalled, 90, reason)
    assert at in message
    assert way in message
    assert bed.condition("bot", namespace, "WeightsReady")["reason"] == reason
    assert not bed.items("deployments", namespace), "nothing half-made"
