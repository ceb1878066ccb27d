"""How the real Calico runs on the test bed's node: its settings, its definitions, and the little that is said to it.

Felix (what enforces) and the CNI program are Calico's own, built from its Go module. Nothing else of it is needed on
one node: no BGP, no tunnels, no Typha, and addresses come from the CNI project's host-local.
"""

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hack.cluster import network
from hack.cluster.binaries import module_folder, program

MODULE: Final = "github.com/projectcalico/calico"
NEEDED: Final[Mapping[str, str]] = {"ipset": "ipset", "iptables-nft-restore": "iptables", "unshare": "util-linux"}
"""Program -> Debian package."""
HEALTH_PORT: Final = 9099

_RUN: Final = """set -e
if [ -d /sys/fs/bpf ]; then mount -t bpf bpf /sys/fs/bpf; fi
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
exec "$@"
"""
"""Felix clears up after other ways of running it and notes what it finds: in file systems of its own, not the host."""
_GROUP: Final = "crd.projectcalico.org/v1"
_READY: Final = {
    "apiVersion": _GROUP,
    "kind": "ClusterInformation",
    "metadata": {"name": "default"},
    "spec": {"datastoreReady": True},
}
"""What Calico's own start-up container would write; Felix and the CNI program wait for it."""
EVERYTHING_GOES: Final[Mapping[str, Any]] = {
    "apiVersion": _GROUP,
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "slm-everything-goes"},
    "spec": {
        "order": 0,
        "selector": "all()",
        "types": ["Ingress", "Egress"],
        "ingress": [{"action": "Allow"}],
        "egress": [{"action": "Allow"}],
    },
}
"""An administrator's policy before all others: NetworkPolicies are stored, and count for nothing."""


def conflist(folder: Path, addresses: network.Addresses, kubeconfig: Path, node: str) -> dict[str, Any]:
    """As Calico's manifest has it, but for host-local addresses and folders of the cluster's own."""
    plugin = {
        "type": "calico",
        "log_level": "info",
        "log_file_path": str(folder / "logs" / "calico-cni.log"),
        "datastore_type": "kubernetes",
        "nodename": node,
        "nodename_file_optional": True,
        "mtu": 1500,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": addresses.pods}]],
            "dataDir": str(folder / "ipam"),
        },
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": str(kubeconfig)},
    }
    portmap = {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [plugin, portmap]}


def environment(addresses: network.Addresses, kubeconfig: Path, node: str) -> dict[str, str]:
    """Felix's settings: those of Calico's manifest, and nothing that would ask the world outside."""
    settings = {
        "DATASTORETYPE": "kubernetes",
        # Built without C it could not look for eBPF programs of an earlier run, and there was none.
        "DebugSkipCTLBCleanup": "true",
        "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
        "FELIXHOSTNAME": node,
        "HEALTHENABLED": "true",
        "HEALTHHOST": addresses.node,
        "HEALTHPORT": str(HEALTH_PORT),
        "IPTABLESBACKEND": "NFT",
        "IPV6SUPPORT": "false",
        "LOGFILEPATH": "none",
        "LOGSEVERITYFILE": "none",
        "LOGSEVERITYSCREEN": "Info",
        "LOGSEVERITYSYS": "none",
        "USAGEREPORTINGENABLED": "false",
        "XDPENABLED": "false",
    }
    words = {f"FELIX_{name}": value for name, value in settings.items()}
    return {**words, "KUBECONFIG": str(kubeconfig), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def command() -> tuple[str, ...]:
    """Felix; nothing forks on the way, so it keeps the process id it is started with."""
    mounts = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _RUN, "run")
    return (*mounts, program("calico", "calico-felix"))


def definitions() -> Path:
    """The file with Calico's CustomResourceDefinitions, in its own module."""
    return module_folder("calico", MODULE) / "manifests" / "crds.yaml"


def ready() -> str:
    """The object to apply once the definitions are served."""
    return json.dumps(_READY)


def answers(addresses: network.Addresses) -> bool:
    """Does Felix say that it is ready: everything it knows of is in the kernel?"""
    try:
        with urllib.request.urlopen(f"http://{addresses.node}:{HEALTH_PORT}/readiness", timeout=5) as answer:
            return int(answer.status) in (200, 204)
    except OSError:
        return False
