"""NetworkPolicies -> one nftables table. Pure: objects in, ruleset text out.

A test double of what a network plugin does, for clusters whose plugin enforces nothing. It knows podSelector,
namespaceSelector, ipBlock with except (IPv4 only, as its node), TCP and UDP ports and port ranges; named ports it
resolves per pod.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """What policies are evaluated over. `node` addresses always reach pods (probes)."""

    policies: Sequence[Object]
    pods: Sequence[Object]
    namespaces: Sequence[Object]
    node: tuple[str, ...]


def ruleset(world: World) -> str:
    """The whole table, replaced atomically by `nft -f`."""
    chains: list[str] = []
    forward_out, forward_in = [], []
    for pod in world.pods:
        address = _address(pod)
        if not address:
            continue
        mine = [p for p in world.policies if _selects(p, pod)]
        mark = address.replace(".", "_")
        egress = [p for p in mine if "Egress" in _types(p)]
        ingress = [p for p in mine if "Ingress" in _types(p)]
        if egress:
            chains.append(_chain(f"out_{mark}", _rules(egress, "egress", "daddr", world)))
            forward_out.append(f"    ip saddr {address} jump out_{mark}")
        if ingress:
            always = [f"    ip saddr {{ {', '.join(world.node)} }} return"]
            chains.append(_chain(f"in_{mark}", [*always, *_rules(ingress, "ingress", "saddr", world, pod)]))
            forward_in.append(f"    ip daddr {address} jump in_{mark}")
    established = "    ct state established,related accept"
    forward = ["  chain forward {", "    type filter hook forward priority 10; policy accept;", established]
    inbound = ["  chain input {", "    type filter hook input priority 10; policy accept;", established]
    body = [*chains, *forward, *forward_out, *forward_in, "  }", *inbound, *forward_out, "  }"]
    return "\n".join(["table ip slm_netpol", "delete table ip slm_netpol", "table ip slm_netpol {", *body, "}", ""])


def _chain(name: str, rules: Iterable[str]) -> str:
    return "\n".join([f"  chain {name} {{", *rules, "    counter drop", "  }"])


def _rules(
    policies: Sequence[Object], direction: str, side: str, world: World, target: Object | None = None
) -> list[str]:
    made = []
    key = "to" if direction == "egress" else "from"
    for policy in policies:
        for rule in policy["spec"].get(direction) or []:
            ports = _ports(rule.get("ports"), target)
            for match in _peers(rule.get(key), policy["metadata"]["namespace"], side, world):
                made += [
                    f"    {' '.join(filter(None, (match, port)))} return".replace("     ", "    ") for port in ports
                ]
    return made


def _peers(peers: Sequence[Object] | None, namespace: str, side: str, world: World) -> list[str]:
    if not peers:
        return [""]
    matches, addresses = [], []
    for peer in peers:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            if ":" in block["cidr"]:
                continue  # the node has no IPv6; the table would not load with it
            excluded = [f"ip {side} != {{ {', '.join(block['except'])} }}"] if block.get("except") else []
            matches.append(" ".join([f"ip {side} {block['cidr']}", *excluded]))
        else:
            addresses += [a for p in world.pods if (a := _address(p)) and _peer_selects(peer, p, namespace, world)]
    if addresses:
        matches.append(f"ip {side} {{ {', '.join(sorted(set(addresses)))} }}")
    return matches


def _peer_selects(peer: Object, pod: Object, namespace: str, world: World) -> bool:
    where = pod["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        labels = next(
            (n["metadata"].get("labels") or {} for n in world.namespaces if n["metadata"]["name"] == where), {}
        )
        if not matches(peer["namespaceSelector"], labels):
            return False
    elif where != namespace:
        return False
    return matches(peer.get("podSelector") or {}, pod["metadata"].get("labels") or {})


def _ports(ports: Sequence[Object] | None, target: Object | None) -> list[str]:
    if not ports:
        return [""]
    made = []
    for port in ports:
        protocol = port.get("protocol", "TCP").lower()
        number = port.get("port")
        if isinstance(number, str):
            number = _named(number, target)
            if number is None:
                continue
        if number is None:
            made.append(f"meta l4proto {protocol}")
        else:
            end = f"-{port['endPort']}" if port.get("endPort") else ""
            made.append(f"{protocol} dport {number}{end}")
    return made


def _named(name: str, pod: Object | None) -> int | None:
    for container in (pod or {}).get("spec", {}).get("containers", []):
        for port in container.get("ports", []):
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def _selects(policy: Object, pod: Object) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and matches(policy["spec"].get("podSelector") or {}, pod["metadata"].get("labels") or {})


def _types(policy: Object) -> Sequence[str]:
    spec = policy["spec"]
    return spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])


def _address(pod: Object) -> str:
    if pod.get("spec", {}).get("hostNetwork") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return ""
    return str(pod.get("status", {}).get("podIP") or "")


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """A label selector, as Kubernetes evaluates it."""
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], term.get("values") or []
        verdict = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[term["operator"]]
        if not verdict:
            return False
    return True
