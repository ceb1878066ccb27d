"""A real container registry on loopback, for tests that push."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from hack.cluster.binaries import program

CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""


def start_registry(folder: Path, auth: str = "") -> tuple[subprocess.Popen[bytes], str]:
    """The distribution project's registry with its data below `folder`; the process and host:port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = folder / "registry.yml"
    file.write_text(CONFIG.format(folder=folder / "data", port=port, auth=auth))
    log = (folder / "registry.log").open("w")
    process = subprocess.Popen(
        [program("registry"), "serve", str(file)],
        stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
    )  # fmt: skip
    log.close()
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1).close()
            return process, f"127.0.0.1:{port}"
        except urllib.error.HTTPError:
            return process, f"127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"the registry did not start:\n{(folder / 'registry.log').read_text()[-2000:]}")


def digest_of(host: str, name: str, reference: str) -> str:
    """The digest under which the registry serves a manifest."""
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{reference}", method="HEAD")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def own_store(folder: Path) -> dict[str, str]:
    """Environment in which buildah keeps its images below `folder` and needs no privileges of a container."""
    store = folder / "storage.conf"
    store.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
    return {"CONTAINERS_STORAGE_CONF": str(store), "BUILDAH_ISOLATION": "chroot"}
