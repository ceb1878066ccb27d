"""spec.quantization.importanceMatrix: on which text it is built, by what the text holds now. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.quantization_rules import WITH_MATRIX
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.quantization.gate import LEAST_TEXT
from smallmodel_operator.resolve import Resolved
from smallmodel_operator.weights.recipe import ImportanceMatrix

RECHECK_SECONDS: Final = 15.0
"""A ConfigMap is often applied a moment after the model that names it."""
_FIELD: Final = "spec.quantization.importanceMatrix.textConfigMapRef"


def config_map(resolved: Resolved) -> str:
    """Name of the ConfigMap a snapshot has to hold; empty where none is wished."""
    return resolved.quantizing.matrix_text.partition("/")[0]


def matrix(resolved: Resolved, kind: str, known: Mapping[str, Any], snapshot: Snapshot) -> ImportanceMatrix | None:
    """What a type is made with; None where none is wished, or the type takes none.

    Args:
        resolved: the model.
        kind: the type.
        known: what the status keeps of the file that is made.
        snapshot: with the ConfigMap.

    Raises:
        Refused: the text is not there, or too short. One that was there when the file was made may go.
    """
    text = resolved.quantizing.matrix_text
    if not text or kind not in WITH_MATRIX:
        return None
    name, _, key = text.partition("/")
    found = snapshot.config_maps.get(name)
    said = ((found or {}).get("data") or {}).get(key)
    kept = known.get("importanceMatrix") or {}
    if said is None and kept.get("text") == text and kept.get("digest"):
        return ImportanceMatrix(text, kept["digest"])
    if found is None:
        raise _refused(f"ConfigMap {name!r} does not exist, which `{_FIELD}` names. Create it or name another.")
    if said is None:
        raise _refused(f"ConfigMap {name!r} has no entry {key!r}. Add it, or name another in `{_FIELD}.key`.")
    raw = said.encode()
    if len(raw) < LEAST_TEXT:
        raise _refused(
            f"ConfigMap {name!r} holds {len(raw)} bytes in {key!r} for the importance matrix; at least {LEAST_TEXT} "
            "are needed. Add text, or leave out `spec.quantization.importanceMatrix`."
        )
    return ImportanceMatrix(text, hashlib.sha256(raw).hexdigest())


def kept(made_with: ImportanceMatrix | None) -> dict[str, Any]:
    """What the status keeps of it."""
    return {"importanceMatrix": {"text": made_with.text, "digest": made_with.digest}} if made_with else {}


def told(resolved: Resolved, kind: str, made: Mapping[str, Any] | None) -> str:
    """What is said of it beside the choice of a type; empty where none is wished. `made`: None: the source holds it."""
    if not resolved.quantizing.matrix_text:
        return ""
    if made is None:
        return " The source holds it, so no importance matrix is built."
    if kind not in WITH_MATRIX:
        return f" {kind} takes no importance matrix."
    return f" The text of its importance matrix is in ConfigMap {resolved.quantizing.matrix_text!r} (name/key)."


def _refused(message: str) -> Refused:
    return Refused(
        Reason.IMPORTANCE_MATRIX_FAILED, message, recheck_seconds=RECHECK_SECONDS, condition=Condition.QUANTIZED
    )
