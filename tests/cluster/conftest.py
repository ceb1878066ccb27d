"""The real node with the operator installed from its chart; a namespace for each test, real llama.cpp in its pods."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import network, packages, process
from hack.cluster.__main__ import dead, status
from hack.cluster.node import Node
from hack.images.build import build_image, pack_weights
from hack.images.oci import Image
from hack.install import example
from hack.install.__main__ import main as install
from tests.cluster.load import Load
from tests.cluster.reading import NoAnswer, Reader

NAME = os.environ.get("SLM_TEST_CLUSTER", "slm-test")
WEIGHTS = example.WEIGHTS
GATEWAYS = "app.kubernetes.io/component=gateway,!smallmodel.dev/canary"
"""The canary has a pod that policies of models take for a gateway."""
LOGS = Path("build/test-reports/logs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cluster")
            # An item's own mark would hide the one of its module.
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says which components of the node had ended by then, with the end of their logs."""
    report = yield
    node = Node(NAME)
    if report.failed and node.folder.exists():
        gone = [f"{name} had ended; {process.last_words(name, node.folder)}" for name in dead(node)]
        report.sections.append(("components of the node", "\n".join(gone) or "all that were started run"))
    return report


def keep_logs(node: Node) -> None:
    """The components' logs outlive the cluster when a test failed."""
    target = LOGS / node.name
    shutil.rmtree(target, ignore_errors=True)
    if (node.folder / "logs").is_dir():
        shutil.copytree(node.folder / "logs", target)


@dataclass(slots=True)
class Bed:
    """The cluster and what tests do with it."""

    node: Node
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.node.kubeconfig)

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        return self.node.kubectl(*words, stdin=stdin, check=check)

    def apply(self, obj: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(obj))

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """The object; empty when it is not there, or the API server is not."""
        try:
            return self.reader.get(kind, name, namespace)
        except NoAnswer:
            return {}

    def items(self, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        return self.reader.items(kind, namespace, selector)

    def condition(self, name: str, namespace: str, kind: str) -> dict[str, Any]:
        found = self.get("smallmodel", name, namespace).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == kind), {})

    def until(self, check: Callable[[], Any], seconds: float = 90, what: str = "") -> Any:
        """Poll until the check is true; its last value, or a failure that shows what is there."""
        end, value = time.monotonic() + seconds, None
        while time.monotonic() < end:
            value = check()
            if value:
                return value
            time.sleep(0.2)
        pytest.fail(f"{what or check} did not become true within {seconds:.0f} s; last: {value!r}")

    def ready(self, name: str, namespace: str, seconds: float = 120) -> dict[str, Any]:
        """The model once it is Ready for its newest generation and nothing is under way."""

        def settled() -> dict[str, Any] | None:
            model = self.get("smallmodel", name, namespace)
            status = model.get("status", {})
            states = {c["type"]: c["status"] for c in status.get("conditions", [])}
            fresh = status.get("observedGeneration") == model.get("metadata", {}).get("generation")
            return model if fresh and states.get("Ready") == "True" and states.get("Reconciling") == "False" else None

        try:
            return dict(self.until(settled, seconds, f"{namespace}/{name} Ready"))
        except pytest.fail.Exception:
            pytest.fail(f"not Ready: {self.get('smallmodel', name, namespace).get('status')}")

    def gateway(self) -> str:
        """Address of the gateway's Service, which the host can reach."""
        return str(self.get("service", "smallmodel-gateway", "smallmodel-system")["spec"]["clusterIP"])

    def key(self, name: str, namespace: str) -> str:
        """The key an app team mounts."""
        data = self.get("secret", f"{name}-client", namespace)["data"]
        return base64.b64decode(data["OPENAI_API_KEY"]).decode()

    def gateway_pods(self) -> list[str]:
        """Addresses of the gateway's pods, each with its port."""
        pods = self.items("pods", "smallmodel-system", GATEWAYS)
        return sorted(f"{p['status']['podIP']}:10080" for p in pods)

    def load(self, name: str, namespace: str, *, keep: bool = False, clients: int = 3, address: str = "") -> Load:
        """Load on a model through the gateway, as its app team would send it; `address` names one gateway."""
        host = f"{name}.{namespace}.svc.cluster.local"
        return Load(address or self.gateway(), host, self.key(name, namespace), name, clients=clients, keep=keep)

    def operator_log(self) -> str:
        return self.kubectl("-n", "smallmodel-system", "logs", "deploy/smallmodel-operator", "--tail=40", check=False)


def install_operator() -> None:
    """Install the chart as a user does: `make install CLUSTER=testbed`."""
    import sys

    before = sys.argv
    sys.argv = ["install", "install", "--cluster", "testbed"]
    try:
        assert install() == 0
    finally:
        sys.argv = before


@pytest.fixture(scope="session")
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """One cluster for the whole run, new every time; SLM_REUSE_CLUSTER=1 takes one that runs, to try a test again."""
    packages.ensure()
    os.environ["CLUSTER_NAME"] = NAME
    node = Node(NAME)
    try:
        if os.environ.get("SLM_REUSE_CLUSTER") != "1" or not status(node)["ready"]:
            _new(node)
    except BaseException:
        keep_logs(node)
        if os.environ.get("SLM_KEEP_CLUSTER") != "1":
            node.down()
        raise
    yield Bed(node)
    left = network.left(NAME)
    if request.session.testsfailed:
        keep_logs(node)
    if os.environ.get("SLM_KEEP_CLUSTER") != "1":
        node.down()
    assert left == [], "during all these tests nothing may have been sent to an address outside the cluster"


def _new(node: Node) -> None:
    node.down()
    node.up()
    install_operator()  # which builds our images and places them
    for image in (build_image("toolbox"), *weights_images().values()):
        node.load_image(image.archive)


def weights_images() -> dict[str, Image]:
    """Weights as images: the real ones, the same file under another digest, a text file, and one that was cut short."""
    scratch = Path(os.environ.get("SLM_TEST_SCRATCH", "build/test-weights"))
    scratch.mkdir(parents=True, exist_ok=True)
    text, cut, note = scratch / "text.gguf", scratch / "cut.gguf", scratch / "note.txt"
    text.write_text("<html>404 not found</html>\n" * 50)
    cut.write_bytes(WEIGHTS.read_bytes()[:1_500_000])
    note.write_text("second edition\n")
    return {
        "first": pack_weights("first", {"model.gguf": WEIGHTS}),
        "second": pack_weights("second", {"model.gguf": WEIGHTS, "note.txt": note}),
        "text": pack_weights("text", {"model.gguf": text}),
        "cut": pack_weights("cut", {"model.gguf": cut}),
    }


@pytest.fixture(scope="session")
def weights(bed: Bed) -> dict[str, str]:
    """Name -> oci:// address with digest."""
    return {name: f"oci://{image.reference}" for name, image in weights_images().items()}


@pytest.fixture
def namespace(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace under Pod Security `restricted`, deleted afterwards."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    bed.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    bed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    bed.kubectl("delete", "namespace", name, "--wait=false", check=False)
    # What drains would otherwise slow the next test down.
    bed.kubectl("-n", name, "delete", "pods", "--all", "--grace-period=0", "--force", check=False)


def model(name: str, namespace: str, uri: str, **spec: Any) -> dict[str, Any]:
    """A SmallModel small enough for the test bed."""
    base: dict[str, Any] = {
        "source": {"uri": uri},
        "engine": {"contextSize": 512, "parallelSlots": 4},
    }
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**base, **spec},
    }


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
