"""The gateway as the chart makes it: restricted, spread, draining, and open to no more than it needs."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.chart.conftest import CHART, PROFILES, Objects, Render, one

from smallmodel_operator.boundary.canary_build import Role, pod_labels

GATEWAY = "smallmodel-gateway"
Run = Callable[..., subprocess.CompletedProcess[str]]


def stateful(objects: Objects) -> dict[str, Any]:
    return one(objects, "StatefulSet", GATEWAY)


def pod(objects: Objects) -> dict[str, Any]:
    spec = stateful(objects)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def containers(objects: Objects) -> dict[str, dict[str, Any]]:
    spec = pod(objects)
    return {c["name"]: c for c in (*spec["initContainers"], *spec["containers"])}


@pytest.mark.parametrize("profile", PROFILES)
def test_pods_are_restricted(render: Render, profile: str) -> None:
    spec = pod(render(profile))
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    found = containers(render(profile))
    assert list(found) == ["prepare", "agent", "envoy"]
    for container in found.values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_only_the_agent_has_a_token_and_only_envoy_the_certificate(render: Render) -> None:
    mounts = {name: {m["name"] for m in c["volumeMounts"]} for name, c in containers(render("full")).items()}
    shared = {"tmp", "run", "data"}
    assert mounts == {"prepare": shared, "agent": shared | {"api-access"}, "envoy": shared | {"tls"}}
    volumes = {v["name"]: v for v in pod(render("full"))["volumes"]}
    assert volumes["run"]["emptyDir"]["medium"] == "Memory"
    assert volumes["tls"]["secret"]["secretName"] == "gateway-tls"
    assert "tls" not in {v["name"] for v in pod(render("minimal"))["volumes"]}


def test_the_agent_starts_before_envoy_and_ends_after_it(render: Render) -> None:
    """A sidecar without a start-up probe: Envoy waits for its process, never for the API server behind it."""
    agent = containers(render("minimal"))["agent"]
    assert agent["restartPolicy"] == "Always"
    assert agent in pod(render("minimal"))["initContainers"]
    assert "startupProbe" not in agent
    assert agent["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_envoy_drains_for_less_than_the_grace(render: Render) -> None:
    spec, envoy = pod(render("minimal")), containers(render("minimal"))["envoy"]
    command = envoy["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:3] == ["python3", "-m", "smallmodel_operator.gateway.drain"]
    assert command[3] == "/run/smallmodel/admin.sock"
    assert float(command[4]) + 20 <= spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("profile", PROFILES)
def test_settings_are_those_the_agent_knows(render: Render, profile: str) -> None:
    from smallmodel_operator.gateway.settings import GatewaySettings

    env = {
        e["name"]: e.get("value", "1" if "resourceFieldRef" in e.get("valueFrom", {}) else "from-a-field")
        for e in containers(render(profile))["agent"]["env"]
    }
    given = {name.removeprefix("SLM_").lower(): value for name, value in env.items()}
    assert set(given) <= set(GatewaySettings.model_fields)
    settings = GatewaySettings(**given)
    assert settings.watch_namespaces == (("support", "legal") if profile == "namespaced" else ())
    assert settings.gateway_tls is (profile == "full")
    assert settings.audit_retention_days == (3650 if profile == "full" else 400)
    assert settings.audit_on_failure == ("Refuse" if profile == "full" else "Continue")
    assert settings.audit_max_mebibytes == (8192 if profile == "full" else 512)
    mounts = {m["mountPath"] for m in containers(render(profile))["agent"]["volumeMounts"]}
    assert {str(settings.gateway_dir), str(settings.gateway_data_dir)} <= mounts


def test_envoy_never_prints_headers(render: Render) -> None:
    for level in ("debug", "info", "warning", "error"):
        arguments = containers(render("minimal", "--set", f"logLevel={level}"))["envoy"]["args"]
        told = arguments[arguments.index("--log-level") + 1]
        assert told in ("warning", "error")


def test_services(render: Render) -> None:
    ports = {p["name"]: p["port"] for p in one(render("full"), "Service", GATEWAY)["spec"]["ports"]}
    assert ports == {"http": 80, "https": 443}
    plain = one(render("minimal"), "Service", GATEWAY)["spec"]
    assert [p["port"] for p in plain["ports"]] == [80]
    peers = one(render("minimal"), "Service", f"{GATEWAY}-pods")["spec"]
    assert peers["clusterIP"] == "None"
    assert peers["publishNotReadyAddresses"] is False
    assert stateful(render("minimal"))["spec"]["serviceName"] == f"{GATEWAY}-pods"
    labels = stateful(render("minimal"))["spec"]["template"]["metadata"]["labels"]
    for service in (plain, peers):
        assert service["selector"].items() <= labels.items()
    named = {p["name"] for c in containers(render("minimal")).values() for p in c.get("ports", ())}
    assert {p["targetPort"] for s in (plain, peers) for p in s["ports"]} <= named


def test_it_looks_like_nothing_of_the_operators(render: Render) -> None:
    """Else the operator's policy, Service and budget would count gateway pods in."""
    labels = stateful(render("full"))["spec"]["template"]["metadata"]["labels"]
    operator = one(render("full"), "NetworkPolicy", "smallmodel-operator")["spec"]["podSelector"]["matchLabels"]
    assert not operator.items() <= labels.items()
    assert labels["app.kubernetes.io/component"] == "gateway"  # what the policies of models let in


