"""`slm boundary networks`: the networks of a cluster's pods, as the options `slm boundary report` wants.

There is no API for them. Nodes say which network their pods are in (`spec.podCIDRs`) where Kubernetes hands it out; a
network plugin that hands out addresses by itself may leave that empty, or not keep to it. So the models' pods that run
now are compared with it before anything is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_ROLE, ROLE_SERVER
from smallmodel_operator.audit.summary import Network, is_inside
from smallmodel_operator.cli.boundary import with_client
from smallmodel_operator.cli.boundary_confirm import failed
from smallmodel_operator.cluster.client import ApiError, Client

Object = Mapping[str, Any]
ELSEWHERE: Final = (
    "Who runs the network knows it: for Calico `kubectl get ippools.crd.projectcalico.org -o "
    "jsonpath='{.items[*].spec.cidr}'`, for Cilium `kubectl -n kube-system get configmap cilium-config -o yaml`."
)


async def show() -> int:
    """Print them in one line; 1: the cluster does not say them."""

    async def work(client: Client) -> int:
        try:
            nodes = await client.list("Node")
            pods = await client.list("Pod", labelSelector=f"{LABEL_ROLE}={ROLE_SERVER}")
        except ApiError as error:
            return failed(f"{error.message}: this takes the right to list Nodes, and Pods of all namespaces.")
        found = networks(nodes)
        if problem := wrong(found, pods):
            return failed(problem)
        print(" ".join(f"--inside {network}" for network in found))
        return 0

    return await with_client(work)


def networks(nodes: Iterable[Object]) -> list[Network]:
    """Of the pods of all nodes, as few as say the same."""
    found: list[Network] = []
    for node in nodes:
        spec = node.get("spec") or {}
        texts = spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")])
        found += [ip_network(str(text), strict=False) for text in texts]
    four = [network for network in found if isinstance(network, IPv4Network)]
    six = [network for network in found if isinstance(network, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


def wrong(found: Sequence[Network], pods: Iterable[Object]) -> str:
    """Why these are not the networks of the models' pods; empty: nothing speaks against it."""
    if not found:
        return f"No Node says which network its pods are in (spec.podCIDRs). {ELSEWHERE}"
    for pod in pods:
        for entry in (pod.get("status") or {}).get("podIPs") or ():
            address = str(entry["ip"])
            if not is_inside(f"[{address}]:0", found):
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                return (
                    f"Pod {name} has address {address}, which is in none of the networks that Nodes say "
                    f"({', '.join(map(str, found))}): the network plugin hands out addresses by itself. {ELSEWHERE}"
                )
    return ""
