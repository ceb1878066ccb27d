"""A model of true size on the real node: 8 billion parameters at Q4_K_M, random weights, nonsense answers."""

import json
import os
import urllib.request

import pytest
from hack.true_size.write import ensure
from tests.cluster.conftest import Bed, model

pytestmark = pytest.mark.long


def test_8b_is_ready_and_answers(bed: Bed, namespace: str) -> None:
    file = ensure("8b", "Q4_K_M")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    bed.apply(claim)
    engine = {"contextSize": 512, "parallelSlots": 1}
    compute = {"resources": {"requests": {"cpu": "1"}}}
    bed.apply(model("big", namespace, "pvc://models/big.gguf", engine=engine, compute=compute))
    volume = bed.until(lambda: bed.get("pvc", "models", namespace)["spec"].get("volumeName"), 60, "volume bound")
    os.link(file, bed.node.folder / "volumes" / volume.rpartition("-")[2] / "big.gguf")
    live = bed.ready("big", namespace, 600)
    assert 7.5e9 < live["status"]["weights"]["parameters"] < 8.5e9
    assert live["status"]["weights"]["quantization"] == "Q4_K_M"
    request = urllib.request.Request(
        f"http://{bed.gateway()}/{namespace}/v1/completions",
        data=json.dumps({"model": "big", "prompt": "Once", "max_tokens": 4}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {bed.key('big', namespace)}"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 4
