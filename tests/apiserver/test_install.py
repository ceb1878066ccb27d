"""`make install` and Helm against a real API server and a real registry; kwok plays the node."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane, control_plane
from hack.install import __main__ as cli
from hack.install import release
from hack.install.images import GATEWAY, LLAMACPP, OPERATOR, Image
from hack.install.steps import Access, InstallError
from tests.fakes.registry import digest_of, own_store, start_registry

pytestmark = [
    pytest.mark.apiserver,
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed (apt-get install buildah)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here"),
]

SYSTEM = release.NAMESPACE
ACCOUNT = f"--as=system:serviceaccount:{SYSTEM}:smallmodel-operator"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "fake", "annotations": {"kwok.x-k8s.io/node": "fake"}},
}


VOLUMES = [
    {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{number}"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/unused"}},
    }
    for number in range(2)
]
"""What the claims of two gateways bind to."""


@dataclass(frozen=True)
class Place:
    """A cluster with one fake node, and a registry beside it."""

    plane: ControlPlane
    access: Access
    registry: str

    def get(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self.plane.kubectl("get", *words, "-o", "json")))

    def may(self, *words: str) -> bool:
        return self.plane.kubectl("auth", "can-i", *words, check=False).strip().splitlines()[0] == "yes"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("install")
    everything = ("kube-controller-manager", "kube-scheduler", "kwok")
    plane = control_plane("install", folder / "plane", components=everything)
    process, host = start_registry(folder)
    objects = {"apiVersion": "v1", "kind": "List", "items": [NODE, *VOLUMES]}
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(objects))
    access = Access(program("kube", "kubectl"), program("helm"), env={"KUBECONFIG": str(plane.kubeconfig)})
    yield Place(plane, access, f"{host}/slm")
    process.terminate()
    process.wait(60)
    plane.stop()


@pytest.fixture
def install(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The whole of `make install`, with images of one small file each: everything but the packages is real."""
    for name, value in (*own_store(tmp_path).items(), ("KUBECONFIG", str(place.plane.kubeconfig))):
        monkeypatch.setenv(name, value)
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "Containerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY content /content\nUSER 65532:65532\n")
    small = [Image(name, tmp_path / "Containerfile", context, "scratch") for name in (OPERATOR, LLAMACPP, GATEWAY)]
    monkeypatch.setattr(cli.wheels, "fetch", lambda *_: context)
    monkeypatch.setattr(cli.gateway_context, "make", lambda *_: context)
    monkeypatch.setattr(cli, "images", lambda *_: small)
    monkeypatch.setattr(cli, "access_to", lambda _: place.access)

    def run(content: str, *more: str) -> None:
        (context / "content").write_text(content)
        words = ["install", "--cluster", "current", "--registry", place.registry, "--engine", "buildah"]
        cli.install(cli.parse([*words, "--insecure-registry", *more]))

    return run


@pytest.fixture
def installed(place: Place, install: Callable[..., None]) -> None:
    """A release, whatever its content: for tests that look at one. Each `make install` takes long."""
    known = release.history(place.access)
    if not known or known[-1]["status"] != "deployed":
        install("one")


def image_of(place: Place) -> str:
    deployment = place.get("deployment", "smallmodel-operator", "-n", SYSTEM)
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def jobs(place: Place) -> list[Any]:
    return list(place.get("jobs", "-n", SYSTEM)["items"])


