"""Things that go wrong on purpose: under load, nothing is lost."""

import json
import time

import pytest
from tests.cluster.conftest import Bed, install_operator, model
from tests.cluster.test_serving import _stalled

OPERATOR = "app.kubernetes.io/name=smallmodel-operator,app.kubernetes.io/component=operator"


def _serving(bed: Bed, namespace: str, uri: str, replicas: int = 2) -> None:
    bed.apply(model("bot", namespace, uri, replicas=replicas))
    bed.ready("bot", namespace)


def _pods(bed: Bed, namespace: str) -> list[str]:
    return sorted(p["metadata"]["name"] for p in bed.items("pods", namespace, "smallmodel.dev/role=server"))


def _fresh(bed: Bed, namespace: str, before: list[str], count: int) -> bool:
    found = bed.items("pods", namespace, "smallmodel.dev/role=server")
    ready = [
        p["metadata"]["name"]
        for p in found
        if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
        and not p["metadata"].get("deletionTimestamp")
    ]
    return len(ready) == count and not set(ready) & set(before)


@pytest.mark.parametrize("keep", [False, True], ids=["new-connections", "kept-connections"])
def test_all_pods_deleted_at_once(bed: Bed, namespace: str, weights: dict[str, str], keep: bool) -> None:
    _serving(bed, namespace, weights["first"])
    before = _pods(bed, namespace)
    with bed.load("bot", namespace, keep=keep) as load:
        time.sleep(2)
        bed.kubectl("-n", namespace, "delete", "pods", "-l", "smallmodel.dev/role=server", "--wait=false")
        bed.until(lambda: _fresh(bed, namespace, before, 2), 90, "two new pods")
        bed.until(lambda: not set(before) & set(_pods(bed, namespace)), 150, "old pods gone")
        time.sleep(1)
    load.check()


