"""The rendered chart: valid, restricted, pinned, and refusing what it does not know."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.chart.conftest import CHART, PROFILES, ROOT, Objects, Render, one

Run = Callable[..., subprocess.CompletedProcess[str]]
OURS = ("CustomResourceDefinition", "ComputeProfile")
DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize("profile", PROFILES)
def test_every_object_is_valid_kubernetes(render: Render, profile: str) -> None:
    objects = render(profile)
    checked = [o for o in objects if o["kind"] not in OURS]
    for found in checked:
        kubernetes_validate.validate(found, "1.36", strict=True)
    assert {"Deployment", "ServiceAccount", "ClusterRole", "Role", "Job"} <= {o["kind"] for o in checked}
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("profile", PROFILES)
def test_lint_is_clean(run_helm: Run, profile: str) -> None:
    done = run_helm("lint", "--strict", str(CHART), "-f", str(CHART / "ci" / f"{profile}-values.yaml"))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the operator and of the release hook, which are alike."""
    specs = [o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "Job")]
    assert len(specs) == 2
    return specs


@pytest.mark.parametrize("profile", PROFILES)
def test_pods_are_restricted_and_ask_for_their_token(render: Render, profile: str) -> None:
    for spec in pod_specs(render(profile)):
        assert spec["automountServiceAccountToken"] is False
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 65532
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
            assert mounts["api-access"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds == {"emptyDir", "projected"}
        (token,) = [s["serviceAccountToken"] for v in spec["volumes"] for s in v.get("projected", {}).get("sources", ())
                    if "serviceAccountToken" in s]  # fmt: skip
        assert token["expirationSeconds"] == (600 if profile == "full" else 3600)
        assert "audience" not in token


def test_defaults_of_the_deployment(render: Render) -> None:
    deployment = one(render("minimal"), "Deployment")
    assert deployment["metadata"]["name"] == "smallmodel-operator"
    assert deployment["spec"]["replicas"] == 1
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.internal/slm/smallmodel-operator:0.1.0"
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("profile", PROFILES)
def test_settings_are_those_the_operator_knows(render: Render, profile: str) -> None:
    """Every SLM_ variable the chart sets is a setting, and the settings accept its value."""
    from smallmodel_operator.runtime.settings import Settings

    for spec in pod_specs(render(profile)):
        env = {e["name"]: e.get("value", "from-a-field") for e in spec["containers"][0]["env"]}
        assert {name for name in env if name.startswith("SLM_")} == set(env)
        given = {name.removeprefix("SLM_").lower(): value for name, value in env.items()}
        assert set(given) <= set(Settings.model_fields)
        Settings(**given)


def test_a_digest_alone_decides(render: Render) -> None:
    objects = render("full", "--set", "image.tag=ignored")
    want = f"registry.internal:5000/slm/smallmodel-operator@{DIGEST}"
    for spec in pod_specs(objects):
        assert spec["containers"][0]["image"] == want
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
    env = {e["name"]: e.get("value") for e in pod_specs(objects)[0]["containers"][0]["env"]}
    assert env.get("SLM_IMAGE", want) == want


def test_a_budget_and_spread_only_with_two(render: Render) -> None:
    assert one(render("full"), "PodDisruptionBudget", "smallmodel-operator")["spec"]["minAvailable"] == 1
    budgets = [o["metadata"]["name"] for o in render("minimal") if o["kind"] == "PodDisruptionBudget"]
    assert budgets == ["smallmodel-gateway"]


def test_without_a_registry_it_says_what_to_do(run_helm: Run) -> None:
    done = run_helm("template", "smallmodel", str(CHART))
    assert done.returncode != 0
    assert "image.registry is empty" in done.stderr
    assert "make install REGISTRY=" in done.stderr


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("replica=2", "replica"),
        ("image.sha=x", "sha"),
        ("image.digest=sha256:short", "digest"),
        ("replicas=0", "replicas"),
        ("logFormat=xml", "logFormat"),
        ("serviceAccountToken.expirationSeconds=60", "expirationSeconds"),
        ("defaultProfile.perReplica.gpu=1", "gpu"),
        ("watchNamespaces={Support}", "watchNamespaces"),
        ("gateway.replicas=-1", "replicas"),
        ("gateway.storage.size=much", "size"),
        ("gateway.resources.requests.cpu=1", "requests"),
        ("gateway.tls.secret=x", "secret"),
        ("audit.onFailure=Ignore", "onFailure"),
        ("audit.maxMebibytes=1", "maxMebibytes"),
    ],
)
def test_unknown_and_wrong_values_are_refused(run_helm: Run, setting: str, named: str) -> None:
    done = run_helm("template", "smallmodel", str(CHART), "--set", "image.registry=r.internal", "--set", setting)
    assert done.returncode != 0
    assert named in done.stderr


WHOLE = (".resources", ".gateway.resources", ".cost.cloudPrices")


def leaves(values: Any, path: str = "") -> list[str]:
    if isinstance(values, dict) and values and path not in WHOLE:
        return [leaf for key, value in values.items() for leaf in leaves(value, f"{path}.{key}")]
    return [path]


