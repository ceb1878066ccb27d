"""A route over two models on the real node: the split, who may, what is not there, and rules."""

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.conftest import Bed, model
from tests.unit.routing import departments
from tests.unit.routing.test_given import text

pytestmark = pytest.mark.long
"""Two models are started."""

ROUNDS = 120


LEGAL = "Is the liability cap of this contract clause usual under governing law?"


def route(namespace: str) -> dict[str, Any]:
    targets = [
        {"name": name, "weight": weight, "smallModelRef": {"name": name}} for name, weight in (("one", 3), ("two", 1))
    ]
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": "desk", "namespace": namespace},
        "spec": {"targets": targets},
    }


def asked(
    bed: Bed, namespace: str, name: str, key: str, prompt: str = "Hello", **more: Any
) -> tuple[int, str, dict[str, Any]]:
    """Status, digest of who answered, and the answer."""
    body = {"model": name, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 4, **more}
    request = urllib.request.Request(
        f"http://{bed.gateway()}/{namespace}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, str(answer.headers["x-slm-model-digest"]), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, "", json.load(error)


@pytest.fixture
def other(bed: Bed, namespace: str) -> Iterator[str]:
    """A namespace whose callers the route does not name."""
    name = f"{namespace[:30]}-other"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    bed.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    bed.kubectl("delete", "namespace", name, "--wait=false", check=False)


def ready(bed: Bed, namespace: str) -> bool:
    found = bed.get("modelroute", "desk", namespace).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found)


def classes(bed: Bed, namespace: str) -> int:
    """How many the classifier in the status knows: gateways read it by themselves, and may be sooner."""
    return int(bed.get("modelroute", "desk", namespace)["status"].get("classifier", {}).get("classes", 0))


def test_two_models_behind_one_name(bed: Bed, namespace: str, other: str, weights: dict[str, str]) -> None:
    for name, uri in (("one", weights["first"]), ("two", weights["second"])):
        bed.apply(model(name, namespace, uri))
    bed.apply(model("stranger", other, weights["first"], suspend=True))  # for its key only
    bed.apply(route(namespace))
    for name in ("one", "two"):
        bed.ready(name, namespace)
    bed.until(lambda: ready(bed, namespace), what="the route is Ready")
    key = bed.key("desk", namespace)
    bed.until(lambda: asked(bed, namespace, "desk", key)[0] == 200, what="the route answers")
    digests = {name: asked(bed, namespace, f"desk/{name}", key)[1] for name in ("one", "two")}
    assert digests["one"] != digests["two"]
    seen = Counter(asked(bed, namespace, "desk", key)[1] for _ in range(ROUNDS))
    # Three quarters of 120 are 90 with a standard deviation of 4.7: five of them to each side.
    assert set(seen) == set(digests.values())
    assert 66 <= seen[digests["one"]] <= 114

    bed.until(lambda: bed.get("secret", "stranger-client", other), what="the stranger's key")
    status, _, refused = asked(bed, namespace, "desk", bed.key("stranger", other))
    assert (status, refused["error"]["code"]) == (403, "model_access_denied")
    status, _, unknown = asked(bed, namespace, "desk/three", key)
    assert (status, unknown["error"]["code"]) == (404, "model_not_found")

    rules = [
        {"name": "legal", "match": {"taskClass": "legal"}, "target": "two"},
        {"name": "schema", "match": {"requires": ["JsonSchema"]}, "target": "two"},
    ]
    plain = [{"name": name, "smallModelRef": {"name": name}} for name in ("one", "two")]
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tasks", "namespace": namespace}}
    bed.apply({**config_map, "data": {"tasks.json": text(20)}})
    classifier = {"configMapRef": {"name": "tasks"}}
    spec = {"targets": plain, "default": "one", "rules": rules, "classifier": classifier}
    bed.apply({**route(namespace), "spec": spec})
    bed.until(
        lambda: asked(bed, namespace, "desk", key, LEGAL)[1] == digests["two"], what="a gateway goes by the rules"
    )
    bed.until(lambda: classes(bed, namespace) == 20, what="the classifier is in the status")
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    expected = [(LEGAL, {}, "two"), ("Hello", {"response_format": schema}, "two"), ("Hello", {}, "one")]
    expected += [(prompt, {}, "one") for prompt in departments.ELSEWHERE]
    for prompt, more, target in expected:
        # Asked again: one gateway may know of the rules before another, and a late decision is `default`.
        answers = (asked(bed, namespace, "desk", key, prompt, **more)[:2] for _ in range(5))
        assert (200, digests[target]) in answers, prompt
