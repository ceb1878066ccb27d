"""The test bed by hand: up, down, status, env, load, tools."""

import argparse
import json
import os
import sys
from pathlib import Path

from hack.cluster import packages, process
from hack.cluster.binaries import RECIPES, BuildFailed, ensure, program
from hack.cluster.controlplane import NotReady
from hack.cluster.node import Node
from hack.cluster.paths import REPOSITORY
from hack.cluster.plugins import PLUGINS

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet",
              "kube-proxy", "coredns")  # fmt: skip


def components(node: Node) -> tuple[str, ...]:
    """Names of what runs on it, its network plugin last."""
    return (*COMPONENTS, node.plugin.component)


def _up(node: Node) -> int:
    packages.ensure()
    node.up()
    print(f"cluster {node.name!r} is up; `eval $(make -s cluster-env)` and then `kubectl get nodes`", file=sys.stderr)
    return 0


def _down(node: Node) -> int:
    node.down()
    print(f"cluster {node.name!r} is gone", file=sys.stderr)
    return 0


def status(node: Node) -> dict[str, object]:
    """What runs, what is ready, how many pods."""
    found: dict[str, object] = {
        "name": node.name,
        "components": {c: process.pid_of(c, node.folder) is not None for c in components(node)},
        "ready": node.running() and node.kubectl("get", "--raw=/readyz", check=False) == "ok",
    }
    if found["ready"]:
        found["version"] = json.loads(node.kubectl("version", "-o=json"))["serverVersion"]["gitVersion"]
        found["pods"] = len(node.kubectl("get", "pods", "-A", "-o=name").split())
    return found


def dead(node: Node) -> list[str]:
    """Components that ended although nobody stopped them."""
    return [c for c in components(node) if process.ended(c, node.folder)]


def _status(node: Node, output: str) -> int:
    found = status(node)
    if output == "json":
        print(json.dumps(found))
    else:
        print(f"cluster {found['name']}: {'ready' if found['ready'] else 'not ready'} {found.get('version', '')}")
        for name, runs in dict(found["components"]).items():  # type: ignore[call-overload]
            print(f"  {name:<26}{'running' if runs else 'stopped'}")
        if "pods" in found:
            print(f"  pods: {found['pods']}")
    for name in dead(node):
        print(f"{name} ended by itself; {process.last_words(name, node.folder)}", file=sys.stderr)
    return 0 if found["ready"] else 1


def _env(node: Node) -> int:
    tools = [str(Path(program("kube", "kubectl")).parent), str(Path(program("containerd", "ctr")).parent)]
    if any(Path(program("kube")).parent.parent.glob("helm-*")):
        tools.append(str(Path(program("helm")).parent))
    print(f"export KUBECONFIG={node.kubeconfig}")
    # Last, for it has a Python of its own too: slm, and kubectl's plugin of that name.
    print(f"export PATH={':'.join(tools)}:$PATH:{REPOSITORY / '.venv' / 'bin'}")
    # For `ctr`, which otherwise speaks to the host's containerd, and of a namespace without Kubernetes' images.
    print(f"export CONTAINERD_ADDRESS={node.socket}")
    print("export CONTAINERD_NAMESPACE=k8s.io")
    print(f"export SLM_ENTER='{' '.join(node.prefix)}'")
    return 0


def main() -> int:
    """Run one command; errors are one message and exit code 2."""
    parser = argparse.ArgumentParser(prog="hack.cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "env", "load", "tools"])
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--name", default=os.environ.get("CLUSTER_NAME", "slm"))
    parser.add_argument("--no-netpol", action="store_true", help="without the policy enforcer")
    parser.add_argument(
        "--network",
        default=os.environ.get("CLUSTER_NETWORK") or "bridge",
        choices=list(PLUGINS),
        help="a bridge with the test bed's own policy enforcer, or the real Calico (first use: builds it)",
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    node = Node(args.name, netpol=not args.no_netpol, cni=args.network)
    try:
        if args.command == "load":
            for archive in args.arguments:
                node.load_image(Path(archive))
            return 0
        if args.command == "tools":
            for tool in args.arguments or RECIPES:
                print(f"{tool}: {ensure(tool)}")
            return 0
        if args.command == "status":
            return _status(node, args.output)
        return {"up": _up, "down": _down, "env": _env}[args.command](node)
    except (packages.Missing, BuildFailed, NotReady, RuntimeError) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