def test_storage_and_budget(render: Render) -> None:
    (claim,) = stateful(render("full"))["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    (claim,) = stateful(render("minimal"))["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in claim["spec"]
    assert one(render("full"), "PodDisruptionBudget", GATEWAY)["spec"]["maxUnavailable"] == 1
    assert not [o for o in render("namespaced") if o["kind"] == "PodDisruptionBudget"]


@pytest.mark.parametrize("profile", PROFILES)
def test_endpoints_of_models_are_guarded(render: Render, profile: str) -> None:
    """Whatever the values: who may write a namespace's EndpointSlices must not say where its prompts go."""
    objects = render(profile)
    policy = one(objects, "ValidatingAdmissionPolicy", f"{GATEWAY}-endpoints")["spec"]
    binding = one(objects, "ValidatingAdmissionPolicyBinding", f"{GATEWAY}-endpoints")["spec"]
    assert (binding["policyName"], binding["validationActions"]) == (f"{GATEWAY}-endpoints", ["Deny"])
    assert policy["failurePolicy"] == "Fail"
    (labelled,) = policy["matchConstraints"]["objectSelector"]["matchExpressions"]
    assert labelled == {"key": "smallmodel.dev/model", "operator": "Exists"}
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["endpointslices"], ["CREATE", "UPDATE"])
    (said,) = policy["validations"]
    assert "namespace('smallmodel-system').check('create').allowed()" in said["expression"]


def test_the_image_follows_the_registry_or_is_named(render: Render) -> None:
    for profile, want in (
        ("minimal", "registry.internal/slm/smallmodel-gateway:0.1.0"),
        ("full", f"registry.internal:5000/slm/smallmodel-gateway@sha256:{'3' * 64}"),
    ):
        assert {c["image"] for c in containers(render(profile)).values()} == {want}


def test_the_ports_are_those_of_the_agent(render: Render) -> None:
    from smallmodel_operator.cluster.signals import SIGNALS_PORT
    from smallmodel_operator.gateway.settings import GatewaySettings

    ports = {p["name"]: p["containerPort"] for p in containers(render("minimal"))["agent"]["ports"]}
    settings = GatewaySettings()
    assert ports == {"activator": settings.gateway_activator_port, "agent": settings.gateway_http_port}
    assert settings.gateway_http_port == SIGNALS_PORT


@pytest.mark.parametrize(
    "gone", ["envoy.limits.memory=null", "envoy.limits=null", "envoy=null", "envoy.limits.memory=0"]
)
def test_envoy_without_a_memory_limit_is_refused(run_helm: Run, gone: str) -> None:
    """Its watch over memory would go by what the whole node has, and so never act."""
    done = run_helm("template", "x", str(CHART), "--set", f"image.registry=r.internal,gateway.resources.{gone}")
    assert done.returncode != 0
    assert "gateway.resources.envoy.limits.memory is missing" in done.stderr
    assert "Set it, to 1Gi for instance" in done.stderr


def test_values_say_what_the_schema_allows() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["gateway"]
    assert values["replicas"] == 2


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_of_the_chart_takes_the_canarys_pods_for_its_own(render: Render, profile: str) -> None:
    """One of them carries what models' policies admit, which may be a gateway's labels."""
    selectors = []
    for obj in render(profile):
        spec = obj.get("spec", {})
        found = spec.get("selector") or spec.get("podSelector") or {}
        if obj["kind"] in ("Service", "NetworkPolicy", "PodDisruptionBudget", "Deployment", "StatefulSet"):
            selectors.append(found if obj["kind"] == "Service" else found["matchLabels"])
    assert selectors
    for role in Role:
        assert not [s for s in selectors if s.items() <= pod_labels(role, "x").items()]
