"""A model hub inside the cluster's network: a branch of a repository in safetensors, fetched, converted and served.

The hub is a fake that speaks the part of the public one's HTTP API that a download uses; its line breaks.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.images.build import build_image, pack_weights
from hack.safetensors_model import made
from hack.safetensors_model.answers import ANSWERS
from tests.cluster.conftest import Bed, model
from tests.cluster.test_convert import answers
from tests.cluster.test_download import CA, OPERATOR, SYSTEM, keys

from smallmodel_operator.cli.convertible_folder import sums
from smallmodel_operator.weights import convertible

pytestmark = pytest.mark.long
MAKING_SECONDS = 420
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DROP_BYTES = 2_000_000
"""After so many a connection ends in the middle."""
STRAYS = ("pytorch_model.bin", "modeling_bot.py", "README.md")

HUB = """
import hashlib, http.server, json, os, ssl, sys, urllib.parse
commit, drop, root = sys.argv[1], int(sys.argv[2]), "/repository"

def blob(data):
    return hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest()

entries = []
for name in sorted(os.listdir(root)):
    data = open(f"{root}/{name}", "rb").read()
    entry = {"type": "file", "oid": blob(data), "size": len(data), "path": name}
    if name.endswith((".safetensors", ".model", ".bin")):
        sha256 = hashlib.sha256(data).hexdigest()
        entry.update(oid=blob(sha256.encode()), lfs={"oid": sha256, "size": len(data), "pointerSize": 134})
    entries.append(entry)

class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        asked, path = self.headers.get("Range", ""), urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        print("asked", path, asked, flush=True)
        if path == "/api/models/org/bot/revision/main":
            return self.say(json.dumps({"id": "org/bot", "sha": commit}).encode())
        if path == f"/api/models/org/bot/tree/{commit}":
            begin = int(urllib.parse.urlsplit(self.path).query.partition("cursor=")[2] or 0)
            there = f"https://{self.headers['Host']}{path}?recursive=true&cursor={begin + 3}"
            more = {"Link": f'<{there}>; rel="next"'} if begin + 3 < len(entries) else {}
            return self.say(json.dumps(entries[begin:begin + 3]).encode(), more)
        name = path.removeprefix(f"/org/bot/resolve/{commit}/")
        if name not in [e["path"] for e in entries]:
            return self.say(b"", {"X-Error-Code": "RevisionNotFound"}, 404)
        data = open(f"{root}/{name}", "rb").read()
        begin = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        told = {"ETag": f'"{blob(data)}"'}
        told |= {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if asked else {}
        self.say(data[begin:], told, 206 if asked else 200, drop)

    def say(self, body, told={}, status=200, most=1 << 40):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **told}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:most])
        self.close_connection = len(body) > most

server = http.server.ThreadingHTTPServer(("", 8443), Hub)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/keys/tls.crt", "/keys/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def trained() -> Path:
    """The folder as its publisher would ship it."""
    return made.folder()


@pytest.fixture
def repository(bed: Bed, trained: Path, tmp_path: Path) -> str:
    """An image with the repository's files: the model, and what nobody needs of it."""
    stray = tmp_path / "stray"
    stray.write_bytes(b"\x80\x04." + b"x" * 4096)
    files = {file.name: file for file in trained.iterdir()}
    image = pack_weights("repository", {**files, **dict.fromkeys(STRAYS, stray)})
    bed.node.load_image(image.archive)
    return image.reference


