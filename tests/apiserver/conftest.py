"""Real etcd, API server, controllers and scheduler on loopback; kwok plays the node and its pods.

One control plane for each xdist worker and Kubernetes minor, a namespace for each test. The operator runs in the
test's process or as `slm run`, always with a ServiceAccount that has exactly the chart's rights.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane, control_plane
from hack.testing.fake_gateway import FakeGateway
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration
from tests.apiserver import direct
from tests.apiserver.objects import NODE, PROFILE
from tests.apiserver.rights import as_operator, chart_rights
from tests.workers import OLDEST

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.runtime.operator import run
from smallmodel_operator.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
NEWEST = "1.36"
COMPONENTS = ("kube-controller-manager", "kube-scheduler", "kwok")
CRDS = tuple(
    f"{plural}.smallmodel.dev" for plural in ("smallmodels", "modelroutes", "computeprofiles", "clusterboundaries")
)
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}, {"level": "None"}],
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_minors: runs on the oldest and the newest supported Kubernetes minor")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_minors"):
        metafunc.parametrize("minor", [OLDEST, NEWEST], scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("apiserver")


@contextmanager
def _started(folder: Path, minor: str) -> Iterator[ControlPlane]:
    policy = folder / "audit.json"
    policy.write_text(json.dumps(AUDIT_POLICY))
    plane = control_plane(
        f"test-{minor}",
        folder / minor,
        minor,
        components=COMPONENTS,
        extra_apiserver=(f"--audit-policy-file={policy}", f"--audit-log-path={folder / minor / 'audit.log'}"),
    )
    try:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.established(*CRDS)
        plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(NODE))
        plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(PROFILE))
        yield plane
    finally:
        for component in (*COMPONENTS, "kube-apiserver", "etcd"):
            plane.kill(component)  # a graceful end waits for watches, and nothing here is kept
        plane.stop()


@pytest.fixture(scope="session")
def _planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ControlPlane]]:
    running: dict[str, Any] = {}

    def of(minor: str) -> ControlPlane:
        if minor not in running:
            context = _started(tmp_path_factory.mktemp("plane"), minor)
            running[minor] = (context, context.__enter__())
        return running[minor][1]

    yield of
    for context, _ in running.values():
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def minor() -> str:
    """Kubernetes minor of the test's control plane; the mark `both_minors` runs a test on two."""
    return NEWEST


@pytest.fixture
def plane(_planes: Callable[[str], ControlPlane], minor: str) -> ControlPlane:
    """The control plane; `plane.kubectl(...)` acts as the cluster's administrator."""
    return _planes(minor)


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Client]:
    """Our own client, as the administrator."""
    client = await connect(plane.kubeconfig, Fence.open())
    yield client
    await client.close()


async def connect(kubeconfig: Path, fence: Fence) -> Client:
    configuration = Configuration()
    await kubernetes_config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    return Client(configuration, fence)


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own, in which the chart's rights are set up for an operator."""
    words = request.node.name.removeprefix("test_").split("[")[0].replace("_", "-").lower()[:40].strip("-")
    name = f"{words}-{os.urandom(2).hex()}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    # Kubernetes makes this one by itself, when it comes to it; until then a Deployment's pods are refused, with longer
    # and longer waits between attempts.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
    direct.put(plane, [space, account, *chart_rights(name)])
    return name


class Running:
    """An operator in the test's own process."""

    def __init__(self, client: Client, task: "asyncio.Task[int]") -> None:
        self.client = client
        self.task = task


Operator = Callable[..., Any]


@pytest.fixture(scope="session")
def _gateways() -> Iterator[dict[str, FakeGateway]]:
    running: dict[str, FakeGateway] = {}
    yield running
    for gateway in running.values():
        gateway.__exit__(None, None, None)


@pytest.fixture
def gateway(plane: ControlPlane, minor: str, _gateways: dict[str, FakeGateway]) -> FakeGateway:
    """A fake gateway that routes to every model of the control plane."""
    if minor not in _gateways:
        kubectl = [program("kube", "kubectl"), "--kubeconfig", str(plane.kubeconfig)]
        _gateways[minor] = FakeGateway(kubectl).__enter__()
    return _gateways[minor]


