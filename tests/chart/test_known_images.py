"""What a registry already holds: found with and without a login, and never a reason to fail."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hack.install.images import Image
from hack.install.registry import known_digest

DIGEST = "sha256:" + "a" * 64


class Registry(BaseHTTPRequestHandler):
    """Serves one manifest to who brings a token of its own token service, as registries of the big vendors do."""

    login = base64.b64encode(b"bot:right").decode()
    realm = ""

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer pull-token":
            self.send_response(401)
            realm = self.realm or f"http://127.0.0.1:{self.server.server_port}/token"  # type: ignore[attr-defined]
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="registry"')
        elif self.path == "/v2/slm/op/manifests/1":
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        good = self.headers.get("Authorization") == f"Basic {self.login}"
        assert "scope=repository%3Aslm%2Fop%3Apull" in self.path
        body = json.dumps({"token": "pull-token"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Registry]]]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    handler = type("Handler", (Registry,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def login(folder: Path, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": Registry.login}}}))


def test_found_with_a_token_from_the_registrys_service(registry: tuple[str, type[Registry]], tmp_path: Path) -> None:
    login(tmp_path, registry[0])
    assert known_digest(f"{registry[0]}/slm/op:1", insecure=True) == DIGEST
    assert known_digest(f"{registry[0]}/slm/op:2", insecure=True) == ""


def test_not_found_without_a_login(registry: tuple[str, type[Registry]]) -> None:
    assert known_digest(f"{registry[0]}/slm/op:1", insecure=True) == ""


def test_a_login_is_not_sent_to_a_foreign_realm_in_the_clear(
    registry: tuple[str, type[Registry]], tmp_path: Path
) -> None:
    login(tmp_path, registry[0])
    registry[1].realm = "http://tokens.example.com/token"
    assert known_digest(f"{registry[0]}/slm/op:1", insecure=True) == ""


def test_no_registry_is_no_error() -> None:
    assert known_digest("127.0.0.1:9/slm/op:1", insecure=True) == ""


def test_the_tag_follows_what_the_image_is_made_from(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.whl").write_bytes(b"one")
    (tmp_path / "Containerfile").write_text("FROM x\n")
    image = Image("op", tmp_path / "Containerfile", context, "base:1")
    first = image.tag("x86_64")
    assert first == image.tag("x86_64")
    changed = [Image("op", image.containerfile, context, "base:2").tag("x86_64"), image.tag("aarch64")]
    (context / "a.whl").write_bytes(b"two")
    changed.append(image.tag("x86_64"))
    assert len({first, *changed}) == 4
