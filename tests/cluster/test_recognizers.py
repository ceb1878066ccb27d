"""Presidio's analyzer on the real node, as the example has it: names of its list stay, the rest leaves, and without it,
or when it does not look for what the route wants looked for, everything stays."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.paths import REPOSITORY
from hack.images.build import build_image
from tests.cluster.conftest import Bed
from tests.cluster.outside import Outside, hybrid, through, way_out

pytestmark = pytest.mark.long
"""The chart is upgraded twice, and an image of 690 MB is made."""

EXAMPLE = REPOSITORY / "examples" / "20-names-stay-inside" / "model.yaml"
CLEAN = "Write a haiku about rain."
KEPT = (403, "kept_inside")


@pytest.fixture
def outside(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with way_out(bed, tmp_path, monkeypatch, boundary={"recognizers": {"enabled": True}}) as server:
        yield server


def analyzer(namespace: str, image: str) -> list[dict[str, Any]]:
    """The example's recognizer, in another namespace and with the image that was built here."""
    made = [obj for obj in yaml.safe_load_all(EXAMPLE.read_text()) if obj["metadata"]["name"] == "presidio"]
    for obj in made:
        obj["metadata"]["namespace"] = namespace
        if obj["kind"] == "Deployment":
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
    assert {obj["kind"] for obj in made} == {"ConfigMap", "Deployment", "Service", "NetworkPolicy"}
    return made


def asking(namespace: str, url: str, *entities: str) -> dict[str, Any]:
    """The route, which has nothing looked for but what a recognizer finds."""
    made = hybrid(namespace, url)
    made["spec"]["boundary"] |= {
        "detectors": ["Names"],
        "recognizers": [{"name": "ner", "detectors": ["Names"], "service": {"name": "presidio", "entities": entities},
                         "timeoutMilliseconds": 2000}],
    }  # fmt: skip
    return made


def enforced(bed: Bed, namespace: str) -> tuple[str, str]:
    conditions = bed.get("modelroute", "desk", namespace).get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "BoundaryEnforced"), ("", ""))


def test_names_of_its_list_stay_inside(bed: Bed, namespace: str, outside: Outside) -> None:
    image = build_image("analyzer")
    bed.node.load_image(image.archive)
    bed.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud", "namespace": namespace},
               "stringData": {"key": "sk-of-the-route"}})  # fmt: skip
    bed.apply(asking(namespace, outside.url, "PERSON"))
    bed.until(lambda: enforced(bed, namespace) == ("False", "RecognizerMissing"), 90, "there is none yet")
    for obj in analyzer(namespace, image.reference):
        bed.apply(obj)
    bed.until(lambda: enforced(bed, namespace)[0] == "True", 120, "it is there")
    bed.until(lambda: through(bed, namespace, CLEAN) == (200, "on"), 90, "what it finds nothing in leaves")
    left = len(outside.asked)
    for text in ("Write to Maria Schneider.", "write to MARIA SCHNEIDER", "Is \uff28\uff45\uff52\uff4f\uff4e well?",
                 "Decode TWFyaWEgU2NobmVpZGVyIGxpdmVzIGhlcmU="):  # fmt: skip
        assert through(bed, namespace, text) == KEPT, text
    assert through(bed, namespace, "Is the Heronry open?") == (200, "on"), "a word that only begins as a name"
    assert len(outside.asked) == left + 1

    bed.apply(asking(namespace, outside.url, "PERSON", "NRP_OF_NOBODY"))
    bed.until(lambda: through(bed, namespace, CLEAN) == KEPT, 60, "it does not find all that is to be looked for")
    bed.apply(asking(namespace, outside.url, "PERSON", "PHONE_NUMBER"))
    bed.until(lambda: through(bed, namespace, CLEAN) == (200, "on"), 60, "it does")

    bed.kubectl("-n", namespace, "scale", "deployment", "presidio", "--replicas=0")
    bed.until(lambda: through(bed, namespace, CLEAN) == KEPT, 60, "nobody to ask")
    bed.until(lambda: enforced(bed, namespace) == ("False", "RecognizerMissing"), 90, "it is said")
    bed.kubectl("-n", namespace, "scale", "deployment", "presidio", "--replicas=1")
    bed.until(lambda: through(bed, namespace, CLEAN) == (200, "on"), 120, "it is back")
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert through(bed, namespace, "Write to Maria Schneider. " + "It rains in the valley. " * 80) == KEPT
        took.append(time.monotonic() - began)
    print(f"2 KB with a name, asked and refused: {1000 * sorted(took)[10]:.1f} ms at p50")
    pod = bed.items("pods", namespace, "app=presidio")[0]["metadata"]["name"]
    log = bed.kubectl("-n", namespace, "logs", pod)
    assert "PERSON" in log, "what it looks for"
    assert not any(word in log for word in ("Schneider", "haiku", "valley"))
    assert _reaches(bed, namespace, pod, bed.node.addresses.host, outside.port) == "no", "it has no way out"


def _reaches(bed: Bed, namespace: str, pod: str, address: str, port: int) -> str:
    code = (
        "import socket\n"
        f"try: socket.create_connection(({address!r}, {port}), 3); print('yes')\n"
        "except OSError: print('no')"
    )
    return bed.kubectl("-n", namespace, "exec", pod, "--", "/opt/analyzer/bin/python", "-c", code).strip()
