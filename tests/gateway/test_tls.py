"""HTTPS at the door, from the files of a TLS Secret, replaced while it serves."""

import http.client
import ssl
import subprocess
import time
from pathlib import Path

from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of


def certificate(folder: Path, name: str) -> None:
    """As the kubelet does: both files at once, by one rename of a link."""
    data = folder / f"..{name}"
    data.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}",
         "-keyout", f"{data}/tls.key", "-out", f"{data}/tls.crt"], check=True, capture_output=True,
    )  # fmt: skip
    (folder / ".link").symlink_to(data.name)
    (folder / ".link").rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(f"..data/{file}")


def served(port: int) -> str:
    text = ssl.get_server_certificate(("127.0.0.1", port))
    words = ["openssl", "x509", "-noout", "-subject"]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


def test_certificate_and_its_renewal(folder: Path, bot: Engine) -> None:
    keep = folder / "tls"
    keep.mkdir()
    certificate(keep, "first")
    state = state_of((model("support/bot"),), {"support/bot": bot.port}, tls=True)
    with Gateway(folder / "s", state, certificates=keep) as gateway:
        assert "first" in served(gateway.https_port)
        certificate(keep, "second")
        until = time.monotonic() + 60
        while "second" not in served(gateway.https_port):
            assert time.monotonic() < until, "the new certificate is not served"
            time.sleep(0.05)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", gateway.https_port, timeout=60, context=ssl._create_unverified_context()
        )
        headers = {"Authorization": f"Bearer {SUPPORT}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", b'{"model":"bot"}', headers)
        assert connection.getresponse().status == 200
        connection.close()
