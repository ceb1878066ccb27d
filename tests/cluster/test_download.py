"""A download on the real node: from a server in the cluster with a private authority, a token and a bad line."""

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hack.images.build import build_image, pack_weights
from tests.cluster.conftest import WEIGHTS, Bed, model
from tests.cluster.test_hostile_pod import PROBE, opened, pod

pytestmark = pytest.mark.long
"""It takes as long as the server is slow."""

SYSTEM = "smallmodel-system"
OPERATOR = "deployment/smallmodel-operator"
CA = "corporate-ca"
TOKEN = "hf_of-the-test"
PROGRESS_PORT = 8082
BYTES_A_SECOND = 30_000
"""So slow that a stranger's pod has come and gone before it is over."""
DROP_BYTES = 700_000
"""After so many a connection ends in the middle; 2.5 MB take four of them and a minute and a half."""

SERVER = """
import http.server, os, socket, ssl, sys, time
hole = socket.create_server(("", 8444))  # connections are taken, and nothing ever comes
rate, drop, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
path = "/weights/model.gguf"
size = os.path.getsize(path)

class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        asked = self.headers.get("Range", "")
        known = self.headers.get("Authorization") == f"Bearer {token}"
        print("asked", known, asked, flush=True)
        if not known:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("ETag", '"first"')
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        sent = 0
        with open(path, "rb") as file:
            file.seek(begin)
            while sent < drop and (piece := file.read(rate // 10)):
                self.wfile.write(piece)
                sent += len(piece)
                time.sleep(0.1)
        self.close_connection = True

server = http.server.ThreadingHTTPServer(("", 8443), Site)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/keys/tls.crt", "/keys/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


def keys(folder: Path, name: str) -> dict[str, str]:
    """An authority that is the server, too: certificate and key for one name."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt", "-subj", "/CN=files",
         "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {file: (folder / file).read_text() for file in ("tls.crt", "tls.key")}


@pytest.fixture
def trusting(bed: Bed) -> Iterator[None]:
    """The operator as `caConfigMap` sets it up."""
    bed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, f"SLM_CA_CONFIG_MAP={CA}")
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    yield
    bed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, "SLM_CA_CONFIG_MAP-")
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")


@pytest.fixture
def files(bed: Bed, namespace: str, tmp_path: Path) -> str:
    """Host and port of a server in the namespace that holds the weights."""
    name = f"files.{namespace}.svc.cluster.local"
    made = keys(tmp_path, name)
    meta = {"namespace": namespace}
    bed.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {**meta, "name": "tls"}, "stringData": made})
    data = {"ca.crt": made["tls.crt"]}
    bed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": CA}, "data": data})
    ports = [{"name": f"port-{port}", "port": port, "targetPort": port} for port in (8443, 8444)]
    service = {"selector": {"app": "files"}, "ports": ports}
    bed.apply({"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "name": "files"}, "spec": service})
    container = {
        "name": "files",
        "image": build_image("toolbox").reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER, str(BYTES_A_SECOND), str(DROP_BYTES), TOKEN],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "weights", "mountPath": "/weights", "readOnly": True},
            {"name": "keys", "mountPath": "/keys", "readOnly": True},
        ],
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "weights", "image": {"reference": pack_weights("first", {"model.gguf": WEIGHTS}).reference}},
            {"name": "keys", "secret": {"secretName": "tls"}},
        ],
    }  # fmt: skip
    bed.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**meta, "name": "files", "labels": {"app": "files"}},
            "spec": spec,
        }
    )
    bed.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/files", "--timeout=90s")
    return f"{name}:8443"


def secret(bed: Bed, namespace: str, token: str) -> None:
    data = {"token": base64.b64encode(token.encode()).decode()}
    bed.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": namespace}, "data": data})


