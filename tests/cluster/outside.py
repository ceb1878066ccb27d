"""An API outside the cluster: a server on the host, under a name that the cluster's DNS is told of."""

import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import node_config, process
from hack.cluster.binaries import program
from hack.cluster.node import Node
from hack.install.__main__ import main as install
from tests.cluster.conftest import Bed

NAME = "api.outside.test"
PIECE = b'data: {"choices": [{"delta": {"content": "on"}}]}\n\n'
EVERY_SECONDS = 0.1


class Outside:
    """What it was asked, and until when it could still send."""

    def __init__(self, address: str, folder: Path) -> None:
        self.asked: list[dict[str, Any]] = []
        self.cut_at = 0.0
        self.certificate = _certificate(folder)
        self._server = ThreadingHTTPServer((address, 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """A stream without an end."""
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outside.asked.append({"path": self.path, "headers": headers, "body": body})
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
                        self.wfile.flush()
                        time.sleep(EVERY_SECONDS)
                except OSError:
                    outside.cut_at = time.monotonic()
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def _certificate(folder: Path) -> str:
    """An authority that is the server, too."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt", "-subj", "/CN=outside",
         "-addext", f"subjectAltName=DNS:{NAME}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "tls.crt").read_text()


@contextmanager
def known(node: Node) -> Iterator[None]:
    """The cluster's DNS knows its name; every other name outside does not exist, as ever."""
    file = node.folder / "Corefile"
    before = file.read_text()
    assert before == node_config.COREFILE.format(address=node.addresses.node, kubeconfig=node.kubeconfig)
    answers = (
        f'    template IN A {NAME} {{\n        answer "{{{{ .Name }}}} 5 IN A {node.addresses.host}"\n    }}\n'
        f"    template IN AAAA {NAME} {{\n        rcode NOERROR\n    }}\n"
    )
    _dns(node, before.replace("    template ANY ANY", answers + "    template ANY ANY", 1))
    try:
        yield
    finally:
        _dns(node, before)


def _dns(node: Node, text: str) -> None:
    process.stop("coredns", node.folder)
    (node.folder / "Corefile").write_text(text)
    node.start("coredns", program("coredns"), f"-conf={node.folder / 'Corefile'}")


@contextmanager
def way_out(bed: Bed, folder: Path, monkeypatch: pytest.MonkeyPatch, **values: Any) -> Iterator[Outside]:
    """A server outside, and the chart with the egress that trusts it. `values`: more of the chart's."""
    server = Outside(bed.node.addresses.host, folder)
    file = folder / "values.json"
    file.write_text(json.dumps({"egress": {"enabled": True, "authorities": server.certificate}, **values}))
    try:
        _upgrade(monkeypatch, "--values", str(file))
        with known(bed.node):
            yield server
    finally:
        bed.kubectl("delete", "clusterboundary", "cluster", check=False)
        _upgrade(monkeypatch)
        server.close()


def _upgrade(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """As a user does it: `make install CLUSTER=testbed VALUES=…`."""
    monkeypatch.setattr(sys, "argv", ["install", "install", "--cluster", "testbed", *words])
    assert install() == 0


def hybrid(namespace: str, url: str) -> dict[str, Any]:
    """A route with a target outside, and one inside that does not exist: what is kept inside is refused."""
    cloud = {"url": url, "model": "big-1", "apiKeySecretRef": {"name": "cloud", "key": "key"}}
    trusted = [{"name": "here", "namespace": namespace, "labels": ["public"]}]
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": "desk", "namespace": namespace},
        "spec": {
            "targets": [{"name": "small", "smallModelRef": {"name": "bot"}}, {"name": "cloud", "external": cloud}],
            "default": "small",
            "boundary": {"external": "WhenClean", "trusted": trusted},
        },
    }


def request(text: str) -> dict[str, Any]:
    return {"model": "desk/cloud", "stream": True, "max_tokens": 4, "messages": [{"role": "user", "content": text}]}


def through(bed: Bed, namespace: str, text: str) -> tuple[int, str]:
    """Ask the target outside by the route, as an app does: the status, and the first words or the error's code."""
    asked = urllib.request.Request(
        f"http://{bed.gateway()}/{namespace}/v1/chat/completions",
        data=json.dumps(request(text)).encode(),
        headers={"Authorization": f"Bearer {bed.key('desk', namespace)}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            piece = json.loads(answer.readline().removeprefix(b"data: "))
            return answer.status, piece["choices"][0]["delta"]["content"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["code"]


ASK = """
import http.client, json, sys
from smallmodel_operator.boundary.passes import Pass, Signer, sha256
from smallmodel_operator.gateway.egress.server import milliseconds
given = json.loads(sys.argv[1])
body = json.dumps({"model": "big-1", "messages": [{"role": "user", "content": "hello"}]}).encode()
headers = {"content-type": "application/json", "x-request-id": given["id"], "x-slm-target": given["target"],
           "authorization": "Bearer of-the-caller", "x-tenant": "hr"}
if given["seed"]:
    made = Pass(given["id"], given["target"], "sha256:" + "ab" * 32, sha256(body), milliseconds())
    headers["x-slm-pass"] = Signer(bytes.fromhex(given["seed"])).sign(made)
asked = http.client.HTTPConnection(given["address"], given["port"], timeout=20)
asked.request("POST", "/v1/chat/completions", body, headers)
answer = asked.getresponse()
print(answer.status, answer.getheader("x-slm-cause", "-"), flush=True)
try:
    while answer.status == 200 and answer.readline():
        print("on", flush=True)
except Exception as error:
    print("broken", type(error).__name__, flush=True)
print("over", flush=True)
"""


def ask(node: Node, pod: str, **given: Any) -> subprocess.Popen[str]:
    """Ask the egress from a gateway's pod, which alone may; one line for its status, and one for each that comes."""
    words = ["--kubeconfig", str(node.kubeconfig), "-n", "smallmodel-system", "exec", pod, "-c", "agent", "--"]
    command = [program("kube", "kubectl"), *words, "python3", "-c", ASK, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