def test_pods_evicted_one_by_one(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"])
    with bed.load("bot", namespace) as load:
        for name in _pods(bed, namespace):
            meta = {"name": name, "namespace": namespace}
            body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
            bed.until(lambda p=path, b=body: "Success" in _raw(bed, p, b), 60, f"eviction of {name}")
            bed.until(lambda n=name: n not in _pods(bed, namespace), 150, f"{name} gone")
            bed.until(lambda: _fresh(bed, namespace, [name], 2), 90, "two pods")  # noqa: B023 - called at once
    load.check()


def _raw(bed: Bed, path: str, body: str) -> str:
    return bed.kubectl("create", "--raw", path, "-f", "-", stdin=body, check=False)


def test_changed_weights_roll_out_and_broken_ones_do_not(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"])
    before = _pods(bed, namespace)
    with bed.load("bot", namespace) as load:
        bed.apply(model("bot", namespace, weights["second"], replicas=2))
        bed.until(lambda: _fresh(bed, namespace, before, 2), 120, "the second edition")
        live = bed.ready("bot", namespace)
        assert live["status"]["weights"]["digest"] == weights["second"].rpartition("@")[2]
        running = _pods(bed, namespace)
        bed.apply(model("bot", namespace, weights["cut"], replicas=2))
        stalled = bed.until(lambda: _stalled(bed, namespace, "WeightsInvalid"), 90, "WeightsInvalid")
        assert bed.condition("bot", namespace, "Ready")["status"] == "True"
        assert "bytes" in stalled["message"]
        assert set(running) & set(_pods(bed, namespace))
    load.check()


def test_child_edited_and_deleted_by_hand(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"], replicas=1)
    bed.kubectl("-n", namespace, "patch", "service", "bot", "--type=merge", "-p", '{"spec":{"externalName":"x.y"}}')
    bed.until(lambda: bed.get("service", "bot", namespace)["spec"]["externalName"] != "x.y", 90, "address repaired")
    bed.kubectl("-n", namespace, "delete", "networkpolicy", "bot")
    bed.until(lambda: bed.get("networkpolicy", "bot", namespace), 90, "policy back")
    bed.kubectl("-n", namespace, "delete", "deployment", "bot", "--wait=false")
    bed.until(lambda: bed.get("deployment", "bot", namespace).get("status", {}).get("readyReplicas") == 1, 150, "back")


def test_operator_killed_restarts_no_model(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"], replicas=1)
    before = _pods(bed, namespace)
    with bed.load("bot", namespace) as load:
        _kill_operator(bed)
        for number in range(3):
            bed.apply(model(f"later-{number}", namespace, weights["first"]))
        for number in range(3):
            bed.ready(f"later-{number}", namespace)
    load.check()
    mine = [p for p in _pods(bed, namespace) if p.startswith("bot-")]
    assert mine == before


def _kill_operator(bed: Bed) -> None:
    """SIGKILL to the operator's process, from the node."""
    [pod] = bed.items("pods", "smallmodel-system", OPERATOR)
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    bed.node.ctr("tasks", "kill", "-s", "SIGKILL", container)


def test_helm_uninstall_and_reinstall(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"], replicas=1)
    before = _pods(bed, namespace)
    with bed.load("bot", namespace) as load:
        started = time.monotonic()
        from hack.install import release, testbed

        release.uninstall(testbed.access())
        assert time.monotonic() - started < 120
        assert "finalizers" not in bed.get("smallmodel", "bot", namespace)["metadata"]
        time.sleep(3)
        install_operator()
        bed.until(lambda: bed.get("smallmodel", "bot", namespace)["metadata"].get("finalizers"), 90, "adopted")
        bed.ready("bot", namespace)
        time.sleep(2)
    load.check()
    assert _pods(bed, namespace) == before


@pytest.mark.long
def test_api_server_away_for_a_minute(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"], replicas=1)
    before = _pods(bed, namespace)
    plane = bed.node.plane
    # Straight to a gateway: after such a minute Kubernetes believes for a moment that the node is gone, and takes
    # every pod out of every Service. A gateway that is reached has to answer all the while.
    with bed.load("bot", namespace, address=bed.gateway_pods()[0]) as load:
        plane.kill("kube-apiserver")
        time.sleep(60)
        plane.start()
        bed.until(lambda: "ok" in bed.kubectl("get", "--raw=/readyz", check=False), 90, "API server")
        # Where the node itself goes on and off is Kubernetes' affair; from then on it is ours.
        bed.until(lambda: _gateway_ready(bed), 180, "a gateway that Kubernetes finds ready")
        bed.apply(model("after", namespace, weights["first"]))
        bed.ready("after", namespace, 120)
    load.check()
    # A node that is back and too busy to say so in time loses its pods by Kubernetes' own hand.
    events = bed.items("events", namespace)
    evicted = {e["involvedObject"]["name"] for e in events if e["reason"] == "TaintManagerEviction"}
    now = [p for p in _pods(bed, namespace) if p.startswith("bot-")]
    assert set(before) - evicted <= set(now)
    assert evicted or now == before


def _gateway_ready(bed: Bed) -> bool:
    slices = bed.items("endpointslices", "smallmodel-system", "kubernetes.io/service-name=smallmodel-gateway-pods")
    return any(e.get("conditions", {}).get("ready") for s in slices for e in s.get("endpoints") or ())


def test_namespace_is_left_clean(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    _serving(bed, namespace, weights["first"], replicas=1)
    bed.kubectl("-n", namespace, "delete", "smallmodel", "bot", "--timeout=60s")
    kinds = "deployments,services,networkpolicies,poddisruptionbudgets,jobs"
    bed.until(lambda: not bed.items(kinds, namespace), 90, "children gone")


def test_token_of_the_operator_is_short_lived(bed: Bed) -> None:
    [pod] = bed.items("pods", "smallmodel-system", OPERATOR)
    tokens = [
        s["serviceAccountToken"]["expirationSeconds"]
        for v in pod["spec"]["volumes"]
        for s in v.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in s
    ]
    assert tokens == [600]
