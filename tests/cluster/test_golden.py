"""On the real node: nothing new serves that answers worse, what serves is asked again, and its speed is measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from hack.images.build import pack_weights
from tests.cluster.conftest import WEIGHTS, Bed, model
from tests.larkfield import ASKED

pytestmark = pytest.mark.long


def prompts(namespace: str, **changed: str) -> dict[str, Any]:
    """The ConfigMap; `changed` are other expectations."""
    lines = [
        {"id": name, "prompt": prompt, "expect": {"regex": changed.get(name, wanted)}, "maxTokens": 80}
        for name, (prompt, wanted) in ASKED.items()
    ]
    meta = {"name": "golden", "namespace": namespace}
    data = {"golden.jsonl": "\n".join(map(json.dumps, lines))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def asked(namespace: str, uri: str, **spec: Any) -> dict[str, Any]:
    checks = {"golden": {"configMapRef": {"name": "golden"}, "probeMinutes": 1}}
    return model("bot", namespace, uri, checks=checks, engine={"contextSize": 512, "parallelSlots": 2}, **spec)


@pytest.fixture
def damaged(bed: Bed, tmp_path: Path) -> str:
    """The same weights with every other part of their last half turned over: they load and answer nonsense."""
    data = bytearray(WEIGHTS.read_bytes())
    for at in range(len(data) // 2, len(data) - 64, 128):
        data[at : at + 64] = data[at : at + 64][::-1]
    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    image = pack_weights("damaged", {"model.gguf": file})
    bed.node.load_image(image.archive)
    return f"oci://{image.reference}"


def test_good_serves_bad_does_not_and_a_probe_tells(
    bed: Bed, namespace: str, weights: dict[str, str], damaged: str
) -> None:
    bed.apply(prompts(namespace))
    bed.apply(asked(namespace, weights["first"]))
    status = bed.ready("bot", namespace)["status"]
    running = status["quality"]["running"]
    assert (running["items"], running.get("failed", []), running["strictPercent"]) == (len(ASKED), [], 100)
    assert bed.condition("bot", namespace, "QualityMet")["status"] == "True"
    bed.until(lambda: not bed.items("jobs", namespace), what="the pod that was tried goes")

    bed.until(lambda: bed.condition("bot", namespace, "Calibrated").get("status") == "True", what="Calibrated")
    capacity = bed.get("smallmodel", "bot", namespace)["status"]["capacity"]
    assert [point["concurrency"] for point in capacity["decodeTokensPerSecond"]] == [1, 2]
    assert float(capacity["prefillTokensPerSecond"]) > 0
    assert capacity["usefulConcurrency"] in (1, 2)

    [before] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    with bed.load("bot", namespace) as load:
        bed.apply(asked(namespace, damaged))
        bed.until(
            lambda: bed.condition("bot", namespace, "Stalled").get("reason") == "GoldenFailed", 180, "GoldenFailed"
        )
    load.check()
    stalled = bed.condition("bot", namespace, "Stalled")["message"]
    assert "`closing`" in stalled
    assert "The new version (`model.gguf`) takes no traffic; the one before serves on" in stalled
    assert not any(prompt in stalled for prompt, _ in ASKED.values())
    [after] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "the version before serves on"
    assert bed.condition("bot", namespace, "Ready")["status"] == "True"

    bed.apply(asked(namespace, weights["first"]))
    bed.ready("bot", namespace)
    bed.apply(prompts(namespace, closing="23:59"))
    bed.until(
        lambda: bed.condition("bot", namespace, "QualityMet").get("reason") == "QualityDegraded", 240, "QualityDegraded"
    )
    assert "`closing`" in bed.condition("bot", namespace, "QualityMet")["message"]
    told = bed.operator_log() + json.dumps(bed.get("smallmodel", "bot", namespace)["status"])
    assert not any(prompt in told for prompt, _ in ASKED.values())