def test_a_download_over_a_bad_line_shows_how_far_it_is_and_serves(
    bed: Bed, namespace: str, trusting: None, files: str
) -> None:
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    source = {"uri": f"https://{files}/m.gguf", "sha256": sha256, "credentialsSecretRef": {"name": "hub"}}
    bed.apply(model("bot", namespace, "", source=source))

    def condition(reason: str) -> dict[str, Any] | None:
        found = bed.condition("bot", namespace, "WeightsReady")
        return found if found.get("reason") == reason else None

    bed.until(lambda: condition("SecretNotFound"), 120, "a Secret that is not there is named")
    secret(bed, namespace, "another")
    retry(bed, namespace, source)
    bed.until(lambda: condition("SourceUnauthorized"), 180, "a token that is not accepted is named")
    secret(bed, namespace, TOKEN)
    retry(bed, namespace, source)

    def far() -> dict[str, Any] | None:
        said = bed.get("smallmodel", "bot", namespace).get("status", {}).get("download") or {}
        return said if 0 < said.get("percent", 0) < 100 else None

    said = bed.until(far, 120, "how far the download is")
    assert said["totalBytes"] == WEIGHTS.stat().st_size
    address = downloading(bed, namespace)
    probe: Any = [{"progress": ("tcp", address, PROGRESS_PORT)}, []]
    assert opened(pod(bed, namespace, "stranger", PROBE, probe)) == set(), "only the operator may ask"
    assert far() is not None, "the port was open while the stranger tried"
    ready = bed.ready("bot", namespace, 240)
    assert not any((ready["status"].get("download") or {}).values()), "over, and nothing is left of it in the status"
    assert ready["status"]["weights"]["sha256"] == sha256
    pieces = begun(bed, namespace)
    assert len(pieces) >= WEIGHTS.stat().st_size // (DROP_BYTES + BYTES_A_SECOND), "it broke off"
    assert pieces[0] == 0
    assert all(later > earlier for earlier, later in pairwise(pieces)), "each connection brought the next piece"


def downloading(bed: Bed, namespace: str) -> str:
    """Address of the download's pod."""
    (running,) = (
        p for p in bed.items("pods", namespace, "smallmodel.dev/role=download") if p["status"].get("phase") == "Running"
    )
    return str(running["status"]["podIP"])


def retry(bed: Bed, namespace: str, source: dict[str, Any]) -> None:
    """A new model asks at once; the old one would in ten minutes."""
    bed.kubectl("-n", namespace, "delete", "smallmodel", "bot", "--wait=true", "--timeout=60s")
    bed.apply(model("bot", namespace, "", source=source))


def begun(bed: Bed, namespace: str) -> list[int]:
    """Where each connection that was let in began."""
    lines = bed.kubectl("-n", namespace, "logs", "files").splitlines()
    return [int(line.partition("bytes=")[2].rstrip("-") or 0) for line in lines if line.startswith("asked True")]


def test_a_file_without_its_sum_is_fetched_once_frozen_and_served(
    bed: Bed, namespace: str, trusting: None, files: str
) -> None:
    secret(bed, namespace, TOKEN)
    source = {"uri": f"https://{files}/m.gguf", "allowMutable": True, "credentialsSecretRef": {"name": "hub"}}
    bed.apply(model("bot", namespace, "", source=source))
    ready = bed.ready("bot", namespace, 300)
    frozen = ready["status"]["source"]
    assert frozen["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert ready["status"]["weights"]["folder"] == f"sha256-{frozen['sha256']}"
    asked = begun(bed, namespace)
    assert asked[0] == 0
    assert all(later > earlier for earlier, later in pairwise(asked)), "in one piece, and once"
    bed.kubectl("-n", SYSTEM, "rollout", "restart", OPERATOR)
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    bed.apply(model("bot", namespace, "", source=source, engine={"contextSize": 256}))
    again = bed.ready("bot", namespace, 120)
    assert again["status"]["source"] == frozen
    assert begun(bed, namespace) == asked, "neither a restart nor an edit asks anew"


def test_a_model_whose_source_answers_is_served_while_another_ones_source_for_the_same_file_hangs(
    bed: Bed, namespace: str, trusting: None, files: str
) -> None:
    secret(bed, namespace, TOKEN)
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    silent = {"uri": f"https://{files.replace('8443', '8444')}/m.gguf", "sha256": sha256}
    bed.apply(model("silent", namespace, "", source=silent))

    def hangs() -> bool:
        return bed.condition("silent", namespace, "WeightsReady").get("reason") in (
            "SourceUnreachable",
            "SourceStalled",
        )

    bed.until(hangs, 120, "the source that says nothing is named")
    source = {"uri": f"https://{files}/m.gguf", "sha256": sha256, "credentialsSecretRef": {"name": "hub"}}
    bed.apply(model("bot", namespace, "", source=source))
    assert bed.ready("bot", namespace, 240)["status"]["weights"]["sha256"] == sha256
    bed.ready("silent", namespace, 120)
    asked = begun(bed, namespace)
    assert asked[0] == 0
    assert all(later > earlier for earlier, later in pairwise(asked)), "in one piece, and once"
