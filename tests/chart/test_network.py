"""The chart's NetworkPolicies: default deny for every pod it makes, and the rows of the table, no more."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hack.cluster.netpol_rules import matches
from tests.chart.conftest import CHART, PROFILES, Objects, Render, one

from smallmodel_operator.api.names import EGRESS
from smallmodel_operator.boundary.table import (
    API_SERVER,
    GATEWAYS,
    OPERATORS,
    PROMETHEUS,
    RELEASE,
    ROWS,
    Party,
    Place,
    Row,
)  # fmt: skip

POLICIES = {"smallmodel-operator": OPERATORS, "smallmodel-operator-release": RELEASE, "smallmodel-gateway": GATEWAYS}
ENFORCED = [p for p in PROFILES if p != "airgap"]
Run = Callable[..., subprocess.CompletedProcess[str]]


def policy(objects: Objects, name: str) -> dict[str, Any]:
    spec = one(objects, "NetworkPolicy", name)["spec"]
    assert isinstance(spec, dict)
    return spec


def pods(objects: Objects) -> dict[str, dict[str, str]]:
    """Labels of every pod the chart makes, by the name of what makes it."""
    made = [o for o in objects if o["kind"] in ("Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob", "Pod")]
    return {o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"] for o in made}


def selecting(objects: Objects, labels: dict[str, str]) -> set[str]:
    policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
    return {o["metadata"]["name"] for o in policies if matches(o["spec"]["podSelector"], labels)}


@pytest.mark.parametrize("profile", ENFORCED)
def test_every_pod_is_denied_by_default_and_has_its_own_policy(render: Render, profile: str) -> None:
    objects = render(profile)
    found = {name: selecting(objects, labels) for name, labels in pods(objects).items()}
    deny = "smallmodel-operator-default-deny"
    assert found == {
        "smallmodel-operator": {deny, "smallmodel-operator"},
        "smallmodel-operator-release": {deny, "smallmodel-operator-release"},
        "smallmodel-gateway": {deny, "smallmodel-gateway"},
    }
    spec = policy(objects, deny)
    assert set(spec) == {"podSelector", "policyTypes"}
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def expected(party: Party, side: str, values: set[str]) -> list[tuple[Any, list[int]]]:
    rows = [r for r in ROWS if (r.whom if side == "ingress" else r.who) is party and r.when in values]
    return [(peer(r.who if side == "ingress" else r.whom), numbers(r)) for r in rows]


MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
"""Of the profile `full`, with port 9091."""


def numbers(row: Row) -> list[int]:
    return [9091 if row.whom is PROMETHEUS else p.number for p in row.ports]


def peer(other: Party) -> Any:
    if other is PROMETHEUS:
        return MONITORING
    if other.place is Place.BEYOND:
        return None
    own = {"app.kubernetes.io/instance": "smallmodel"} if other.place is Place.SYSTEM else {}
    pod = {"podSelector": {"matchLabels": {**other.labels, **own}}} if other.labels else {}
    if other.place is Place.EGRESS:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": EGRESS}}, **pod}
    return pod if other.place is Place.SYSTEM else {"namespaceSelector": {}, **pod}


def rules(spec: dict[str, Any], side: str) -> list[tuple[Any, list[int]]]:
    key = "from" if side == "ingress" else "to"
    return [((r[key][0] if key in r else None), [p["port"] for p in r["ports"]]) for r in spec.get(side, ())]


@pytest.mark.parametrize("profile", ENFORCED)
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_its_rows(render: Render, profile: str, name: str) -> None:
    values = {
        "",
        *(
            ["gateway.tls.secretName", "metrics.service", "prometheus.url", "egress.enabled"]
            if profile == "full"
            else []
        ),
    }
    spec = policy(render(profile), name)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    for side in ("ingress", "egress"):
        assert rules(spec, side) == expected(POLICIES[name], side, values)
        assert spec.get(side, "absent") is not None, "a null would differ from what the API server keeps"


def test_without_policies_there_are_none(render: Render) -> None:
    assert not [o for o in render("airgap") if o["kind"] == "NetworkPolicy"]


def test_the_gateways_policy_outlives_the_chart_as_the_gateways_do(render: Render) -> None:
    kept = one(render("minimal"), "NetworkPolicy", "smallmodel-gateway")["metadata"]["annotations"]
    assert kept == {"helm.sh/resource-policy": "keep"}


def test_the_api_server_can_be_named(render: Render) -> None:
    objects = render("minimal", "--set", "networkPolicy.apiServer={10.96.0.1/32,192.0.2.10/32}")
    for name, party in POLICIES.items():
        rows = [r for r in ROWS if r.who is party and not r.when]
        found = policy(objects, name)["egress"][rows.index(next(r for r in rows if r.whom is API_SERVER))]
        assert found["to"] == [{"ipBlock": {"cidr": c}} for c in ("10.96.0.1/32", "192.0.2.10/32")]
        assert [p["port"] for p in found["ports"]] == [443, 6443]


def test_the_operator_hears_which_networks_are_the_clusters(render: Render) -> None:
    objects = render("minimal", "--set", "networkPolicy.clusterNetworks={10.244.0.0/16,fd00::/48}")
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["SLM_CLUSTER_NETWORKS"] == "10.244.0.0/16,fd00::/48"


@pytest.mark.parametrize("network", ["10.244.0.0", "0.0.0.0/0", "cluster", "10.0.0.0/33", "::/0"])
@pytest.mark.parametrize("value", ["apiServer", "clusterNetworks"])
def test_a_network_is_a_cidr(run_helm: Run, value: str, network: str) -> None:
    done = run_helm(
        "template", "x", str(CHART), "--set", f"image.registry=r.internal,networkPolicy.{value}={{{network}}}"
    )
    assert done.returncode != 0
    assert value in done.stderr
