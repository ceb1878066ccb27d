"""The canary on the real node, under an enforcer that can be taken away: what it says, and what that closes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster.conftest import Bed, model, run
from tests.cluster.test_faults import OPERATOR

pytestmark = pytest.mark.long
"""Minutes long."""

SYSTEM = "smallmodel-system"
RUN_SECONDS = 240
"""For a run after the one that is under way, with a minute's pause before it, on a slow machine."""


@pytest.fixture
def boundary(bed: Bed) -> Iterator[None]:
    declare(bed)
    yield
    bed.kubectl("delete", "clusterboundary", "cluster", check=False)


def declare(bed: Bed, **spec: Any) -> None:
    body = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}}
    bed.apply({**body, "spec": spec})


def enforced(bed: Bed) -> dict[str, Any]:
    text = bed.kubectl("get", "clusterboundary", "cluster", "-o=json", check=False)
    found = json.loads(text).get("status", {}).get("conditions", []) if text.startswith("{") else []
    return next((c for c in found if c["type"] == "BoundaryEnforced"), {})


def until(bed: Bed, status: str) -> dict[str, Any]:
    def stands() -> dict[str, Any] | None:
        found = enforced(bed)
        return found if found.get("status") == status else None

    try:
        return dict(bed.until(stands, RUN_SECONDS, f"BoundaryEnforced {status}"))
    except pytest.fail.Exception:
        pytest.fail(f"BoundaryEnforced is not {status}: {enforced(bed)}\n{bed.operator_log()}")


def probe_now(bed: Bed) -> None:
    """A new leader's first run comes at once."""
    bed.kubectl("-n", SYSTEM, "delete", "pods", "-l", OPERATOR, "--wait=false")


@contextmanager
def no_enforcer(bed: Bed) -> Iterator[None]:
    """The network plugin keeps no policy: policies are stored and ignored."""
    bed.node.plugin.enforce(False)
    try:
        yield
    finally:
        bed.node.plugin.enforce(True)


def test_where_policies_are_enforced_it_says_so_and_leaves_nothing(bed: Bed, boundary: None) -> None:
    found = until(bed, "True")
    print(found["message"])
    for what in ("another pod on TCP 8080", "DNS", "the API server", "its node"):
        assert f"a model's pod did not reach {what}" in found["message"]
    assert "a stranger did not reach a model's pod on TCP 8080" in found["message"]
    assert "Last probe: " in found["message"]
    bed.until(lambda: not bed.items("jobs", SYSTEM, "smallmodel.dev/canary"), 60, "no Job of the canary")
    bed.until(lambda: not bed.items("pods", SYSTEM, "smallmodel.dev/canary"), 60, "no pod of the canary")
    told = bed.kubectl("-n", SYSTEM, "get", "events", "--field-selector=reason=PoliciesEnforced", "-o=json")
    assert json.loads(told)["items"][0]["involvedObject"]["kind"] == "Deployment"


ASK = """
import json, sys, urllib.error, urllib.request
url, headers, body = json.loads(sys.argv[1])
try:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def ask(bed: Bed, namespace: str) -> int:
    """HTTP status of a request through the gateway, from its node: what comes from further away plugins may refuse."""
    headers = {
        "Host": f"bot.{namespace}.svc.cluster.local",
        "Authorization": f"Bearer {bed.key('bot', namespace)}",
        "Content-Type": "application/json",
    }
    body = {"model": "bot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    said = json.dumps([f"http://{bed.gateway()}/v1/chat/completions", headers, body])
    return int(run(*bed.node.prefix, "python3", "-c", ASK, said))


def test_without_an_enforcer_it_names_what_got_through_and_what_requires_it_is_closed(
    bed: Bed, boundary: None, namespace: str, weights: dict[str, str]
) -> None:
    until(bed, "True")
    declare(bed, namespaces=[{"name": namespace, "enforcement": "Required"}])
    bed.apply(model("bot", namespace, weights["first"]))
    bed.ready("bot", namespace)
    assert ask(bed, namespace) == 200
    with no_enforcer(bed):
        probe_now(bed)
        found = until(bed, "False")
        print(found["message"])
        for what in (
            "a model's pod reached another pod on TCP 8080",
            "a model's pod reached DNS",
            "a model's pod reached the API server",
            "a stranger reached a model's pod on TCP 8080",
        ):
            assert what in found["message"]
        bed.until(lambda: not bed.get("deployment", "bot", namespace), 60, "no enforcement, no serving")
        bed.until(
            lambda: bed.condition("bot", namespace, "Ready").get("reason") == "BoundaryNotEnforced", 60, "it says why"
        )
        bed.until(lambda: not bed.items("pods", namespace, "smallmodel.dev/role=server"), 120, "no pod of the model")
        assert ask(bed, namespace) == 503
        bed.apply(model("second", namespace, weights["first"]))
        bed.until(
            lambda: bed.condition("second", namespace, "Ready").get("reason") == "BoundaryNotEnforced", 60, "refused"
        )
        assert bed.items("pods", namespace) == [], "no pod for a new one either"
    until(bed, "True")
    bed.ready("bot", namespace)
    bed.until(lambda: ask(bed, namespace) == 200, 60, "served again")
