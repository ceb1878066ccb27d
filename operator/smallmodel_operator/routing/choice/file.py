"""A classifier as a file: JSON with packed weights and a digest. Small enough for a ConfigMap, and no code in it.

Whoever may write the file decides what is escalated, so a reader takes nothing on trust: size, counts and lengths are
bounded before anything is unpacked, and the digest says whether it is the one that was measured.
"""

import base64
import binascii
import hashlib
import json
import math
import sys
import zlib
from array import array
from typing import Any, Final

from smallmodel_operator.routing.choice import ngrams
from smallmodel_operator.routing.choice.classifier import Classifier, Escalation, TaskClass
from smallmodel_operator.routing.choice.linear import Plane

FORMAT: Final = "smallmodel.dev/classifier"
VERSION: Final = 1
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_CLASSES: Final = 256
_STEPS: Final = 32767
"""Of the largest weight: what is finer is noise."""
_UNPACKED: Final = 2 * ngrams.SIZE
_KEYS: Final = frozenset({"format", "version", "kind", "bits", "examples", "least", "planes", "digest"})


class Unusable(ValueError):  # noqa: N818 - says what is the matter
    """The file is no classifier, is damaged, or is of a version that is not known here."""


def write(classifier: Classifier, examples: int) -> bytes:
    """The file; `examples`: how many it was learned from. The same classifier gives the same bytes."""
    planes = {"": classifier.plane} if isinstance(classifier, Escalation) else dict(classifier.planes)
    body = {
        "format": FORMAT,
        "version": VERSION,
        "kind": type(classifier).__name__,
        "bits": ngrams.BITS,
        "examples": examples,
        "least": classifier.least if isinstance(classifier, TaskClass) else 0.0,
        "planes": [_packed(name, plane) for name, plane in sorted(planes.items())],
    }
    return json.dumps({**body, "digest": _digest(body)}, indent=1, ensure_ascii=False).encode() + b"\n"


def digest(data: bytes) -> str:
    """The digest a file gives itself; `read` says whether it is right."""
    found = json.loads(data)["digest"]
    return str(found)


def examples(data: bytes) -> int:
    """How many examples a file says it was learned from; `read` says whether it is right."""
    found = json.loads(data)["examples"]
    return found if isinstance(found, int) else 0


def read(data: bytes, most_classes: int = MOST_CLASSES) -> Classifier:
    """The classifier of a file; `most_classes`: more are refused before one is unpacked.

    Raises:
        Unusable: with the reason.
    """
    if len(data) > MOST_BYTES:
        raise Unusable(f"it is larger than {MOST_BYTES // 2**20} MiB: no classifier is.")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unusable("it is not JSON: give a file that `slm route train` wrote.") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise Unusable(f"it does not say `format: {FORMAT}`: give a file that `slm route train` wrote.")
    if body.get("version") != VERSION or body.get("bits") != ngrams.BITS:
        raise Unusable(f"its version is {body.get('version')!r}, known is {VERSION}: train it anew.")
    if set(body) != _KEYS or body.pop("digest") != _digest(body):
        raise Unusable("its digest is not that of its content: it was changed or cut; train it anew.")
    listed = body["planes"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= most_classes:
        raise Unusable(f"it has not between 1 and {most_classes} planes.")
    planes = dict(_unpacked(plane) for plane in listed)
    if body["kind"] == Escalation.__name__ and set(planes) == {""}:
        return Escalation(planes[""])
    if body["kind"] == TaskClass.__name__ and len(planes) == len(listed) > 1 and "" not in planes:
        return TaskClass(planes, _share(body["least"]))
    raise Unusable(f"kind {body['kind']!r} with {len(listed)} plane(s) is not known here.")


def _share(value: object) -> float:
    if not isinstance(value, float) or not 0.0 <= value <= 1.0:
        raise Unusable("`least` of it is no probability.")
    return value


def _digest(body: dict[str, Any]) -> str:
    plain = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _packed(name: str, plane: Plane) -> dict[str, Any]:
    unit = max(map(abs, plane.weights)) / _STEPS or 1.0
    steps = array("h", (round(weight / unit) for weight in plane.weights))
    if sys.byteorder == "big":
        steps.byteswap()
    return {
        "name": name,
        "bias": plane.bias,
        "unit": unit,
        "weights": base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode(),
    }


def _unpacked(plane: object) -> tuple[str, Plane]:
    match plane:
        case {"name": str(name), "bias": float(bias), "unit": float(unit), "weights": str(weights)}:
            pass
        case _:
            raise Unusable("a plane of it lacks name, bias, unit or weights.")
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(base64.b64decode(weights, validate=True), _UNPACKED + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise Unusable("the weights of a plane cannot be unpacked.") from error
    if len(raw) != _UNPACKED or not (math.isfinite(bias) and math.isfinite(unit)) or abs(unit) > 1e30:
        raise Unusable("the weights of a plane are not as many as they must be, or no numbers.")
    steps = array("h", raw)
    if sys.byteorder == "big":
        steps.byteswap()
    return name, Plane(array("f", (step * unit for step in steps)), bias)
