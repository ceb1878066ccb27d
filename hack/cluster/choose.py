"""CLUSTER=testbed | kind | current: the same four verbs on three kinds of cluster."""

import os
import shutil
import subprocess
import sys

from hack.cluster.__main__ import main as testbed

KIND = "slm"


def kind(verb: str) -> int:
    """A kind cluster. Thin on purpose: kind does the work and says what is wrong."""
    for tool in ("kind", "docker", "kubectl"):
        if shutil.which(tool) is None:
            print(f"CLUSTER=kind needs {tool} on the PATH", file=sys.stderr)
            return 2
    exists = KIND in subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True).stdout.split()
    if verb == "up":
        return 0 if exists else subprocess.call(["kind", "create", "cluster", "--name", KIND, "--wait", "120s"])
    if verb == "down":
        return subprocess.call(["kind", "delete", "cluster", "--name", KIND])
    if verb == "status":
        return subprocess.call(["kubectl", "--context", f"kind-{KIND}", "get", "nodes"])
    # The context in a file of its own: the user's current context stays what it is.
    print(
        f"export KUBECONFIG=/tmp/kind-{KIND}.kubeconfig; "
        f"kind get kubeconfig --name {KIND} > $KUBECONFIG; export SLM_ENTER="
    )
    return 0


def current(verb: str) -> int:
    """The cluster KUBECONFIG points to; it is never created or removed by us."""
    if shutil.which("kubectl") is None:
        print("CLUSTER=current needs kubectl on the PATH", file=sys.stderr)
        return 2
    if verb in ("up", "status"):
        return subprocess.call(["kubectl", "version"])
    if verb == "env":
        print(f"export KUBECONFIG={os.environ.get('KUBECONFIG', '$HOME/.kube/config')}; export SLM_ENTER=")
        return 0
    print("CLUSTER=current: a cluster that is not ours is not removed", file=sys.stderr)
    return 2


def main() -> int:
    cluster, verb = os.environ.get("CLUSTER", "testbed"), sys.argv[1]
    if cluster not in ("testbed", "kind", "current"):
        print(f"CLUSTER={cluster!r} is unknown: use testbed, kind or current", file=sys.stderr)
        return 2
    return {"kind": kind, "current": current}[cluster](verb) if cluster != "testbed" else testbed()


if __name__ == "__main__":
    sys.exit(main())
