"""Where a download may go: as near to its source as a NetworkPolicy can say. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.boundary.rules import Rule, ports
from smallmodel_operator.boundary.table import DNS, DOWNLOADS, HTTPS, ROWS, Port
from smallmodel_operator.core.outcome import Refused

NEVER: Final = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "fe80::/10", "fd00:ec2::254/128")
"""Of the node itself, and where clouds tell machines their secrets."""
EVERYWHERE: Final = ("0.0.0.0/0", "::/0")


def download_rules(uri: str, cluster_domain: str, cluster_networks: Sequence[str], source: str = "") -> list[Rule]:
    """What the download from an address (or through a proxy there) may reach. `source`: what the user named, where the
    way to it begins elsewhere, at a proxy or a mirror the administrator chose.

    A number for an address: that address. A Service of the cluster: pods of its namespace, on every port, for a
    policy sees a pod's port and not the Service's. Any other name: every address outside the cluster as far as
    `cluster_networks` tells what is inside, for a policy knows no names; on the source's port, and on 443, where
    servers send downloads on to.

    Raises:
        Refused: the user named a number for an address that no download may reach.
    """
    inside = _inside(cluster_networks)
    if named := _number(urlsplit(source or uri).hostname or ""):
        _refuse(named, inside)
    parts = urlsplit(uri)
    host, port = parts.hostname or "", Port(parts.port or (80 if parts.scheme == "http" else HTTPS.number))
    if address := _number(host):
        return [{"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": ports([port])}]
    names: Rule = {"ports": ports(p for row in ROWS if (row.who, row.whom) == (DOWNLOADS, DNS) for p in row.ports)}
    if namespace := _namespace(host, cluster_domain):
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        return [names, {"to": [{"namespaceSelector": selector}], "ports": [{"protocol": "TCP"}]}]
    blocks = blocks_outside(cluster_networks)
    # A proxy goes where servers send downloads on to by itself.
    wanted = [port] if port == HTTPS or parts.scheme == "http" else [port, HTTPS]
    return [names, {"to": [{"ipBlock": block} for block in blocks], "ports": ports(wanted)}]


def _number(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host is, where it is no name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refuse(address: IPv4Address | IPv6Address, inside: Sequence[str]) -> None:
    network = next((n for n in inside if address in ip_network(n)), None)
    if network is None:
        return
    why = (
        "under which nodes and clouds hand out credentials"
        if network in NEVER
        else "which networkPolicy.clusterNetworks says is inside the cluster; the name of a Service "
        "(https://<name>.<namespace>.svc/...) may be a source"
    )
    message = f"`spec.source.uri` names {address}: no download may reach {network}, {why}."
    raise Refused(Reason.INVALID_SPEC, message, condition=Condition.WEIGHTS_READY)


def blocks_outside(cluster_networks: Sequence[str]) -> list[dict[str, Any]]:
    """Every address that something of ours may leave to, as ipBlocks."""
    return [_outside(cidr, _inside(cluster_networks)) for cidr in EVERYWHERE]


def _inside(cluster_networks: Sequence[str]) -> tuple[str, ...]:
    """What nothing of ours may leave to: nodes and clouds, and what is inside the cluster."""
    return (*NEVER, *cluster_networks)


def _outside(cidr: str, networks: Sequence[str]) -> dict[str, Any]:
    kind = ip_network(cidr).version
    inside = [str(n) for n in map(ip_network, networks) if n.version == kind]
    return {"cidr": cidr, "except": list(dict.fromkeys(inside))}


def _namespace(host: str, cluster_domain: str) -> str:
    """Of a Service's name; empty where it is none."""
    labels = host.removesuffix(".").removesuffix(f".{cluster_domain}").split(".")
    return labels[1] if len(labels) == 3 and labels[2] == "svc" else ""
