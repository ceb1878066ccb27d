"""The policy enforcer's rules: what a NetworkPolicy means in nftables."""

from typing import Any

from hack.cluster.netpol_rules import World, matches, ruleset

from smallmodel_operator.boundary.build import download_policy, pods_policy

NODE = ("198.18.0.2",)


def _pod(name: str, address: str, labels: dict[str, str], namespace: str = "a") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": address, "phase": "Running"},
    }


def _policy(spec: dict[str, Any], namespace: str = "a") -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


PODS = [_pod("m", "10.0.0.1", {"app": "m"}), _pod("c", "10.0.0.2", {"app": "c"}), _pod("x", "10.0.0.3", {}, "b")]
SPACES = [{"metadata": {"name": n, "labels": {"name": n}}} for n in ("a", "b")]


def _rules(*policies: dict[str, Any]) -> str:
    return ruleset(World(list(policies), PODS, SPACES, NODE))


def _chain(text: str, name: str) -> list[str]:
    body = text.split(f"chain {name} {{")[1].split("}\n  chain")[0]
    return [" ".join(line.split()) for line in body.splitlines() if line.strip(" }")]


def test_without_policies_nothing_is_touched() -> None:
    assert "drop" not in _rules()


def test_no_way_out_and_own_namespace_in() -> None:
    spec = {
        "podSelector": {"matchLabels": {"app": "m"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}],
    }
    text = _rules(_policy(spec))
    assert _chain(text, "out_10_0_0_1") == ["counter drop"]
    inside = _chain(text, "in_10_0_0_1")
    assert inside[0] == "ip saddr { 198.18.0.2 } return", "probes of the node always pass"
    assert inside[1:] == ["ip saddr { 10.0.0.1, 10.0.0.2 } tcp dport 8080 return", "counter drop"]
    assert "10_0_0_2" not in text


def test_named_port_namespace_selector_and_block() -> None:
    rule = {
        "from": [
            {"namespaceSelector": {"matchLabels": {"name": "b"}}},
            {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}},
        ],
        "ports": [{"port": "http"}, {"protocol": "UDP", "port": 53, "endPort": 54}],
    }
    text = _rules(_policy({"podSelector": {"matchLabels": {"app": "m"}}, "ingress": [rule]}))
    inside = _chain(text, "in_10_0_0_1")
    assert "ip saddr { 10.0.0.3 } tcp dport 8080 return" in inside
    assert "ip saddr { 10.0.0.3 } udp dport 53-54 return" in inside
    assert "ip saddr 192.0.2.0/24 ip saddr != { 192.0.2.7/32 } tcp dport 8080 return" in inside


def test_blocks_of_a_protocol_the_node_lacks_match_nothing() -> None:
    def out(*cidrs: str) -> list[str]:
        rule = {"to": [{"ipBlock": {"cidr": c}} for c in cidrs], "ports": [{"port": 443}]}
        spec = {"podSelector": {"matchLabels": {"app": "m"}}, "policyTypes": ["Egress"], "egress": [rule]}
        return _chain(_rules(_policy(spec)), "out_10_0_0_1")

    assert out("0.0.0.0/0", "::/0") == ["ip daddr 0.0.0.0/0 tcp dport 443 return", "counter drop"]
    assert out("::/0") == ["counter drop"], "not: everywhere"


def test_the_policies_of_downloads_and_models_are_understood() -> None:
    uri, networks = "https://weights.example/m.gguf", ("10.0.0.0/8",)
    download = download_policy("m", "a", uri, "cluster.local", networks, "sys")
    download["spec"]["podSelector"] = {"matchLabels": {"app": "m"}}
    never = "{ 169.254.0.0/16, 100.100.100.200/32, 168.63.129.16/32, 10.0.0.0/8 }"
    assert _chain(_rules(download), "out_10_0_0_1") == [
        "udp dport 53 return",
        "tcp dport 53 return",
        f"ip daddr 0.0.0.0/0 ip daddr != {never} tcp dport 443 return",
        "counter drop",
    ]
    models = pods_policy("m", "a", "b")
    models["spec"]["podSelector"] = {"matchLabels": {"app": "m"}}
    assert _chain(_rules(models), "out_10_0_0_1") == ["counter drop"]


def test_an_empty_rule_admits_everybody_and_a_missing_one_nobody() -> None:
    everybody = _rules(_policy({"podSelector": {}, "ingress": [{}]}))
    assert _chain(everybody, "in_10_0_0_1")[1] == "return"
    nobody = _rules(_policy({"podSelector": {}}))
    assert _chain(nobody, "in_10_0_0_1")[1:] == ["counter drop"]


def test_selectors() -> None:
    assert matches({}, {})
    assert matches({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {"a": "1"})
    assert not matches({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {})
    assert matches({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {})
    assert not matches({"matchLabels": {"a": "1"}}, {"a": "2"})
