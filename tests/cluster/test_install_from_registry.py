"""The way of a user's own cluster, whole: `make install REGISTRY=…` builds the real Containerfiles, a registry keeps
them, and the node's kubelet pulls operator, engine and weights from it by digest."""

import base64
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hack.cluster import packages
from hack.cluster.binaries import program
from hack.cluster.node import Node
from hack.images import bases
from hack.install import example, testbed
from tests.fakes.registry import own_store, start_registry

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Site:
    """A node, and a registry that is 127.0.0.1:port for the host and for the node alike."""

    node: Node
    registry: str
    env: dict[str, str]

    def make(self, *words: str) -> str:
        done = subprocess.run(
            ["make", "-s", *words, f"REGISTRY={self.registry}", "INSECURE_REGISTRY=1", "ENGINE=buildah"],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    def kubectl(self, *words: str) -> str:
        return self.node.kubectl(*words)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    packages.ensure({**packages.NEEDED, **packages.FOR_TESTS})
    folder = tmp_path_factory.mktemp("site")
    node = Node("slm-registry").up()
    outside, host = start_registry(folder)
    # The node cannot reach the host's loopback and trusts http on its own only: a second server on the same files.
    inside = subprocess.Popen(
        [*node.prefix, program("registry"), "serve", str(folder / "registry.yml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k not in ("CLUSTER", "MAKEFLAGS", "MAKELEVEL", "VALUES")}
    env |= own_store(folder) | {"KUBECONFIG": str(node.kubeconfig)}
    env |= {"PATH": f"{Path(program('kube', 'kubectl')).parent}:{env['PATH']}"}
    env |= {"BASE_PYTHON": base(env, "python", bases.PYTHON), "BASE_DEBIAN": base(env, "debian", bases.ENGINE)}
    yield Site(node, f"{host}/slm", env)
    for process in (inside, outside):
        process.terminate()
        process.wait(10)
    node.down()
    shutil.rmtree(folder, ignore_errors=True)


def base(env: dict[str, str], name: str, wanted: bases.Base) -> str:
    """A base image in buildah's store from a Debian tree: there is no hub to pull one from."""

    def buildah(*words: str) -> str:
        done = subprocess.run(["buildah", *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    container = buildah("from", "scratch")
    buildah("add", "-q", container, str(bases.layer(wanted).tar), "/")
    buildah("commit", "-q", "--rm", container, f"localhost/{name}:1")
    return f"localhost/{name}:1"


def answer(node: Node, question: str) -> str:
    """What the model says, asked over the API server's port-forward as the example's README does."""
    forward = subprocess.Popen(
        [program("kube", "kubectl"), f"--kubeconfig={node.kubeconfig}", "-n", "smallmodel-system", "port-forward",
         "service/smallmodel-gateway", ":80"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert forward.stdout is not None
        port = int(forward.stdout.readline().split("127.0.0.1:")[1].split(" ")[0])
        body = json.dumps({"model": "support", "messages": [{"role": "user", "content": question}]})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        encoded = node.kubectl("-n", "support", "get", "secret", "support-client", "-o=jsonpath={.data.OPENAI_API_KEY}")
        key = base64.b64decode(encoded).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request("POST", "/support/v1/chat/completions", body, headers)
        with connection.getresponse() as response:
            said = json.load(response)
        connection.close()
    finally:
        forward.terminate()
        forward.communicate(timeout=60)
    return str(said["choices"][0]["message"]["content"])


def test_installed_served_removed_and_installed_again(site: Site) -> None:
    # The node has no default storage class: its values name one.
    site.make("install", f"VALUES={testbed.VALUES}")
    images = site.kubectl("-n", "smallmodel-system", "get", "pods", "-o=jsonpath={.items[*].spec.containers[*].image}")
    assert f"{site.registry}/smallmodel-operator@sha256:" in images
    assert all(image.startswith(f"{site.registry}/smallmodel-") and "@sha256:" in image for image in images.split())

    site.make("example")
    site.kubectl("-n", "support", "wait", "--for=condition=Ready", "smallmodel/support", "--timeout=120s")
    uri = site.kubectl("-n", "support", "get", "smallmodel", "support", "-o=jsonpath={.spec.source.uri}")
    assert uri == f"oci://{site.registry}/support-weights@{example.named_digest()}"
    expected = (example.FOLDER / "expected.txt").read_text().strip()
    assert answer(site.node, "When does the help desk open?") == expected
    pods = site.kubectl("-n", "support", "get", "pods", "-o=jsonpath={.items[*].metadata.uid}")
    assert pods

    began = time.monotonic()
    assert "models keep serving" in site.make("uninstall")
    assert time.monotonic() - began < 60
    finalizers = site.kubectl("-n", "support", "get", "smallmodel", "support", "-o=jsonpath={.metadata.finalizers}")
    assert not finalizers
    assert answer(site.node, "When does the help desk open?") == expected

    site.make("install", f"VALUES={testbed.VALUES}")
    site.kubectl("-n", "support", "wait", "--for=jsonpath={.metadata.finalizers[0]}=smallmodel.dev/finalizer",
                 "smallmodel/support", "--timeout=60s")  # fmt: skip
    site.kubectl("-n", "support", "wait", "--for=condition=Ready", "smallmodel/support", "--timeout=60s")
    assert site.kubectl("-n", "support", "get", "pods", "-o=jsonpath={.items[*].metadata.uid}") == pods