def test_at_most_45_values_each_in_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert len(leaves(values)) <= 45
    schema = json.loads((CHART / "values.schema.json").read_text())
    for leaf in leaves(values):
        node = schema
        for part in leaf.strip(".").split("."):
            assert node["additionalProperties"] is False
            node = node["properties"][part]


def test_the_release_hook_runs_at_uninstall_only(render: Render) -> None:
    job = one(render("minimal"), "Job")
    notes = job["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "pre-delete"
    assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    want = ["release", "--namespace", "smallmodel-system", "--deployment", "smallmodel-operator", "--timeout", "60"]
    assert container["args"] == want
    # Its pods must not look like the operator's: the hook waits for those to be gone.
    deployment = one(render("minimal"), "Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_crds_are_the_same_bytes_and_kept() -> None:
    own = {path.name: path.read_bytes() for path in (ROOT / "crds").glob("smallmodel.dev_*.yaml")}
    assert len(own) >= 2
    assert own == {path.name: path.read_bytes() for path in (CHART / "files" / "crds").glob("*.yaml")}, (
        "the chart's copies are stale: run `make generate`"
    )


def test_rendered_crds_differ_by_the_keep_policy_only(render: Render) -> None:
    rendered = {o["metadata"]["name"]: o for o in render("minimal") if o["kind"] == "CustomResourceDefinition"}
    sources = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("smallmodel.dev_*.yaml"))]
    wanted = {o["metadata"]["name"]: o for o in sources if o["kind"] == "CustomResourceDefinition"}
    assert rendered.keys() == wanted.keys()
    for name, found in rendered.items():
        assert found["metadata"].pop("annotations").pop("helm.sh/resource-policy") == "keep"
        wanted[name]["metadata"].pop("annotations", None)
        assert found == wanted[name]
    assert not [o for o in render("airgap") if o["kind"] in OURS]


def test_the_default_profile_is_a_hook_first_and_an_object_later(render: Render) -> None:
    from smallmodel_operator.api.v1alpha1.computeprofile import ComputeProfileSpec

    first = one(render("full"), "ComputeProfile")
    notes = first["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "post-install"
    assert notes["meta.helm.sh/release-name"] == "smallmodel"
    assert first["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    later = one(render("full", "--api-versions", "smallmodel.dev/v1alpha1/ComputeProfile"), "ComputeProfile")
    assert later["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert first["spec"] == later["spec"]
    spec = ComputeProfileSpec.model_validate(later["spec"])
    assert spec.engines[0].image == f"registry.internal:5000/slm/smallmodel-llamacpp@sha256:{'2' * 64}"
    assert spec.per_replica.memory_limit == "4Gi"


def test_the_supported_range_is_said_once(run_helm: Run) -> None:
    from hack.install.preflight import OLDEST

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST[0]}.{OLDEST[1]}.0-0"
    values = ("-f", str(CHART / "ci" / "minimal-values.yaml"))
    old = run_helm("template", "x", str(CHART), *values, "--kube-version", "v1.33.4")
    assert old.returncode != 0
    assert "incompatible with Kubernetes v1.33.4" in old.stderr
    assert run_helm("template", "x", str(CHART), *values, "--kube-version", "v1.34.0").returncode == 0


def test_versions_agree() -> None:
    from hack.install.images import VERSION

    from smallmodel_operator import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__ == VERSION


def test_notes_name_commands_that_exist() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    paths = re.findall(r"apply -f (\S+)", notes)
    kinds = [[o["kind"] for o in yaml.safe_load_all((ROOT / path).read_text())] for path in paths]
    assert kinds == [["Namespace", "SmallModel"], ["ClusterBoundary"]]


def _canary_seconds(objects: Objects) -> str | None:
    (container,) = one(objects, "Deployment", "smallmodel-operator")["spec"]["template"]["spec"]["containers"]
    return next((e["value"] for e in container["env"] if e["name"] == "SLM_CANARY_SECONDS"), None)


def test_the_canary_runs_unless_it_is_switched_off(render: Render) -> None:
    assert _canary_seconds(render("minimal")) == "600"
    assert _canary_seconds(render("minimal", "--set", "boundary.canary.intervalSeconds=86400")) == "86400"
    off = render("minimal", "--set", "boundary.canary.enabled=false")
    assert _canary_seconds(off) is None
    role = one([o for o in off if o["metadata"].get("namespace") == "smallmodel-system"], "Role", "smallmodel-operator")
    assert not [rule for rule in role["rules"] if "jobs" in rule["resources"]], "nor has it rights for it"


def test_a_canary_in_a_hurry_is_refused(run_helm: Run) -> None:
    values = str(CHART / "ci" / "minimal-values.yaml")
    done = run_helm("template", "x", str(CHART), "-f", values, "--set", "boundary.canary.intervalSeconds=10")
    assert done.returncode != 0
    assert "intervalSeconds" in done.stderr
