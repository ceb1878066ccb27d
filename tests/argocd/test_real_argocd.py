"""A SmallModel under the real Argo CD, with automated sync, self-heal and server-side apply.

Real etcd, API server and controllers; kwok plays the node; the operator runs as `slm run` with the chart's rights.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.argocd.server import ArgoCD
from hack.cluster import process
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane, control_plane
from hack.cluster.paths import REPOSITORY
from hack.testing.fake_gateway import FakeGateway
from tests.apiserver.objects import NODE, PROFILE, model
from tests.apiserver.rights import as_operator, chart_rights

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # Argo CD is built once, minutes
SPACE = "support"
REST_SECONDS = 30


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with our CRDs and the operator at work in one namespace."""
    folder = tmp_path_factory.mktemp("argocd") / "plane"
    plane = control_plane("argocd", folder, components=("kube-controller-manager", "kube-scheduler", "kwok"))
    try:
        plane.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "crds"))
        time.sleep(2)  # a CRD has no conditions at all in its first moment
        plane.established()
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        objects = {"apiVersion": "v1", "kind": "List", "items": [space, NODE, PROFILE, *chart_rights(SPACE)]}
        plane.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(objects))
        gateway = FakeGateway([program("kube", "kubectl"), "--kubeconfig", str(plane.kubeconfig)])
        env = {
            "KUBECONFIG": str(as_operator(plane, SPACE, folder / "operator.kubeconfig")),
            "SLM_NAMESPACE": SPACE,
            "SLM_WATCH_NAMESPACES": SPACE,
            "SLM_HTTP_PORT": "0",
            "SLM_IDENTITY": "argocd-test",
            "SLM_GATEWAY_URLS": gateway.url,
        }
        process.start("operator", [sys.executable, "-m", "smallmodel_operator", "run"], folder, env)
        with gateway:
            yield plane
    finally:
        plane.stop()


class Repository:
    """A git repository with one manifest in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, manifest: dict[str, Any]) -> str:
        """Write the manifest and commit it; the commit's name."""
        (self.folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
        self._git("add", "model.yaml")
        self._git("-c", "user.name=platform", "-c", "user.email=platform@example.com", "commit", "-qm", "edit")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *words: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", "-C", str(self.folder), *words], check=True, capture_output=True, text=True, env=env
        ).stdout


def _until(check: Callable[[], Any], seconds: float = 90) -> Any:
    """Repeat a check until it raises no AssertionError; its value. The last error tells."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.3)


def _settled(argo: ArgoCD, revision: str) -> dict[str, Any]:
    status = argo.status("bot")
    brief = {k: status.get(k) for k in ("sync", "health", "conditions", "operationState")}
    assert status.get("sync", {}).get("status") == "Synced", brief
    assert status["sync"]["revision"] == revision, brief
    assert status.get("health", {}).get("status") == "Healthy", brief
    return status


def _get(plane: ControlPlane, kind: str) -> dict[str, Any]:
    return dict(json.loads(plane.kubectl("get", "-n", SPACE, kind, "bot", "-o=json")))


def _available(plane: ControlPlane, replicas: int) -> None:
    assert _get(plane, "deployment")["status"].get("availableReplicas") == replicas


def _inspected(plane: ControlPlane) -> None:
    assert _get(plane, "smallmodel")["status"].get("weights"), "the weights' header is not read yet"


def test_synced_and_healthy_at_rest_after_an_edit_and_healed(plane: ControlPlane, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "git")
    first = repository.commit(model(SPACE, replicas=1))
    argo = ArgoCD(plane).start()
    argo.application("bot", repository.folder, SPACE)
    _until(lambda: _settled(argo, first))

    # At rest: Argo CD compares again and again, and finds nothing to do.
    # The weights' header is read a moment after Ready, which changes the status once more.
    _until(lambda: _inspected(plane))
    before, live = argo.status("bot"), _get(plane, "smallmodel")
    compared: set[str] = set()
    end = time.monotonic() + REST_SECONDS
    while time.monotonic() < end:
        compared.add(_settled(argo, first)["reconciledAt"])
        time.sleep(0.5)
    after = argo.status("bot")
    assert len(compared) >= 3, f"Argo CD compared only at {compared}"
    assert [h["id"] for h in after["history"]] == [h["id"] for h in before["history"]], "nothing was synced again"
    assert _get(plane, "smallmodel")["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert [r["kind"] for r in after["resources"]] == ["SmallModel"], "our children are none of Argo CD's resources"

    # An edit in Git.
    second = repository.commit(model(SPACE, replicas=2))
    _until(lambda: _settled(argo, second))
    assert _get(plane, "smallmodel")["spec"]["replicas"] == 2
    _until(lambda: _available(plane, 2))
    _until(lambda: _settled(argo, second))

    # An edit by hand is healed back.
    generation = _get(plane, "smallmodel")["metadata"]["generation"]
    plane.kubectl("patch", "-n", SPACE, "smallmodel", "bot", "--type=merge", "-p", '{"spec": {"replicas": 3}}')

    def healed() -> None:
        seen = _get(plane, "smallmodel")
        assert seen["spec"]["replicas"] == 2
        assert seen["metadata"]["generation"] >= generation + 2, "once by hand, once back"

    _until(healed)
    _until(lambda: _settled(argo, second))
    _until(lambda: _available(plane, 2))
