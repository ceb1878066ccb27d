"""A route on the real node that keeps requests: shown, checked and erased where the gateway wrote them."""

import json
import os
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from tests.cluster.conftest import Bed, model
from tests.cluster.test_routes import ready
from tests.cluster.test_stop import GATEWAYS, SYSTEM

pytestmark = pytest.mark.long
"""A model is started."""

AUDIT = "/var/lib/smallmodel/audit"
IBAN = "DE75512108001245126199"


def route(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": "desk", "namespace": namespace},
        "spec": {"targets": [{"name": "one", "smallModelRef": {"name": "one"}}], "audit": {"content": "Redacted"}},
    }


def asked(bed: Bed, namespace: str, key: str, text: str, user: str) -> str:
    """The request's id."""
    body = {"model": "desk", "messages": [{"role": "user", "content": text}], "max_tokens": 2, "user": user}
    request = urllib.request.Request(
        f"http://{bed.gateway()}/{namespace}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.headers["x-request-id"])


def inside(bed: Bed, *words: str) -> dict[str, str]:
    """What `slm content` prints in each gateway's pod, by its own ServiceAccount."""
    return {
        pod: bed.kubectl("-n", SYSTEM, "exec", pod, "-c", "agent", "--", "slm", "content", *words, check=False)
        for pod in GATEWAYS
    }


def test_kept_shown_and_erased(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("one", namespace, weights["first"]))
    bed.apply(route(namespace))
    bed.ready("one", namespace)
    bed.until(lambda: ready(bed, namespace), what="the route is Ready")
    key = bed.key("desk", namespace)
    bed.until(lambda: asked(bed, namespace, key, "Hello", "nobody"), what="the route answers")

    def kept() -> str:
        """Until the gateways know of the route's content; that is the same moment as of the route."""
        request = asked(bed, namespace, key, f"Pay {IBAN}, today", "ada-lovelace")
        shown = "".join(inside(bed, "show", request, "--store", AUDIT).values())
        assert IBAN not in shown
        return request if "Pay [Iban]" in shown else ""

    request = bed.until(kept, what="a request is kept")
    for pod, said in inside(bed, "verify", "--store", AUDIT, "-o", "json").items():
        assert json.loads(said)["faults"] == [], pod

    words = ["content", "erase", "--subject", "ada-lovelace", "-n", namespace, "--yes", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "smallmodel_operator.cli.app", *words],
        env={**os.environ, "KUBECONFIG": str(bed.node.kubeconfig)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)["erased"] is True, done.stderr

    def erased() -> bool:
        states = [
            one["state"]
            for said in inside(bed, "verify", "--store", AUDIT, "-o", "json").values()
            for one in json.JSONDecoder().raw_decode(said)[0]["requests"]  # what ends with 1 has more behind it
            if one["request"] == request
        ]
        return states == ["Erased"]

    bed.until(erased, what="the gateway has said in its chain that the key was destroyed")
