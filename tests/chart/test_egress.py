"""`egress.enabled`: a namespace, rights there and nowhere else, and whom to trust."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.chart.conftest import CHART, Objects, Render, one
from tests.chart.test_rbac import rule_text

from smallmodel_operator.api.names import EGRESS
from smallmodel_operator.runtime.settings import Settings

Run = Callable[..., subprocess.CompletedProcess[str]]
CA = "-----BEGIN CERTIFICATE-----"
ON = ("--set", "egress.enabled=true", "--set", f"egress.authorities={CA}")


def there(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        o for o in objects if (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) == (kind, EGRESS, name)
    ]
    return found


def environment(objects: Objects) -> dict[str, str]:
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {e["name"]: e["value"] for e in container["env"] if e["name"].startswith("SLM_EGRESS")}


@pytest.mark.parametrize("profile", ["minimal", "namespaced"])
def test_by_default_there_is_nothing_of_it(render: Render, profile: str) -> None:
    objects = render(profile)
    assert environment(objects) == {}
    assert EGRESS not in json.dumps(objects)


def test_the_operator_is_told_and_understands_it(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("full")
    for name, value in environment(objects).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.egress_image == "registry.internal:5000/slm/smallmodel-gateway@sha256:" + "3" * 64
    assert "BEGIN CERTIFICATE" in there(objects, "ConfigMap", settings.egress_authorities)["data"]["ca.crt"]


def test_other_authorities_are_another_config_map(render: Render) -> None:
    names = {environment(render("minimal", *ON, "--set", f"egress.authorities={CA}{n}"))["SLM_EGRESS_AUTHORITIES"]
             for n in (1, 2)}  # fmt: skip
    assert len(names) == 2


@pytest.mark.parametrize("value", ["", "ca.crt"])
def test_whom_to_trust_has_to_be_said(run_helm: Run, value: str) -> None:
    more = ("--set", f"egress.authorities={value}") if value else ()
    done = run_helm("template", "x", str(CHART), "--set", "image.registry=r.internal,egress.enabled=true", *more)
    assert done.returncode != 0
    assert "egress.authorities holds no certificate" in done.stderr


def test_the_operator_writes_there_what_it_makes_and_reads_one_secret(render: Render) -> None:
    objects = render("namespaced", *ON)
    own = there(objects, "Role", "smallmodel-operator")
    assert [rule_text(rule) for rule in own["rules"]] == [
        "apps deployments: get,create,patch,delete",
        "networking.k8s.io networkpolicies: get,create,patch,delete",
        "core services,serviceaccounts: get,create,patch,delete",
        "core configmaps: create",
        "core configmaps only smallmodel-egress: get,patch,delete",
        "core secrets: create",
        "core secrets only smallmodel-egress-credentials: get,patch,delete",
        "core pods: list",
    ]
    binding = there(objects, "RoleBinding", "smallmodel-operator")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "smallmodel-operator", "namespace": "smallmodel-system"}
    ]


def test_gateways_may_see_where_it_is_and_no_more(render: Render) -> None:
    rules = there(render("namespaced", *ON), "Role", "smallmodel-gateway")["rules"]
    assert [rule_text(rule) for rule in rules] == ["discovery.k8s.io endpointslices: get,list,watch"]


def test_pods_of_its_namespace_are_restricted(render: Render) -> None:
    labels = one(render("minimal", *ON), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_settings_need_both() -> None:
    with pytest.raises(ValueError, match="need each other"):
        Settings(egress_image="x")