def test_from_nothing_to_ready_by_digest(place: Place, install: Callable[..., None]) -> None:
    install("one")
    host, folder = place.registry.split("/")
    pushed = digest_of(host, f"{folder}/{OPERATOR}", "0.1.0")
    assert image_of(place) == f"{place.registry}/{OPERATOR}@{pushed}"
    (engine,) = place.get("computeprofile", "default")["spec"]["engines"]
    assert engine["image"] == f"{place.registry}/{LLAMACPP}@{digest_of(host, f'{folder}/{LLAMACPP}', '0.1.0')}"
    gateway = place.get("statefulset", GATEWAY, "-n", SYSTEM)
    assert gateway["status"]["readyReplicas"] == 2
    named = {c["image"] for c in gateway["spec"]["template"]["spec"]["containers"]}
    assert named == {f"{place.registry}/{GATEWAY}@{digest_of(host, f'{folder}/{GATEWAY}', '0.1.0')}"}
    labels = place.get("namespace", SYSTEM)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert place.get("deployment", "smallmodel-operator", "-n", SYSTEM)["status"]["readyReplicas"] == 1
    for name in ("smallmodels", "computeprofiles"):
        crd = place.get("crd", f"{name}.smallmodel.dev")
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_again_is_an_upgrade_that_adopts_the_profile(place: Place, install: Callable[..., None]) -> None:
    install("one")
    before, first = place.get("computeprofile", "default"), image_of(place)
    install("two")
    after = place.get("computeprofile", "default")
    assert image_of(place) != first
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] != before["spec"]
    assert not jobs(place), "the release hook must not run at an upgrade"
    place.access.helm("rollback", release.RELEASE, "--namespace", SYSTEM, "--wait")
    assert image_of(place) == first
    assert place.get("computeprofile", "default")["metadata"]["uid"] == before["metadata"]["uid"]
    assert not jobs(place), "the release hook must not run at a rollback"


