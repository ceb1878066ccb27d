"""Who reaches a model pod, and what it reaches."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.boundary import build
from smallmodel_operator.boundary.source import NEVER
from smallmodel_operator.core.outcome import Refused

CLUSTER = ("10.244.0.0/16", "10.96.0.0/12", "fd00:10::/48")


def download(uri: str = "https://weights.example/m.gguf", networks: tuple[str, ...] = CLUSTER) -> list[dict[str, Any]]:
    spec = build.download_policy("bot", "support", uri, "cluster.local", networks, "slm-sys")["spec"]
    rules = spec["egress"]
    assert isinstance(rules, list)
    return rules


def lets_out(rules: list[dict[str, Any]], address: str, port: int) -> bool:
    """As a plugin reads ipBlocks; rules without any side and for DNS aside."""
    ip = ip_address(address)
    for rule in (r for r in rules if "to" in r):
        if not any(p.get("port") in (None, port) for p in rule["ports"]):
            continue
        for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
            excepted = [ip_network(n) for n in block.get("except", ())]
            if ip in ip_network(block["cidr"]) and not any(ip in n for n in excepted):
                return True
    return False


def test_a_model_pod_has_no_way_out() -> None:
    spec = build.pods_policy("bot", "support", "smallmodel-system")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert spec["egress"] == []


def test_in_come_the_gateways_and_the_operator_on_one_port_and_nobody_else() -> None:
    spec = build.pods_policy("bot", "support", "slm-sys")["spec"]
    rules = spec["ingress"]
    assert len(rules) == 2
    for rule, (name, component) in zip(rules, (("gateway", "gateway"), ("operator", "operator")), strict=True):
        assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
        (peer,) = rule["from"]
        assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "slm-sys"}}
        assert peer["podSelector"]["matchLabels"] == {
            "app.kubernetes.io/name": f"smallmodel-{name}",
            "app.kubernetes.io/component": component,
        }


def test_it_covers_every_pod_of_the_model_jobs_too() -> None:
    spec = build.pods_policy("bot", "support", "x")["spec"]
    assert spec["podSelector"] == {"matchLabels": {"smallmodel.dev/model": "bot"}}


def test_only_downloads_get_out_and_in_comes_the_operator_alone() -> None:
    policy = build.download_policy("bot", "support", "https://weights.example/m.gguf", "cluster.local", (), "slm-sys")
    assert policy["metadata"]["name"] == "bot-download"
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8082}]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "slm-sys"}}
    assert peer["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "smallmodel-operator",
        "app.kubernetes.io/component": "operator",
    }
    assert spec["podSelector"]["matchLabels"] == {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "download"}


def test_a_download_reaches_the_port_of_its_source_outside_the_cluster() -> None:
    rules = download()
    assert rules[0] == {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
    assert lets_out(rules, "203.0.113.9", 443)
    assert lets_out(rules, "2001:db8::9", 443)
    assert not lets_out(rules, "203.0.113.9", 80)
    for inside in ("10.244.3.4", "10.96.0.1", "fd00:10::5"):
        assert not lets_out(rules, inside, 443)
    assert lets_out(download(networks=()), "10.244.3.4", 443), "which networks are the cluster's has to be said"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.20.10", "fd00:ec2::254", "fe80::1", "168.63.129.16", "100.100.100.200"]
)
@pytest.mark.parametrize("uri", ["https://weights.example/m.gguf", "https://weights.example:8443/m.gguf"])
def test_no_download_reaches_the_metadata_server(address: str, uri: str) -> None:
    for port in (80, 443, 8443):
        assert not lets_out(download(uri, ()), address, port)


def test_another_port_is_the_one_in_the_address_and_443_for_redirects() -> None:
    rules = download("https://weights.example:8443/m.gguf")
    assert [p["port"] for p in rules[1]["ports"]] == [8443, 443]


@pytest.mark.parametrize(("host", "cidr"), [("203.0.113.9", "203.0.113.9/32"), ("[2001:db8::9]", "2001:db8::9/128")])
def test_a_number_is_that_address_and_needs_no_names(host: str, cidr: str) -> None:
    (rule,) = download(f"https://{host}:8443/m.gguf")
    assert rule == {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"protocol": "TCP", "port": 8443}]}


@pytest.mark.parametrize(("host", "says"), [
    ("169.254.169.254:80", "hand out credentials"),
    ("[fd00:ec2::254]", "hand out credentials"),
    ("10.96.0.7", "networkPolicy.clusterNetworks"),
    ("10.244.3.4:8443", "networkPolicy.clusterNetworks"),
    ("[fd00:10::5]", "networkPolicy.clusterNetworks"),
])  # fmt: skip
def test_a_number_no_download_may_reach_is_refused(host: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        download(f"https://{host}/m.gguf")
    assert "`spec.source.uri`" in refused.value.message


@pytest.mark.parametrize("host", ["files.store.svc", "files.store.svc.cluster.local", "files.store.svc.cluster.local."])
def test_a_service_of_the_cluster_is_its_namespace(host: str) -> None:
    _, rule = download(f"https://{host}/m.gguf")
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "store"}}
    assert rule == {"to": [{"namespaceSelector": selector}], "ports": [{"protocol": "TCP"}]}


@given(st.ip_addresses(v=4).map(str), st.integers(1, 65535))
def test_what_is_excepted_is_never_let_out(address: str, port: int) -> None:
    never = any(ip_address(address) in ip_network(n) for n in (*NEVER, *CLUSTER) if ":" not in n)
    assert lets_out(download(), address, port) is (port == 443 and not never)


def test_policies_are_found_by_the_models_label() -> None:
    out = build.download_policy("bot", "support", "https://weights.example/m.gguf", "cluster.local", (), "slm-sys")
    for policy in (build.pods_policy("bot", "support", "x"), out):
        assert policy["metadata"]["labels"]["smallmodel.dev/model"] == "bot"
        assert policy["metadata"]["namespace"] == "support"


def test_a_proxy_may_be_inside_and_opens_no_forbidden_number() -> None:
    """The administrator chose the proxy, the user the source: only the latter is held against what is inside."""
    way = ("bot", "support", "http://10.96.0.9:3128", "cluster.local", CLUSTER, "slm-sys")
    (rule,) = build.download_policy(*way, "https://weights.example/m.gguf")["spec"]["egress"]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.96.0.9/32"}}], "ports": [{"protocol": "TCP", "port": 3128}]}
    with pytest.raises(Refused, match="hand out credentials"):
        build.download_policy(*way, "https://169.254.169.254/m.gguf")


def test_through_a_proxy_a_download_reaches_the_proxy_alone() -> None:
    rules = download("http://proxy.example:3128")
    assert lets_out(rules, "203.0.113.9", 3128)
    assert not lets_out(rules, "203.0.113.9", 443)
    (rule,) = download("http://10.0.0.9:3128")
    assert rule == {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"protocol": "TCP", "port": 3128}]}
    assert [p["port"] for p in download("http://proxy.example")[1]["ports"]] == [80]
