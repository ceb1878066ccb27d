"""Adapters on the real node: each has its name, a spoiled one does not serve, and nobody is asked what is not there."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hack.images.build import pack_weights
from tests.cluster.conftest import WEIGHTS, Bed, model
from tests.fakes.lora import write_adapter
from tests.larkfield import ASKED

pytestmark = pytest.mark.long
"""Golden prompts are asked of three versions."""


@pytest.fixture
def adapters(bed: Bed, tmp_path: Path) -> dict[str, str]:
    """Images: `good` changes no answer, `spoiled` every one, `cut` is half a file."""
    made = {}
    for name, strength in (("good", 0.0), ("spoiled", 1.0), ("cut", 0.0)):
        file = tmp_path / f"{name}.gguf"
        write_adapter(WEIGHTS, file, strength)
        if name == "cut":
            file.write_bytes(file.read_bytes()[:-4096])
        image = pack_weights(f"adapter-{name}", {"legal.gguf": file})
        bed.node.load_image(image.archive)
        made[name] = f"oci://{image.reference}"
    return made


def golden(namespace: str) -> dict[str, Any]:
    """Every question twice: to the model, and to its adapter."""
    lines = [
        {"id": f"{who}{name}", "prompt": prompt, "expect": {"regex": wanted}, "maxTokens": 80, **adapter}
        for who, adapter in (("", {}), ("legal-", {"adapter": "legal"}))
        for name, (prompt, wanted) in ASKED.items()
    ]
    meta = {"name": "golden", "namespace": namespace}
    data = {"golden.jsonl": "\n".join(map(json.dumps, lines))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def with_adapter(namespace: str, uri: str, adapter: str) -> dict[str, Any]:
    return model(
        "bot", namespace, uri,
        adapters=[{"name": "legal", "source": {"uri": adapter, "path": "legal.gguf"}}],
        checks={"golden": {"configMapRef": {"name": "golden"}, "probeMinutes": 0}},
        compute={"resources": {"requests": {"memory": "96Mi"}}},
        engine={"contextSize": 512, "parallelSlots": 2},
    )  # fmt: skip


def asked(bed: Bed, namespace: str, name: str) -> tuple[int, str]:
    """Status and text of an answer, as an app team gets it."""
    prompt, _ = ASKED["closing"]
    body = {"model": name, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 60}
    request = urllib.request.Request(
        f"http://{bed.gateway()}/{namespace}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bed.key('bot', namespace)}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, str(json.load(answer)["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_spoiled_adapter_does_not_serve(
    bed: Bed, namespace: str, weights: dict[str, str], adapters: dict[str, str]
) -> None:
    bed.apply(golden(namespace))
    bed.apply(with_adapter(namespace, weights["first"], adapters["good"]))
    running = bed.ready("bot", namespace)["status"]["quality"]["running"]
    assert (running["items"], running["failed"]) == (2 * len(ASKED), [])
    # Two gateways hear of a new adapter one after the other: one may still answer 404.
    bed.until(
        lambda: all(asked(bed, namespace, name)[0] == 200 for name in ("bot", "bot:legal") * 4),
        what="bot:legal answers",
    )
    before = {name: asked(bed, namespace, name) for name in ("bot", "bot:legal")}
    assert all("17:30" in text for _, text in before.values()), before
    code, said = asked(bed, namespace, "bot:hr")
    assert (code, json.loads(said)["error"]["code"]) == (404, "model_not_found")

    [pod] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    with bed.load("bot", namespace) as load:
        bed.apply(with_adapter(namespace, weights["first"], adapters["spoiled"]))
        bed.until(
            lambda: bed.condition("bot", namespace, "Stalled").get("reason") == "GoldenFailed", 180, "GoldenFailed"
        )
    load.check()
    message = bed.condition("bot", namespace, "Stalled")["message"]
    assert "`legal-closing` (adapter `legal`)" in message
    assert "Take another file for adapter `legal` (`legal.gguf`)" in message
    assert "`closing`" not in message, "the model itself answers as it did"
    [after] = bed.items("pods", namespace, "smallmodel.dev/role=server")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"], "the version before serves on"
    assert {name: asked(bed, namespace, name) for name in before} == before

    bed.apply(with_adapter(namespace, weights["first"], adapters["cut"]))
    stalled = bed.until(
        lambda: (c := bed.condition("bot", namespace, "Stalled")).get("reason") == "CrashLoop" and c, 180, "CrashLoop"
    )
    assert "legal.gguf" in stalled["message"], stalled
    assert {name: asked(bed, namespace, name) for name in before} == before