def test_the_same_inputs_are_the_same_digests(
    place: Place, install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A build has another digest each time; without this, each `make install` would restart every model."""
    install("same")
    engine, operator = place.get("computeprofile", "default")["spec"], image_of(place)
    capsys.readouterr()
    install("same")
    assert (place.get("computeprofile", "default")["spec"], image_of(place)) == (engine, operator)
    assert capsys.readouterr().out.count("is in the registry already") == 3
    install("same", "--rebuild")
    assert "already" not in capsys.readouterr().out


def test_the_operator_may_what_it_needs_and_no_more(place: Place, installed: None) -> None:
    elsewhere = ("-n", "default", ACCOUNT)
    for words in (
        ("patch", "smallmodels.smallmodel.dev"),
        ("patch", "smallmodels.smallmodel.dev", "--subresource=status"),
        ("create", "deployments.apps"),
        ("create", "jobs.batch"),
        ("create", "events.events.k8s.io"),
        ("create", "persistentvolumeclaims"),
        ("list", "nodes"),
        ("get", "secrets"),
        ("get", "configmaps"),  # golden prompts, by name
        ("create", "secrets"),
        ("delete", "secrets"),
    ):
        assert place.may(*words, *elsewhere), words
    for words in (
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "pods"),
        ("delete", "persistentvolumeclaims"),
        ("delete", "smallmodels.smallmodel.dev"),
        ("create", "smallmodels.smallmodel.dev"),
        ("get", "leases.coordination.k8s.io"),
        ("patch", "deployments.apps", "--subresource=scale"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("patch", "nodes"),
        ("update", "computeprofiles.smallmodel.dev"),
    ):
        assert not place.may(*words, *elsewhere), words
    own = ("-n", SYSTEM, ACCOUNT)
    for verb in ("get", "create", "patch"):
        assert place.may(verb, "secrets/smallmodel-gateway-keys", *own)
    assert place.may("list", "endpointslices.discovery.k8s.io", *own)
    assert not place.may("list", "endpointslices.discovery.k8s.io", *elsewhere)
    assert place.may("update", "leases.coordination.k8s.io", *own)
    assert place.may("patch", "deployments.apps/smallmodel-operator", "--subresource=scale", *own)
    assert not place.may("patch", "deployments.apps/other", "--subresource=scale", *own)


def test_people_with_view_and_edit(place: Place, installed: None) -> None:
    for role in ("view", "edit"):
        place.plane.kubectl("-n", "default", "create", "rolebinding", f"ann-{role}", f"--clusterrole={role}",
                            f"--user=ann-{role}", check=False)  # fmt: skip
    wait_until(lambda: place.may("list", "smallmodels.smallmodel.dev", "-n", "default", "--as=ann-view"))
    wait_until(lambda: place.may("create", "smallmodels.smallmodel.dev", "-n", "default", "--as=ann-edit"))
    assert place.may("patch", "smallmodels.smallmodel.dev", "--subresource=scale", "-n", "default", "--as=ann-edit")
    assert not place.may("create", "smallmodels.smallmodel.dev", "-n", "default", "--as=ann-view")
    assert not place.may(
        "patch", "smallmodels.smallmodel.dev", "--subresource=status", "-n", "default", "--as=ann-edit"
    )
    assert not place.may("create", "smallmodels.smallmodel.dev", "-n", "kube-system", "--as=ann-edit")


def test_an_interrupted_helm_is_healed(place: Place, install: Callable[..., None], installed: None) -> None:
    # Interrupted for real: Helm waits for a pod that fits nowhere, and is killed.
    words = ["upgrade", release.RELEASE, str(release.CHART), "--namespace", SYSTEM, "--reuse-values", "--wait"]
    process = subprocess.Popen(
        [place.access.helm_program, *words, "--set-string", "nodeSelector.nowhere=true"],
        env={**os.environ, **place.access.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: release.history(place.access)[-1]["status"] == "pending-upgrade")
    finally:
        process.kill()
        process.wait()
    install("three")
    assert release.history(place.access)[-1]["status"] == "deployed"
    template = place.get("deployment", "smallmodel-operator", "-n", SYSTEM)["spec"]["template"]["spec"]
    assert "nodeSelector" not in template


def test_uninstall_ends_keeps_what_serves_and_a_reinstall_adopts(
    place: Place, install: Callable[..., None], installed: None
) -> None:
    model = {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"source": {"uri": f"oci://registry.internal/m@sha256:{'a' * 64}"}},
    }
    place.plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(model))
    uids = {kind: place.get(kind, name)["metadata"]["uid"] for kind, name in KEPT}
    said = release.uninstall(place.access)
    assert "models keep serving" in said
    assert not release.history(place.access)
    assert place.plane.kubectl(
        "get", "deployments,statefulsets,serviceaccounts,roles", "-n", SYSTEM, "-o", "name"
    ).split() == [
        "statefulset.apps/smallmodel-gateway",
        "serviceaccount/default",
        "serviceaccount/smallmodel-gateway",
        "role.rbac.authorization.k8s.io/smallmodel-gateway",
    ], "the gateway stays, or nobody would reach the models that keep serving"
    assert {kind: place.get(kind, name)["metadata"]["uid"] for kind, name in KEPT} == uids
    assert "not installed" in release.uninstall(place.access)
    install("one")
    assert {kind: place.get(kind, name)["metadata"]["uid"] for kind, name in KEPT} == uids


KEPT = (
    ("smallmodel", "kept"),
    ("computeprofile", "default"),
    ("crd", "smallmodels.smallmodel.dev"),
    ("validatingadmissionpolicy", "smallmodel-gateway-scale"),
)


def test_crds_that_somebody_applied_before_are_handed_over_on_request(
    place: Place, install: Callable[..., None], installed: None
) -> None:
    release.uninstall(place.access)
    crd = "smallmodels.smallmodel.dev"
    place.plane.kubectl("annotate", "crd", crd, "meta.helm.sh/release-name-", "meta.helm.sh/release-namespace-")
    with pytest.raises(InstallError, match="TAKE_OWNERSHIP=1"):
        install("one")
    install("one", "--take-ownership")
    assert place.get("crd", crd)["metadata"]["annotations"]["meta.helm.sh/release-name"] == release.RELEASE


def test_the_metrics_service_and_two_replicas(place: Place, installed: None) -> None:
    words = ("--set", "replicas=2", "--set", "metrics.service=true", "--reuse-values", "--wait", "--timeout", "180s")
    place.access.helm("upgrade", release.RELEASE, str(release.CHART), "--namespace", SYSTEM, *words)
    assert place.get("deployment", "smallmodel-operator", "-n", SYSTEM)["status"]["readyReplicas"] == 2
    assert place.get("pdb", "smallmodel-operator", "-n", SYSTEM)["spec"]["minAvailable"] == 1
    slices = place.get("endpointslices", "-n", SYSTEM, "-l", "kubernetes.io/service-name=smallmodel-operator-metrics")
    assert slices["items"]


def wait_until(good: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_the_registry_answers_for_what_was_installed(place: Place, installed: None) -> None:
    """Nothing is left on a tag alone: the digest in the cluster can be pulled."""
    name, digest = image_of(place).split("@")
    host, path = name.split("/", 1)
    request = urllib.request.Request(f"http://{host}/v2/{path}/manifests/{digest}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        manifest = json.load(answer)
    assert manifest["layers"]
