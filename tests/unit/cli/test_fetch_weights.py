"""The download Job's command against a real HTTPS server with a private authority, on loopback."""

import errno
import hashlib
import shutil
import ssl
import threading
import urllib.request
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import certificates
from tests.fakes.gguf_file import TENSORS, build

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import gguf, result

FILE = build(tensors=[*TENSORS[:-1], ("output_norm.weight", (300_000,), "F32")])
SHA256 = hashlib.sha256(FILE).hexdigest()
FOLDER = f"sha256-{SHA256}"


class Site(BaseHTTPRequestHandler):
    """Serves FILE; the path says in what way."""

    protocol_version = "HTTP/1.1"
    requests: list[tuple[str, str]]
    begun: threading.Event

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.requests.append((self.path, wanted))
        how = self.path.strip("/").removesuffix(".gguf")
        if how.isdigit():
            self._send(int(how), b"no")
        elif how in ("to-http", "to-file"):
            target = "http://127.0.0.1:1/x" if how == "to-http" else f"https://{self.headers['Host']}/file.gguf"
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif how == "cut":
            self._send(200, FILE[: len(FILE) // 2], length=len(FILE))
            self.close_connection = True
        elif how == "chunked-cut":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"100\r\n" + FILE[:64])
            self.close_connection = True
        elif how == "other":
            self._send(200, b"another file")
        elif how == "no-range" or not wanted:
            self._send(200, FILE)
        else:
            self._range(int(wanted.removeprefix("bytes=").removesuffix("-")))

    def _range(self, begin: int) -> None:
        if begin >= len(FILE):
            self._send(416, b"")
        else:
            self._send(206, FILE[begin:])

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    certificates.make(folder, "127.0.0.1", "10.0.0.0/24")
    return folder


@pytest.fixture
def site(keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    Site.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "server.crt", keys / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that refuse us are wanted here
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Claim:
    """A folder in the claim, and the command that fills it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self.message = root / "termination-log"
        self.ca_file = ""
        self.file = self.folder / "model.gguf"
        self.part = self.folder / "model.part"

    def fetch(self, url: str, sha256: str = SHA256) -> tuple[int, Any]:
        code = fetch_weights.fetch(
            fetch_weights.Download(url, sha256, str(self.folder), "sha256:a", "uid-1", self.ca_file), self.message
        )
        text = self.message.read_text()
        assert len(text.encode()) <= result.MAX_BYTES
        return code, result.decode(text)

    def refused(self, url: str, sha256: str = SHA256) -> tuple[int, result.Failure]:
        code, said = self.fetch(url, sha256)
        assert isinstance(said, result.Failure)
        assert not self.file.exists(), "nothing half-made"
        return code, said


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    return Claim(tmp_path)


def test_a_download_is_checked_described_and_says_how_far_it_is(
    site: str, claim: Claim, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = claim.fetch(f"{site}/file.gguf")
    assert code == result.EXIT_FOUND
    assert isinstance(facts, WeightsFacts)
    assert (facts.artifact, facts.file, facts.claim) == ("sha256:a", "model.gguf", "uid-1")
    assert claim.file.read_bytes() == FILE
    assert not claim.part.exists()
    assert claim.file.stat().st_mode & 0o777 == 0o644
    assert "100 %" in capsys.readouterr().out


def test_what_is_there_is_not_fetched_again(site: str, claim: Claim) -> None:
    claim.fetch(f"{site}/file.gguf")
    assert claim.fetch(f"{site}/404")[0] == result.EXIT_FOUND
    assert len(Site.requests) == 1


def test_a_broken_connection_is_continued_where_it_ended(site: str, claim: Claim) -> None:
    code, said = claim.refused(f"{site}/cut")
    assert (code, said.passing) == (result.EXIT_PASSING, True)
    half = len(FILE) // 2
    assert claim.part.stat().st_size == half
    assert claim.fetch(f"{site}/file.gguf")[0] == result.EXIT_FOUND
    assert Site.requests[-1] == ("/file.gguf", f"bytes={half}-")
    assert claim.file.read_bytes() == FILE


def test_a_server_without_ranges_sends_it_all_again(site: str, claim: Claim) -> None:
    claim.refused(f"{site}/cut")
    assert claim.fetch(f"{site}/no-range")[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE


def test_a_complete_rest_of_an_earlier_try_is_used(site: str, claim: Claim) -> None:
    claim.folder.mkdir()
    claim.part.write_bytes(FILE)
    assert claim.fetch(f"{site}/file.gguf")[0] == result.EXIT_FOUND
    assert len(Site.requests) == 1


@pytest.mark.parametrize("left", [b"x" * 100, FILE + b"more"])
def test_a_rest_of_another_file_is_thrown_away_once(site: str, claim: Claim, left: bytes) -> None:
    claim.folder.mkdir()
    claim.part.write_bytes(left)
    assert claim.fetch(f"{site}/file.gguf")[0] == result.EXIT_FOUND
    assert [r for _, r in Site.requests] == [f"bytes={len(left)}-", ""]
    assert claim.file.read_bytes() == FILE


def test_another_file_is_refused_with_both_sums_and_leaves_nothing(site: str, claim: Claim) -> None:
    code, said = claim.refused(f"{site}/other")
    assert (code, said.reason, said.passing) == (result.EXIT_REFUSED, Reason.DIGEST_MISMATCH, False)
    assert SHA256 in said.message
    assert hashlib.sha256(b"another file").hexdigest() in said.message
    assert not claim.part.exists()


def test_a_file_that_is_no_gguf_is_refused(site: str, claim: Claim) -> None:
    code, said = claim.fetch(f"{site}/other", hashlib.sha256(b"another file").hexdigest())
    assert code == result.EXIT_REFUSED
    assert said.reason is Reason.WEIGHTS_INVALID


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_the_user_must_change_is_not_tried_again(site: str, claim: Claim, status: int) -> None:
    code, said = claim.refused(f"{site}/{status}")
    assert code == result.EXIT_REFUSED
    assert str(status) in said.message
    assert "spec.source.uri" in said.message


@pytest.mark.parametrize("how", ["500", "503", "429", "chunked-cut"])
def test_what_may_pass_is_tried_again(site: str, claim: Claim, how: str) -> None:
    code, said = claim.refused(f"{site}/{how}")
    assert (code, said.reason) == (result.EXIT_PASSING, Reason.DOWNLOAD_FAILED)
    assert said.passing


def test_redirects_are_followed_to_https_only(site: str, claim: Claim) -> None:
    code, said = claim.refused(f"{site}/to-http")
    assert code == result.EXIT_REFUSED
    assert "not https" in said.message
    assert claim.fetch(f"{site}/to-file")[0] == result.EXIT_FOUND


@pytest.mark.parametrize(
    ("source", "target", "followed"),
    [
        ("https://a.example/m", "https://cdn.example/m", True),
        ("https://a.example/m", "https://cdn.example:443/m", True),
        ("https://a.example:8443/m", "https://a.example:8443/n", True),
        ("https://a.example:8443/m", "https://cdn.example/m", True),
        ("https://a.example/m", "https://cdn.example:8443/m", False),
    ],
)
def test_redirects_stay_on_ports_the_policy_lets_out(source: str, target: str, followed: bool) -> None:
    """Else the download would wait for an answer that cannot come, and not say why."""
    request, handler = urllib.request.Request(source), fetch_weights._OnlyHttps()
    if followed:
        assert handler.redirect_request(request, None, 302, "", {}, target).full_url == target
    else:
        with pytest.raises(gguf.BadWeights, match=r"port 8443 of cdn\.example; a download reaches the port in `spec"):
            handler.redirect_request(request, None, 302, "", {}, target)


def test_only_https_is_fetched(site: str, claim: Claim) -> None:
    for url in ("http://127.0.0.1/x", "file:///etc/passwd"):
        assert claim.refused(url)[0] == result.EXIT_REFUSED
    assert Site.requests == []


def test_an_unknown_authority_names_the_way_out(site: str, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    _, said = claim.refused(f"{site}/file.gguf")
    assert "not accepted" in said.message
    assert "ca.crt" in said.message


def test_a_private_authority_is_trusted_besides_the_public_ones(
    site: str, claim: Claim, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    claim.ca_file = str(keys / "ca.crt")
    assert claim.fetch(f"{site}/file.gguf")[0] == result.EXIT_FOUND
    public = ssl.create_default_context().cert_store_stats()["x509_ca"]
    assert fetch_weights._trust(claim.ca_file).cert_store_stats()["x509_ca"] == public + 1


def test_an_authority_that_is_none_is_named(site: str, claim: Claim) -> None:
    claim.ca_file = __file__
    assert "not a PEM certificate" in claim.refused(f"{site}/file.gguf")[1].message


def test_a_server_that_is_not_there(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    code, said = claim.refused("https://127.0.0.1:1/m.gguf?token=geheim")
    assert code == result.EXIT_PASSING
    assert "127.0.0.1:1" in said.message
    assert "geheim" not in said.message


def test_a_full_claim_is_said_before_the_download(site: str, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    code, said = claim.refused(f"{site}/file.gguf")
    assert code == result.EXIT_REFUSED
    assert "full" in said.message
    assert "Enlarge" in said.message
    assert not claim.part.exists()


def test_a_claim_that_fills_up_meanwhile(site: str, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_weights.os, "fsync", full)
    assert "full" in claim.refused(f"{site}/file.gguf")[1].message


def test_a_server_that_sends_for_ever_is_stopped(site: str, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_weights, "MAX_BYTES", 1000)
    code, said = claim.refused(f"{site}/file.gguf")
    assert code == result.EXIT_REFUSED
    assert "larger than" in said.message


def test_pods_that_want_the_same_file_fetch_it_once(site: str, claim: Claim, tmp_path: Path) -> None:
    def fetch(number: int) -> int:
        wish = fetch_weights.Download(f"{site}/file.gguf", SHA256, str(claim.folder), "sha256:a", "uid-1")
        return fetch_weights.fetch(wish, tmp_path / f"message-{number}")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fetch, range(4))) == {result.EXIT_FOUND}
    assert len(Site.requests) == 1
    assert claim.file.read_bytes() == FILE
