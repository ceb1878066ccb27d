"""The egress: there while something may leave, closed to all but gateways, and gone with everything when sealed."""

from dataclasses import replace
from typing import Any

import pytest
from hack.cluster.netpol_rules import matches
from kubernetes_validate import validate
from tests.golden.pod_security import violations

from smallmodel_operator.api.names import EGRESS, EGRESS_HTTP_PORT, EGRESS_PORT
from smallmodel_operator.boundary.declared import load, parse
from smallmodel_operator.boundary.egress_build import CREDENTIALS, Wish, objects, reachable
from smallmodel_operator.boundary.rules import View, egress
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.boundary.source import NEVER
from smallmodel_operator.boundary.table import EGRESS_ROWS, GATEWAYS, LEAVING, ROWS
from smallmodel_operator.gateway.egress.settings import EgressSettings
from smallmodel_operator.gateway.egress.site import EgressSite

CLOUD = parse("support/assistant/cloud", "https://api.example.com/v1")
LAB = parse("research/helper/lab", "https://lab.example.org:8443", credential=False)
WISH = Wish("registry/gateway@sha256:1", (CLOUD, LAB), ("ab" * 32,), "outside-authorities", "smallmodel-system")


def made(wish: Wish = WISH) -> dict[str, dict[str, Any]]:
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in objects(wish)}


def pod(wish: Wish = WISH) -> dict[str, Any]:
    found = made(wish)[f"Deployment/{EGRESS}"]["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def test_all_is_in_one_namespace_and_valid() -> None:
    for found in objects(WISH):
        assert found["metadata"]["namespace"] == EGRESS
        validate(found, "1.36", strict=True)


def test_without_an_external_target_there_is_nothing() -> None:
    assert objects(replace(WISH, hosts=())) == ()


def test_a_seal_takes_it_away() -> None:
    assert objects(replace(WISH, boundary=Boundary("u", 2, stopped=True))) == ()
    one = Boundary("u", 2, namespaces={"support": "why"})
    assert reachable(WISH.hosts, one) == (LAB,)
    left = made(replace(WISH, boundary=one))
    assert load(left[f"ConfigMap/{EGRESS}"]["data"]["hosts.json"]) == (LAB,)
    both = Boundary("u", 2, namespaces={"support": "", "research": ""})
    assert objects(replace(WISH, boundary=both)) == ()


def test_the_pod_is_restricted_holds_no_token_and_ends_at_once() -> None:
    spec = pod()
    assert violations(spec) == []
    assert (spec["automountServiceAccountToken"], spec["serviceAccountName"]) == (False, EGRESS)
    assert spec["terminationGracePeriodSeconds"] <= 5
    assert not made()[f"ServiceAccount/{EGRESS}"]["automountServiceAccountToken"]


def test_there_are_never_two_that_remember() -> None:
    spec = made()[f"Deployment/{EGRESS}"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_only_envoy_has_credentials() -> None:
    spec = pod()
    who = [c["name"] for c in (*spec["initContainers"], *spec["containers"]) if "credentials" in str(c["volumeMounts"])]
    assert who == ["envoy"]
    assert CREDENTIALS in str(spec["volumes"])
    assert CREDENTIALS not in str(pod(replace(WISH, hosts=(LAB,))))


def test_other_hosts_keys_or_credentials_are_another_pod() -> None:
    def inputs(wish: Wish) -> str:
        return str(made(wish)[f"Deployment/{EGRESS}"]["spec"]["template"]["metadata"]["annotations"])

    changed = [
        replace(WISH, hosts=(CLOUD,)),
        replace(WISH, hosts=(replace(CLOUD, path="/v2"), LAB)),
        replace(WISH, keys=("cd" * 32,)),
        replace(WISH, credentials="2"),
    ]
    assert len({inputs(wish) for wish in (WISH, *changed)}) == 5
    assert inputs(WISH) == inputs(replace(WISH, hosts=(LAB, CLOUD)))


def test_in_come_gateways_with_requests_and_nobody_else() -> None:
    policy = made()[f"NetworkPolicy/{EGRESS}"]["spec"]
    said = [(r["from"][0]["podSelector"]["matchLabels"], r["ports"][0]["port"]) for r in policy["ingress"]]
    assert said == [(GATEWAYS.labels, EGRESS_PORT)]
    space = {"kubernetes.io/metadata.name": "smallmodel-system"}
    assert all(matches(r["from"][0]["namespaceSelector"], space) for r in policy["ingress"])


def test_out_goes_dns_and_the_ports_of_declared_hosts_away_from_the_cluster() -> None:
    wish = replace(WISH, cluster_networks=("10.244.0.0/16",))
    dns, away = made(wish)[f"NetworkPolicy/{EGRESS}"]["spec"]["egress"]
    assert {p["port"] for p in dns["ports"]} == {53}
    assert [p["port"] for p in away["ports"]] == [443, 8443]
    four, six = (peer["ipBlock"] for peer in away["to"])
    assert {"10.244.0.0/16", "169.254.0.0/16"} <= set(four["except"])
    assert "fe80::/10" in six["except"]
    assert set(four["except"]) | set(six["except"]) == {*NEVER, "10.244.0.0/16"}


def test_every_other_pod_of_the_namespace_reaches_nothing() -> None:
    spec = made()[f"NetworkPolicy/{EGRESS}-default-deny"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}


def test_gateways_find_it_without_asking_dns() -> None:
    spec = made()[f"Service/{EGRESS}"]["spec"]
    template = made()[f"Deployment/{EGRESS}"]["spec"]["template"]
    assert spec["clusterIP"] == "None"
    assert matches({"matchLabels": spec["selector"]}, template["metadata"]["labels"])
    assert matches(made()[f"NetworkPolicy/{EGRESS}"]["spec"]["podSelector"], template["metadata"]["labels"])


def test_its_rows_count_on_the_gateways_side_too() -> None:
    rules = [rule for _, rule in egress(GATEWAYS, View(True), EGRESS_ROWS)]
    assert [p["port"] for p in rules[0]["ports"]] == [EGRESS_PORT]
    (peer,) = rules[0]["to"]
    assert matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": EGRESS})
    assert matches(peer["podSelector"], dict(LEAVING.labels))


def test_nobody_else_talks_to_it_and_it_needs_the_charts_value() -> None:
    assert [row for row in ROWS if LEAVING in (row.who, row.whom)] == list(EGRESS_ROWS)
    assert {row.when for row in EGRESS_ROWS} == {"egress.enabled"}


def test_ports_and_folders_are_those_it_listens_on_and_reads() -> None:
    site, settings = EgressSite(), EgressSettings(keys=("ab" * 32,))
    assert (site.port, settings.http_port) == (EGRESS_PORT, EGRESS_HTTP_PORT)
    mounts = {
        m["name"]: m["mountPath"] for c in (*pod()["initContainers"], *pod()["containers"]) for m in c["volumeMounts"]
    }
    assert mounts == {
        "run": str(settings.dir),
        "hosts": str(settings.hosts.parent),
        "authorities": str(site.authorities.parent),
        "credentials": str(site.credentials),
    }


@pytest.mark.parametrize("name", ["prepare", "checker"])
def test_our_containers_are_told_the_public_key(name: str) -> None:
    (found,) = (c for c in pod()["initContainers"] if c["name"] == name)
    env = {e["name"]: e.get("value") for e in found["env"]}
    assert env["SLM_EGRESS_KEYS"] == "ab" * 32
    assert {n.removeprefix("SLM_EGRESS_").lower() for n in env} <= EgressSettings.model_fields.keys()