@pytest.fixture
def hub(bed: Bed, namespace: str, repository: str, tmp_path: Path) -> Iterator[str]:
    """The hub's pod and Service in the namespace; the operator is told that this is the hub."""
    name = f"hub.{namespace}.svc.cluster.local"
    pair = keys(tmp_path, name)
    meta = {"namespace": namespace}
    bed.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {**meta, "name": "tls"}, "stringData": pair})
    data = {"ca.crt": pair["tls.crt"]}
    bed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": CA}, "data": data})
    service = {"selector": {"app": "hub"}, "ports": [{"port": 8443, "targetPort": 8443}]}
    bed.apply({"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "name": "hub"}, "spec": service})
    labels = {"name": "hub", "labels": {"app": "hub"}}
    bed.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, **labels}, "spec": _pod(repository)})
    bed.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/hub", "--timeout=90s")
    _told(bed, f"SLM_HUB_ENDPOINT=https://{name}:8443", f"SLM_CA_CONFIG_MAP={CA}")
    yield name
    _told(bed, "SLM_HUB_ENDPOINT-", "SLM_CA_CONFIG_MAP-")


def _told(bed: Bed, *words: str) -> None:
    bed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, *words)
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")


def _pod(repository: str) -> dict[str, Any]:
    container = {
        "name": "hub",
        "image": build_image("toolbox").reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", HUB, COMMIT, str(DROP_BYTES)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "repository", "mountPath": "/repository", "readOnly": True},
            {"name": "keys", "mountPath": "/keys", "readOnly": True},
        ],
    }
    security = {
        "runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    return {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [
            {"name": "repository", "image": {"reference": repository}},
            {"name": "keys", "secret": {"secretName": "tls"}},
        ],
    }


def wish(namespace: str, accept: str) -> dict[str, Any]:
    kinds = {"accept": [accept], "image": build_image("converter").reference}
    return model(
        "bot", namespace, "", source={"uri": "hf://org/bot@main", "allowMutable": True},
        quantization={"method": "GGUF", **kinds},
        compute={"resources": {"limits": {"memory": "256Mi"}}},
        engine={"contextSize": 512, "parallelSlots": 2},
    )  # fmt: skip


def asked(bed: Bed, namespace: str) -> list[list[str]]:
    """Each file that was asked for, with the bytes it was asked from."""
    lines = [line.split() for line in bed.kubectl("-n", namespace, "logs", "hub").splitlines()]
    resolve = f"/org/bot/resolve/{COMMIT}/"
    return [[line[1].removeprefix(resolve), *line[2:]] for line in lines if line[1:] and line[1].startswith(resolve)]


def test_a_branch_in_safetensors_is_fetched_over_a_bad_line_converted_and_answers(
    bed: Bed, namespace: str, hub: str, trained: Path
) -> None:
    bed.node.load_image(build_image("converter").archive)
    bed.apply(wish(namespace, "BF16"))
    status = bed.ready("bot", namespace, MAKING_SECONDS)["status"]
    assert status["source"]["uri"] == f"hf://org/bot@{COMMIT}"
    assert status["weights"]["quantization"] == "BF16"
    expected = {name: sha256 for name, sha256 in sums(trained).items() if name != "README.md"}
    assert status["quantization"]["converted"]["digest"] == convertible.digest(expected)
    assert answers(bed, namespace) == ANSWERS
    fetched = asked(bed, namespace)
    assert not {name for name, *_ in fetched} & set(STRAYS), "neither pickles nor code"
    pieces = [words for words in fetched if words[0] == "model.safetensors"]
    assert len(pieces) == (trained / "model.safetensors").stat().st_size // DROP_BYTES + 1
    assert pieces[1] == ["model.safetensors", f"bytes={DROP_BYTES}-"], "each connection brings the next piece"
    volume = bed.get("pvc", "smallmodel-weights", namespace)["spec"]["volumeName"]
    claim = bed.node.folder / "volumes" / volume.rpartition("-")[2]
    (folder,) = claim.glob("hf-*/safetensors")
    assert {file.name for file in folder.iterdir()} == set(expected)
    (note,) = claim.glob("converted-*/model.gguf.json")
    assert json.loads(note.read_text())["from"] == folder.parent.name
    twin = {**wish(namespace, "BF16"), "metadata": {"name": "twin", "namespace": namespace}}
    bed.apply(twin)
    bed.ready("twin", namespace, MAKING_SECONDS)
    assert asked(bed, namespace) == fetched, "once for a commit and a namespace"
