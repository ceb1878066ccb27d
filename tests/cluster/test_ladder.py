"""One model in several types in a claim: the best accepted one that fits serves, and a change of the limit moves it."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hack.demo_model.corpus import Generator
from hack.images.bases import ENGINE, tree
from hack.images.build import build_image
from tests.cluster.conftest import WEIGHTS, Bed, model
from tests.cluster.test_integrity import bound

pytestmark = pytest.mark.long
URI = "pvc://models/bot"


def requantized(folder: Path, kind: str) -> None:
    """The demo's weights as another type, by the engine image's own llama-quantize."""
    root = tree(ENGINE)
    library = root / "usr" / "lib" / "x86_64-linux-gnu"
    linker = [root / "lib64" / "ld-linux-x86-64.so.2", "--library-path", f"{library}:{library}/llama"]
    quantize = [root / "usr" / "bin" / "llama-quantize", "--allow-requantize", WEIGHTS, folder / f"{kind}.gguf", kind]
    command = [*linker, *quantize]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


def ladder(namespace: str, *accept: str, limit: str = "256Mi") -> dict[str, Any]:
    wish = {"method": "GGUF", "accept": list(accept)}
    compute = {"resources": {"limits": {"memory": limit}}}
    # With so much context, F16 and Q8_0 of this small a model are a step of the rounding apart.
    engine = {"contextSize": 512, "parallelSlots": 8}
    return model("bot", namespace, URI, quantization=wish, compute=compute, engine=engine)


def test_the_best_type_that_fits_serves_and_what_does_not_leaves_it_serving(bed: Bed, namespace: str) -> None:
    folder = bound(bed, namespace, model("bot", namespace, URI)) / "bot"
    folder.mkdir()
    (folder / "Q8_0.gguf").write_bytes(WEIGHTS.read_bytes())
    requantized(folder, "Q4_0")
    requantized(folder, "F16")
    bed.apply(ladder(namespace, "F16", "Q8_0"))
    live = bed.ready("bot", namespace)
    assert (live["status"]["weights"]["file"], live["status"]["quantization"]["type"]) == ("bot/F16.gguf", "F16")
    needs = bed.condition("bot", namespace, "Quantized")["message"]
    assert needs.startswith("F16 serves: F16 needs ")
    # Less than F16 asks for, as the memory verdict rounds it; Q8_0 still fits.
    less = f"{live['status']['memory']['requestedBytes'] // 2**20 - 1}Mi"
    with bed.load("bot", namespace, clients=1) as load:
        bed.apply(ladder(namespace, "F16", "Q8_0", limit=less))
        live = bed.ready("bot", namespace)
        assert (live["status"]["weights"]["file"], live["status"]["quantization"]["type"]) == ("bot/Q8_0.gguf", "Q8_0")
        bed.apply(ladder(namespace, "Q6_K", limit=less))
        said = bed.until(lambda: _refused(bed, namespace, "TypeMissing"), 90, "a type the source does not hold")
        assert "names Q6_K; the source holds F16, Q8_0, Q4_0" in said["message"]
        bed.apply(ladder(namespace, "F16", "Q8_0", limit="16Mi"))
        said = bed.until(lambda: _refused(bed, namespace, "DoesNotFit"), 90, "a limit that nothing fits")
        assert "F16 needs" in said["message"]
        assert bed.condition("bot", namespace, "Ready")["status"] == "True", "the old version serves on"
    assert load.answered
    assert load.failures == []


LOOSE = {"maxMeanDivergence": "1", "maxTailDivergence": "9", "minSameTopPercent": "50", "maxPerplexityRatio": "2"}
"""For a model of two million parameters, whose weights have nothing to spare."""


def making(bed: Bed, namespace: str, kind: str, gate: dict[str, str], matrix: str = "") -> None:
    """`matrix`: entry of the ConfigMap `texts` an importance matrix is built on; empty: none is."""
    wish = ladder(namespace, kind)
    quantization = wish["spec"]["quantization"]
    quantization |= {"image": build_image("quantizer").reference, "gate": gate}
    if matrix:
        quantization["importanceMatrix"] = {"textConfigMapRef": {"name": "texts", "key": matrix}}
    bed.apply(wish)


def texts(bed: Bed, namespace: str) -> str:
    """The ConfigMap `texts`; the SHA-256 of its entry `questions`: something the model is asked, again and again."""
    questions = "\n".join([Generator(7).draw().question] * 600)
    meta = {"name": "texts", "namespace": namespace}
    data = {"questions": questions, "short": "Where is my order?"}
    bed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    return hashlib.sha256(questions.encode()).hexdigest()


def test_types_are_made_measured_and_served_and_what_is_too_bad_never_is(bed: Bed, namespace: str) -> None:
    bed.node.load_image(build_image("quantizer").archive)
    folder = bound(bed, namespace, model("bot", namespace, URI)) / "bot"
    folder.mkdir()
    requantized(folder, "F16")
    making(bed, namespace, "Q8_0", LOOSE)
    live = bed.ready("bot", namespace, 240)
    assert live["status"]["weights"]["quantization"] == "Q8_0"
    with bed.load("bot", namespace, clients=1) as load:
        making(bed, namespace, "Q4_K_M", {})
        said = bed.until(lambda: _refused(bed, namespace, "QualityTooLow"), 240, "the defaults are too strict for it")
        assert "Q4_K_M is worse than the parent `bot/F16.gguf` by more than is allowed" in said["message"]
        assert "mean divergence" in said["message"]
        assert bed.get("smallmodel", "bot", namespace)["status"]["weights"]["quantization"] == "Q8_0"
        making(bed, namespace, "Q4_K_M", LOOSE, "questions")
        said = bed.until(lambda: _refused(bed, namespace, "ImportanceMatrixFailed"), 90, "a text that is not there")
        assert "ConfigMap 'texts' does not exist" in said["message"]
        digest = texts(bed, namespace)
        making(bed, namespace, "Q4_K_M", LOOSE, "short")
        bed.until(lambda: _refused(bed, namespace, "ImportanceMatrixFailed", "18 bytes in 'short'"), 90, "a short text")
        assert bed.get("smallmodel", "bot", namespace)["status"]["weights"]["quantization"] == "Q8_0"
        making(bed, namespace, "Q4_K_M", LOOSE, "questions")
        live = bed.ready("bot", namespace, 240)
        assert live["status"]["weights"]["quantization"] == "Q4_K_M"
        kept = {"text": "texts/questions", "digest": digest}
        assert live["status"]["quantization"]["made"]["importanceMatrix"] == kept
    assert load.answered
    assert load.failures == []
    volume = bed.get("pvc", "smallmodel-weights", namespace)["spec"]["volumeName"]
    notes = (bed.node.folder / "volumes" / volume.rpartition("-")[2]).glob("quantized-*/model.gguf.json")
    built_on = [note["importanceMatrix"]["text"] for note in map(read, notes) if "importanceMatrix" in note]
    assert built_on == [digest]


def read(note: Path) -> dict[str, Any]:
    return dict(json.loads(note.read_text()))


def _refused(bed: Bed, namespace: str, reason: str, says: str = "") -> dict[str, Any] | None:
    found = [bed.condition("bot", namespace, kind) for kind in ("Stalled", "Quantized")]
    return found[1] if all(c.get("reason") == reason and says in c.get("message", "") for c in found) else None
