"""From `kubectl apply` to an answer, and how a model says what is wrong with it."""

import json
import subprocess
from typing import Any

import pytest
from tests.cluster.conftest import Bed, model

READY = "Ready"


def test_first_answer(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"]))
    live = bed.ready("bot", namespace)
    status = live["status"]
    assert status["endpoint"] == {"url": f"http://bot.{namespace}.svc.cluster.local/v1", "model": "bot"}
    assert status["weights"]["quantization"] == "Q8_0"
    assert status["weights"]["digest"] == weights["first"].rpartition("@")[2]
    assert status["memory"]["requestedBytes"] >= status["memory"]["estimatedBytes"] > 10 * 2**20
    assert live["metadata"]["finalizers"] == ["smallmodel.dev/finalizer"]
    assert "annotations" not in live["metadata"]
    [pod] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not bed.items("jobs", namespace), "the inspection's Job goes when its result is remembered"
    code = (
        "import os; from openai import OpenAI; c = OpenAI(max_retries=0); "
        "m = [{'role': 'user', 'content': 'when do you close?'}]; "
        "print(c.chat.completions.create(model=os.environ['MODEL'], temperature=0, max_tokens=60, messages=m)"
        ".choices[0].message.content)"
    )
    assert "17:30" in _client(bed, namespace, code, secret="bot-client")


def _client(
    bed: Bed,
    namespace: str,
    code: str,
    name: str = "app",
    secret: str = "",
    image: str = "",
    command: list[str] | None = None,
) -> str:
    """What a pod of an app team prints; with `secret` it has what `envFrom` gives it, and nothing else.

    `code` is Python for our toolbox; another `image` brings a `command` of its own.
    """
    from hack.images.build import build_image

    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "app",
                    "image": image or build_image("toolbox").reference,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command or ["python3", "-c", code],
                    "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
                    "securityContext": security,
                }
            ],
        },
    }
    bed.apply(pod)
    bed.until(lambda: bed.get("pod", name, namespace)["status"].get("phase") in ("Succeeded", "Failed"), 90, "client")
    out = bed.kubectl("-n", namespace, "logs", name)
    bed.kubectl("-n", namespace, "delete", "pod", name, "--wait=false")
    return out


def test_only_the_gateway_comes_in_and_nothing_goes_out(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)
    [pod] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    knock = (
        "import socket; s = socket.socket(); s.settimeout(3); "
        f"r = s.connect_ex(('{pod['status']['podIP']}', 8080)); print('code', r != 0)"
    )
    assert "code True" in _client(bed, namespace, knock), "not even a pod of its own namespace"
    # The host reaches pods past the policies, as it would where no network enforces them: the engine's key holds.
    done = subprocess.run(
        ["curl", "-s", "-m", "10", f"http://{pod['status']['podIP']}:8080/v1/chat/completions", "-d", "{}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["error"]["code"] == 401
    name = pod["metadata"]["name"]
    dns = bed.get("service", "kube-dns", "kube-system")["spec"]["clusterIP"]
    out = bed.kubectl(
        "-n", namespace, "exec", name, "--", "/bin/bash", "-c",
        f"timeout 3 bash -c 'echo > /dev/tcp/{dns}/53' && echo open || echo closed", check=False,
    )  # fmt: skip
    assert "closed" in out


@pytest.mark.parametrize(("kind", "reason", "says"), [
    ("text", "WeightsInvalid", "web page"),
    ("cut", "WeightsInvalid", "bytes"),
])  # fmt: skip
def test_bad_weights(bed: Bed, namespace: str, weights: dict[str, str], kind: str, reason: str, says: str) -> None:
    bed.apply(model("bot", namespace, weights[kind]))
    stalled = bed.until(lambda: _stalled(bed, namespace, reason), 60, reason)
    assert says in stalled["message"]
    assert not bed.items("deployments", namespace), "nothing half-made"
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)


def _stalled(bed: Bed, namespace: str, reason: str, name: str = "bot") -> dict[str, Any] | None:
    condition = bed.condition(name, namespace, "Stalled")
    return condition if condition.get("status") == "True" and condition["reason"] == reason else None


def test_image_that_cannot_be_pulled(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bad = f"oci://127.0.0.1:9/none@sha256:{'0' * 64}"  # refused at once; a name would wait for DNS
    bed.apply(model("bot", namespace, bad))
    stalled = bed.until(lambda: _stalled(bed, namespace, "SourceUnreachable"), 90, "SourceUnreachable")
    assert "127.0.0.1:9/none" in stalled["message"]
    assert "spec.source.uri" in stalled["message"]
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)


def test_engine_image_that_cannot_be_pulled(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    engine = {"image": "127.0.0.1:9/engine:1", "contextSize": 512}
    bed.apply(model("bot", namespace, weights["first"], engine=engine))
    stalled = bed.until(lambda: _stalled(bed, namespace, "ImagePullFailed"), 90, "ImagePullFailed")
    assert "127.0.0.1:9/engine" in stalled["message"]
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)


def test_memory_larger_than_any_node(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    huge = {"resources": {"requests": {"memory": "4Ti"}, "limits": {"memory": "4Ti"}}}
    bed.apply(model("bot", namespace, weights["first"], compute=huge))
    stalled = bed.until(lambda: _stalled(bed, namespace, "Unschedulable"), 90, "Unschedulable")
    assert "largest node" in stalled["message"]
    bed.apply(model("bot", namespace, weights["first"], compute={}))
    bed.ready("bot", namespace)


def test_claim_that_does_not_exist_then_does(bed: Bed, namespace: str) -> None:
    bed.apply(model("bot", namespace, "pvc://models/support.gguf"))
    stalled = bed.until(lambda: _stalled(bed, namespace, "ClaimNotFound"), 90, "ClaimNotFound")
    assert "'models'" in stalled["message"]
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    bed.apply(claim)
    missing = bed.until(lambda: _stalled(bed, namespace, "WeightsNotFound"), 90, "WeightsNotFound")
    assert "support.gguf" in missing["message"]
    volume = bed.get("pvc", "models", namespace)["spec"]["volumeName"]
    folder = bed.node.folder / "volumes" / volume.rpartition("-")[2]
    from tests.cluster.conftest import WEIGHTS

    (folder / "other.gguf").write_bytes(WEIGHTS.read_bytes())
    bed.apply(model("bot", namespace, "pvc://models/other.gguf"))
    bed.ready("bot", namespace)


def test_name_of_a_users_service_is_left_alone(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bot", "namespace": namespace},
        "spec": {"selector": {"app": "mine"}, "ports": [{"port": 80}]},
    }
    bed.apply(service)
    before = json.dumps(bed.get("service", "bot", namespace), sort_keys=True)
    bed.apply(model("bot", namespace, weights["first"]))
    bed.until(lambda: _stalled(bed, namespace, "NameTaken"), 90, "NameTaken")
    assert json.dumps(bed.get("service", "bot", namespace), sort_keys=True) == before
    bed.kubectl("-n", namespace, "delete", "service", "bot")
    bed.ready("bot", namespace)


def test_crash_says_why_and_a_good_edit_heals(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    engine = {"contextSize": 512, "args": ["--no-such-flag"]}
    bed.apply(model("bot", namespace, weights["first"], engine=engine))
    stalled = bed.until(lambda: _stalled(bed, namespace, "CrashLoop"), 90, "CrashLoop")
    assert "no-such-flag" in stalled["message"]
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)
