"""The kill switch drilled on the real node: `slm boundary seal --all --stop`, what callers see, a restart, the undo."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.cluster.conftest import Bed, model

SYSTEM = "smallmodel-system"
GATEWAYS = ("smallmodel-gateway-0", "smallmodel-gateway-1")


def slm(bed: Bed, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody on call runs it."""
    return subprocess.run(
        [sys.executable, "-m", "smallmodel_operator.cli.app", "boundary", *words],
        env={**os.environ, "KUBECONFIG": str(bed.node.kubeconfig), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ask(bed: Bed, address: str, namespace: str) -> str:
    """What one gateway answers: `200`, or status and code."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    headers = {"Authorization": f"Bearer {bed.key('bot', namespace)}", "Content-Type": "application/json"}
    body = {"model": "bot", "messages": [{"role": "user", "content": "When do you open?"}], "max_tokens": 4}
    try:
        connection.request("POST", f"/{namespace}/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return "200" if answer.status == 200 else f"{answer.status} {json.loads(text)['error']['code']}"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


@pytest.fixture
def allowed(bed: Bed) -> Iterator[None]:
    """Whatever happens, the next test can ask its models."""
    yield
    assert slm(bed, "unseal", "--all", "--timeout", "60").returncode == 0


@pytest.mark.usefixtures("allowed")
def test_the_kill_switch_drill(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)
    bed.until(lambda: [ask(bed, a, namespace) for a in bed.gateway_pods()] == ["200"] * 2, what="both gateways answer")
    with bed.load("bot", namespace) as load:
        bed.until(lambda: load.answered > 5, what="callers are answered")
        stopped = slm(bed, "seal", "--all", "--stop", "--reason", "drill")
        answered = load.answered
        bed.until(lambda: any("has stopped inference" in said for said in load.failures), what="callers are told")
    print(stopped.stdout)
    assert stopped.returncode == 0, (stopped.stdout, stopped.stderr)
    assert all(f"{name}: in force" in stopped.stdout for name in GATEWAYS)
    assert load.answered == answered, "an answer after every gateway had said that there is none"
    assert [ask(bed, a, namespace) for a in bed.gateway_pods()] == ["503 inference_stopped"] * 2

    bed.kubectl("-n", SYSTEM, "delete", "pod", GATEWAYS[0], "--timeout=120s")
    bed.kubectl("-n", SYSTEM, "rollout", "status", "statefulset/smallmodel-gateway", "--timeout=180s")
    bed.until(
        lambda: [ask(bed, a, namespace) for a in bed.gateway_pods()] == ["503 inference_stopped"] * 2,
        what="the new pod refuses too",
    )
    status = slm(bed, "status")
    assert status.returncode == 0, status.stdout
    assert "inference is stopped in the whole cluster (drill)" in status.stdout

    undone = slm(bed, "unseal", "--all", "--reason", "drill over")
    assert undone.returncode == 0, (undone.stdout, undone.stderr)
    bed.until(lambda: [ask(bed, a, namespace) for a in bed.gateway_pods()] == ["200"] * 2, what="answers again")
    for name in GATEWAYS:
        words = ("-n", SYSTEM, "exec", name, "-c", "agent", "--", "slm", "audit", "verify", "/var/lib/smallmodel/audit")
        bed.until(lambda words=words: "inference allowed" in bed.kubectl(*words))  # type: ignore[misc]
        said = bed.kubectl(*words)
        assert said.count("inference stopped in the whole cluster (drill)") == 1, said