@pytest.fixture
def operator(plane: ControlPlane, namespace: str, tmp_path: Path, gateway: FakeGateway) -> Operator:
    """`async with operator():` runs our operator in process, for the test's namespace. `gateways`: their URLs; none:
    they are found as in a cluster."""

    @asynccontextmanager
    async def running(
        identity: str = "in-process", gateways: tuple[str, ...] = (gateway.url,), **more: Any
    ) -> AsyncIterator[Running]:
        client = await connect(as_operator(plane, namespace, tmp_path / "operator.kubeconfig"), Fence())
        stop = asyncio.Event()
        settings = Settings(
            namespace=namespace,
            watch_namespaces=(namespace,),
            http_port=0,
            identity=identity,
            log_level="info",
            gateway_urls=gateways,
            **more,
        )
        task = asyncio.create_task(run(settings, client, stop))
        try:
            yield Running(client, task)
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=60)
            assert task.done(), "the operator did not stop"
        assert task.result() == 0

    return running


class Process:
    """`slm run` as a process of its own. `user` is its name in the audit log."""

    def __init__(self, process: asyncio.subprocess.Process, user: str, log: Path) -> None:
        self._process = process
        self.user = user
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def signal(self, sign: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(sign)

    async def ended(self, timeout: float) -> int:
        try:
            return await asyncio.wait_for(self._process.wait(), timeout)
        except TimeoutError:
            pytest.fail(f"{self.user} has not ended within {timeout:.0f} s: {self.log.read_text()[-6000:]}")


Spawn = Callable[..., Awaitable[Process]]


@pytest.fixture
async def spawn(plane: ControlPlane, namespace: str, tmp_path: Path, gateway: FakeGateway) -> AsyncIterator[Spawn]:
    """`await spawn("a")` starts `slm run` with a ServiceAccount of its own (same rights, same Lease)."""
    started: list[Process] = []

    async def start(identity: str, **environment: str) -> Process:
        account = f"operator-{identity}"
        kubeconfig = as_operator(plane, namespace, tmp_path / f"{account}.kubeconfig", account)
        env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "SLM_NAMESPACE": namespace,
            "SLM_WATCH_NAMESPACES": namespace,
            "SLM_HTTP_PORT": "0",
            "SLM_GATEWAY_URLS": gateway.url,
            "SLM_IDENTITY": identity,
            **environment,
        }
        log = tmp_path / f"{account}.log"
        with log.open("ab") as out:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "smallmodel_operator", "run", env=env, stdout=out, stderr=out
            )
        started.append(Process(child, f"system:serviceaccount:{namespace}:{account}", log))
        return started[-1]

    yield start
    for process in started:
        process.signal(signal.SIGCONT)
        process.signal(signal.SIGKILL)
        await process.ended(60)


@pytest.fixture
def audit(plane: ControlPlane) -> Callable[[str], list[dict[str, Any]]]:
    """Writes the API server saw from a user, by its own audit log; Lease writes are left out."""

    def writes(user: str) -> list[dict[str, Any]]:
        log = plane.folder / "audit.log"
        lines = log.read_text().splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines if user in line]
        return [
            e for e in events if e["user"]["username"] == user and e.get("objectRef", {}).get("resource") != "leases"
        ]

    return writes


async def eventually(check: Callable[[], Any], timeout: float = 120.0, every: float = 0.1) -> Any:
    """Repeat a check (plain or async) until it raises no AssertionError; its value. The last error tells."""
    end = time.monotonic() + timeout
    while True:
        try:
            value = check()
            return await value if inspect.isawaitable(value) else value
        except (AssertionError, ApiError, OSError):
            if time.monotonic() > end:
                raise
        await asyncio.sleep(every)


async def apply(api: Client, *objects: dict[str, Any], manager: str = "kubectl") -> Sequence[dict[str, Any]]:
    """Server-side apply as a user does it; namespaced objects name their namespace."""
    return [await _apply(api, o, manager) for o in objects]


async def _apply(api: Client, obj: dict[str, Any], manager: str) -> dict[str, Any]:
    from smallmodel_operator.cluster.kinds import KINDS

    meta = obj["metadata"]
    return await api.request(
        "PATCH",
        KINDS[obj["kind"]].path(meta.get("namespace"), meta["name"]),
        query={"fieldManager": manager, "force": "true"},
        body=obj,
        content_type="application/apply-patch+yaml",
    )


async def kubectl(plane: ControlPlane, *words: str) -> str:
    """The real kubectl, without stopping an operator that runs in this process."""
    return await asyncio.to_thread(plane.kubectl, *words)
