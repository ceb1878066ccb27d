"""Run the real Argo CD as plain processes beside a control plane: repo server, application controller, redis.

Everything listens on loopback and lives in the control plane's folder, so `ControlPlane.stop()` ends and removes it.
"""

import json
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster import packages, process
from hack.cluster.binaries import module_folder, program
from hack.cluster.controlplane import ControlPlane, NotReady
from hack.cluster.paths import REPOSITORY
from hack.ports import free_port

NAMESPACE = "argocd"
NEEDED = {"redis-server": "redis-server", "git": "git"}
"""Program -> Debian package."""
HEALTH = REPOSITORY / "crds/argocd/resource_customizations/smallmodel.dev/SmallModel/health.lua"
RESYNC_SECONDS = 3
"""How often every Application is compared with Git and with the cluster (Argo CD's default is 120 s)."""


@dataclass(slots=True)
class ArgoCD:
    """One Argo CD that manages the cluster it stores its objects in."""

    plane: ControlPlane
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> "ArgoCD":
        """Install the CRDs and settings, start the three processes, wait until they listen.

        Raises:
            packages.Missing: redis-server or git is not there and may not be installed.
            BuildFailed: Argo CD could not be built (about 3 minutes, once).
            NotReady: a process ended or did not listen in time.
        """
        packages.ensure(NEEDED)
        controller = program("argocd", "argocd-application-controller")
        self.ports = {name: free_port() for name in ("redis", "repo", "repo-metrics", "metrics")}
        self.plane.kubectl("apply", "--server-side", "-k", str(_crds()))
        self.plane.established()
        self._apply(*_settings(self.plane))
        redis, repo = f"127.0.0.1:{self.ports['redis']}", f"127.0.0.1:{self.ports['repo']}"
        self._run(
            "redis",
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.ports["redis"]), "--save", "",
             "--appendonly", "no"],
        )  # fmt: skip
        self._run(
            "argocd-repo-server",
            [program("argocd", "argocd-repo-server"), "--disable-tls", "--address=127.0.0.1", f"--redis={redis}",
             f"--port={self.ports['repo']}", "--metrics-address=127.0.0.1",
             f"--metrics-port={self.ports['repo-metrics']}", f"--revision-cache-expiration={RESYNC_SECONDS}s"],
        )  # fmt: skip
        self._wait("redis", "redis")
        self._wait("argocd-repo-server", "repo")
        self._run(
            "argocd-application-controller",
            [controller, f"--kubeconfig={self.plane.kubeconfig}", f"--namespace={NAMESPACE}", f"--repo-server={repo}",
             "--repo-server-plaintext", f"--redis={redis}", f"--metrics-port={self.ports['metrics']}",
             f"--app-resync={RESYNC_SECONDS}", "--app-resync-jitter=0"],
        )  # fmt: skip
        return self

    def application(self, name: str, repository: Path, namespace: str) -> None:
        """An Application that keeps `namespace` as the git repository says: automated, self-healing, server-side."""
        self._apply({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"repoURL": f"file://{repository}", "path": ".", "targetRevision": "main"},
                "destination": {"server": self.plane.url, "namespace": namespace},
                "syncPolicy": {
                    "automated": {"prune": True, "selfHeal": True},
                    "syncOptions": ["ServerSideApply=true"],
                },
            },
        })  # fmt: skip

    def status(self, name: str) -> dict[str, Any]:
        """`status` of an Application; empty before Argo CD has looked at it."""
        found = json.loads(self.plane.kubectl("get", f"--namespace={NAMESPACE}", "application", name, "-o=json"))
        return dict(found.get("status", {}))

    def _apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.plane.kubectl("apply", "--server-side", "-f-", stdin=text)

    def _run(self, name: str, command: list[str]) -> None:
        scratch = self.plane.folder / name
        scratch.mkdir(exist_ok=True)
        env = {
            "TMPDIR": str(scratch),
            "HOME": str(scratch),
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_TLS_DATA_PATH": str(scratch),
            "ARGOCD_SSH_DATA_PATH": str(scratch),
            "ARGOCD_PLUGINSOCKFILEPATH": str(scratch),
            "ARGOCD_ASK_PASS_SOCK": str(scratch / "ask.sock"),
        }
        process.start(name, command, self.plane.folder, env)

    def _wait(self, name: str, port: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not _listens(self.ports[port]):
            if process.pid_of(name, self.plane.folder) is None or time.monotonic() > end:
                raise NotReady(f"{name} did not come up:\n{process.log_tail(name, self.plane.folder)}")
            time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _crds() -> Path:
    """The CRDs lie in Argo CD's own module, in the version it was built from."""
    return module_folder("argocd", "github.com/argoproj/argo-cd/v3") / "manifests" / "crds"


def _settings(plane: ControlPlane) -> list[dict[str, Any]]:
    part = {"app.kubernetes.io/part-of": "argocd"}
    authority = json.loads(plane.kubeconfig.read_text())["clusters"][0]["cluster"]["certificate-authority-data"]
    access = {"bearerToken": plane.token, "tlsClientConfig": {"caData": authority}}
    health = {"resource.customizations.health.smallmodel.dev_SmallModel": HEALTH.read_text()}

    def core(kind: str, name: str, labels: dict[str, str], **rest: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}

    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        core("ConfigMap", "argocd-cm", part, data=health),
        core("ConfigMap", "argocd-rbac-cm", part),
        core("Secret", "argocd-secret", part, stringData={"server.secretkey": plane.token}),
        core(
            "Secret",
            "this-cluster",
            {"argocd.argoproj.io/secret-type": "cluster"},
            stringData={"name": "this", "server": plane.url, "config": json.dumps(access)},
        ),
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
    ]
