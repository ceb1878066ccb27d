"""A real container registry on loopback, for tests that push."""

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from hack.cluster.binaries import program
from hack.ports import free_port

CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
{auth}
"""


def start_registry(folder: Path, auth: str = "", keys: Path | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """The distribution project's registry with its data below `folder`; the process and host:port.

    `keys`: folder with `server.crt` and `server.key`, to speak HTTPS.
    """
    tls = f", tls: {{certificate: {keys}/server.crt, key: {keys}/server.key}}" if keys else ""
    for _ in range(5):
        port = free_port()
        (folder / "registry.yml").write_text(CONFIG.format(folder=folder / "data", port=port, auth=auth, tls=tls))
        process = _serve(folder)
        if _answers(process, port):
            return process, f"127.0.0.1:{port}"
        process.kill()
        process.wait()
    raise RuntimeError(f"the registry did not start:\n{(folder / 'registry.log').read_text()[-2000:]}")


def _serve(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "registry.log").open("w") as log:
        return subprocess.Popen(
            [program("registry"), "serve", str(folder / "registry.yml")],
            stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )  # fmt: skip


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(0.1)
    return False


def digest_of(host: str, name: str, reference: str) -> str:
    """The digest under which the registry serves a manifest."""
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{reference}", method="HEAD")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def own_store(folder: Path) -> dict[str, str]:
    """Environment in which buildah keeps its images below `folder` and needs no privileges of a container."""
    store = folder / "storage.conf"
    store.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
    return {"CONTAINERS_STORAGE_CONF": str(store), "BUILDAH_ISOLATION": "chroot"}


class Pushed:
    """A client that pushes what a test makes, blob by blob, over HTTPS. `login`: in base64."""

    def __init__(self, host: str, keys: Path, login: str = "") -> None:
        self._root, self._login = f"https://{host}/v2", login
        self._trust = ssl.create_default_context(cafile=str(keys / "ca.crt"))

    def blob(self, name: str, data: bytes, media: str, **notes: str) -> dict[str, Any]:
        """The descriptor of a blob that was pushed."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = self._ask("POST", f"{self._root}/{name}/blobs/uploads/", b"")
        where = begun.headers["Location"]
        self._ask("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", data, "application/octet-stream")
        return {"mediaType": media, "digest": digest, "size": len(data), "annotations": notes}

    def manifest(self, name: str, tag: str, document: dict[str, Any]) -> dict[str, Any]:
        """The descriptor of a manifest, or of an index, under its tag."""
        data, media = json.dumps({"schemaVersion": 2, **document}).encode(), document["mediaType"]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._ask("PUT", f"{self._root}/{name}/manifests/{tag}", data, media)
        return {"mediaType": media, "digest": digest, "size": len(data)}

    def image(self, name: str, tag: str, *layers: dict[str, Any]) -> str:
        """The digest of an image of these layers."""
        media = "application/vnd.oci.image.manifest.v1+json"
        config = self.blob(name, b"{}", "application/vnd.oci.image.config.v1+json")
        return str(self.manifest(name, tag, {"mediaType": media, "config": config, "layers": [*layers]})["digest"])

    def _ask(self, method: str, url: str, data: bytes, media: str = "") -> Any:
        headers = {"Content-Type": media} if media else {}
        headers |= {"Authorization": f"Basic {self._login}"} if self._login else {}
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10, context=self._trust) as answer:
            return answer
