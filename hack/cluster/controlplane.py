"""etcd, kube-apiserver and the controllers on loopback: a control plane from nothing in a few seconds, without root.

Used by the API server tier and the benchmarks as it is; the node (node.py) adds kubelet and network to it.
"""

import base64
import json
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster import certificates, process
from hack.cluster.binaries import KUBERNETES, program
from hack.ports import free_port

SERVICE_CIDR = "10.96.0.0/16"
APISERVER_STARTS = 3
"""It ends itself where etcd is slow to answer its first questions, and whoever runs it starts it again: on a real
control plane the kubelet, here we."""
STAGES = Path(__file__).with_name("kwok-stages.yaml")


class NotReady(Exception):  # noqa: N818 - says what happened
    """A component did not come up; the message ends with its own last words."""


@dataclass(slots=True)
class ControlPlane:
    """One control plane. `prefix` enters its network namespace (empty: the host's), `address` is the API server's."""

    name: str
    folder: Path
    version: str = "1.36"
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    service_cidr: str = SERVICE_CIDR
    feature_gates: str = ""
    extra_apiserver: tuple[str, ...] = ()
    components: tuple[str, ...] = ("kube-controller-manager",)
    port: int = 0
    etcd_port: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    def start(self) -> "ControlPlane":
        """Start what is not running and wait until the API server is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remember()
        certificates.make(self.folder / "pki", self.address, self.service_cidr)
        self.write_kubeconfig()
        self._start("etcd", self._etcd())
        for starts in range(1, APISERVER_STARTS + 1):
            self._start("kube-apiserver", self._apiserver())
            try:
                self._wait("kube-apiserver", self.ready, 180)
                break
            except NotReady:
                if starts == APISERVER_STARTS or process.pid_of("kube-apiserver", self.folder) is not None:
                    raise
        for component in self.components:
            self._start(component, self._component(component))
        return self

    def stop(self) -> None:
        """Stop everything and remove the folder."""
        for name in process.names(self.folder):
            process.stop(name, self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, component: str) -> None:
        """End one component at once; `start()` brings it back."""
        process.stop(component, self.folder, grace=0)

    def ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.folder / "pki" / "ca.crt"))
        try:
            with urllib.request.urlopen(self._request("/readyz"), timeout=10, context=context) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run the real kubectl; returns its standard output.

        Raises:
            RuntimeError: it failed and `check` is set; the message is its standard error.
        """
        command = [program("kube", "kubectl"), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout if not done.returncode else done.stdout + done.stderr

    def established(self, *names: str, seconds: float = 120) -> None:
        """Wait until the API server serves these kinds and all others that are declared.

        `kubectl wait` gives up at once on one that is too new to have conditions.

        Raises:
            RuntimeError: it does not serve one of them in time.
        """
        until = time.monotonic() + seconds
        while True:
            crds = json.loads(self.kubectl("get", "crd", "-o", "json"))["items"]
            known = {crd["metadata"]["name"]: _established(crd) for crd in crds}
            late = [name for name in {*names, *known} if not known.get(name)]
            if not late:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"not served after {seconds:g} s: {', '.join(late)}")
            time.sleep(0.1)

    def _request(self, path: str) -> urllib.request.Request:
        return urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})

    def _remember(self) -> None:
        """Ports and token survive a restart of this Python process."""
        state = self.folder / "state.json"
        if state.exists():
            known = json.loads(state.read_text())
            self.port, self.etcd_port, self.token = known["port"], known["etcd_port"], known["token"]
            return
        self.port, self.etcd_port = self.port or free_port(), self.etcd_port or free_port()
        state.write_text(json.dumps({"port": self.port, "etcd_port": self.etcd_port, "token": self.token}))
        state.chmod(0o600)
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        (self.folder / "tokens.csv").chmod(0o600)

    def write_kubeconfig(self, server: str = "") -> Path:
        authority = base64.b64encode((self.folder / "pki" / "ca.crt").read_bytes()).decode()
        content: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": self.name, "cluster": {"server": server or self.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": "admin"}}],
            "current-context": self.name,
        }
        self.kubeconfig.write_text(json.dumps(content, indent=1))
        self.kubeconfig.chmod(0o600)
        return self.kubeconfig

    def _start(self, name: str, command: Sequence[str]) -> None:
        if process.pid_of(name, self.folder) is None:
            process.start(name, [*self.prefix, *command], self.folder)

    def _wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if process.pid_of(name, self.folder) is None or time.monotonic() > end:
                raise NotReady(f"{name} of {self.name!r} did not come up:\n{process.log_tail(name, self.folder)}")
            time.sleep(0.1)

    @property
    def _kube(self) -> str:
        return "kube" if KUBERNETES.get(self.version) == KUBERNETES["1.36"] else f"kube-{self.version}"

    def _etcd(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        return [
            program("etcd"), "--name=slm", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=slm={peer}",
            "--log-level=warn", "--quota-backend-bytes=4294967296",
        ]  # fmt: skip

    def _apiserver(self) -> list[str]:
        pki = self.folder / "pki"
        return [
            program(self._kube, "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}", f"--advertise-address={self._advertised()}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={pki}/server.crt", f"--tls-private-key-file={pki}/server.key",
            f"--client-ca-file={pki}/ca.crt", f"--token-auth-file={self.folder}/tokens.csv",
            f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            "--service-account-extend-token-expiration=false",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range={self.service_cidr}",
            "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction", "--max-requests-inflight=1000",
            "--max-mutating-requests-inflight=500", "--profiling=false",
            *([f"--feature-gates={self.feature_gates}"] if self.feature_gates else []),
            *self.extra_apiserver,
        ]  # fmt: skip

    def _advertised(self) -> str:
        # Endpoints may not name loopback; nothing connects to this address when there are no nodes.
        return "192.0.2.1" if self.address.startswith("127.") else self.address

    def _component(self, name: str) -> list[str]:
        pki = self.folder / "pki"
        common = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", f"--secure-port={free_port()}"]
        if name == "kube-controller-manager":
            return [
                program(self._kube, name), *common, f"--root-ca-file={pki}/ca.crt",
                f"--service-account-private-key-file={pki}/sa.key", "--use-service-account-credentials=false",
                "--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-deployment-syncs=20",
                "--concurrent-replicaset-syncs=20", "--concurrent-service-endpoint-syncs=20",
                "--concurrent-endpoint-syncs=20", "--node-monitor-grace-period=20s",
                "--horizontal-pod-autoscaler-sync-period=2s",
            ]  # fmt: skip
        if name == "kube-scheduler":
            return [program(self._kube, name), *common, "--kube-api-qps=1000", "--kube-api-burst=2000"]
        if name == "kwok":
            return [
                program("kwok"), f"--kubeconfig={self.kubeconfig}", f"--config={STAGES}", "--manage-all-nodes=false",
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                f"--server-address=127.0.0.1:{free_port()}",
            ]  # fmt: skip
        raise ValueError(f"unknown component {name!r}")


def control_plane(
    name: str,
    folder: Path,
    version: str = "1.36",
    *,
    components: Sequence[str] = ("kube-controller-manager",),
    feature_gates: str = "",
    extra_apiserver: Sequence[str] = (),
) -> ControlPlane:
    """Start a control plane on loopback. `components`: kube-controller-manager, kube-scheduler, kwok."""
    plane = ControlPlane(
        name=name,
        folder=folder,
        version=version,
        components=tuple(components),
        feature_gates=feature_gates,
        extra_apiserver=tuple(extra_apiserver),
    )
    return plane.start()


def _established(crd: dict[str, Any]) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
