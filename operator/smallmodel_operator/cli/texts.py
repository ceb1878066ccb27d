"""The texts of the Job that makes a file of a type: on which it is measured, and on which its matrix is built."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import gguf

LOOK_SECONDS: Final = 30
"""A text is looked for again no sooner: who applies it does so within a minute, or needs longer."""


class NotYetThere(Exception):  # noqa: N818 - no error: the next pod sees what is there now
    """A text is not there, is too short, or is another one than when the Job was planned: a ConfigMap may change."""

    def __init__(self, reason: Reason, message: str, after_seconds: int = 0) -> None:
        super().__init__(message)
        self.reason, self.after_seconds = reason, after_seconds


@dataclass(frozen=True, slots=True)
class Given:
    """A text in a ConfigMap: where it is mounted, and what the ConfigMap and its entry are called (`NAME/KEY`)."""

    file: Path
    config_map: str


@dataclass(frozen=True, slots=True)
class Texts:
    """`measured_on`: None: the text of this release. `built_on`: None: no matrix is built; else with its SHA-256."""

    measured_on: Given | None = None
    built_on: Given | None = None
    digest: str = ""

    def read(self) -> tuple[bytes, bytes]:
        """Both texts; the second is empty where there is none.

        Raises:
            BadWeights: the first stands in the second.
            NotYetThere: one is not there or too short, or the second was written to since the Job was planned.
        """
        sample = _sample(self.measured_on)
        if self.built_on is None:
            return sample, b""
        given = self.built_on
        text = given.file.read_bytes() if given.file.exists() else b""
        if hashlib.sha256(text).hexdigest() != self.digest:
            raise NotYetThere(
                Reason.IMPORTANCE_MATRIX_FAILED,
                f"ConfigMap {given.config_map!r} (name/key) of the importance matrix was changed or deleted after this "
                "Job was planned; for another text another one is.",
            )
        shared = gate.shared_percent(sample.decode(errors="replace"), text.decode(errors="replace"))
        if shared > gate.SHARED_PERCENT:
            raise gguf.BadWeights(Reason.IMPORTANCE_MATRIX_FAILED, _the_same(given.config_map, shared))
        return sample, text


def _the_same(config_map: str, shared: int) -> str:
    return (
        f"{shared} % of the text the file is measured on stands in ConfigMap {config_map!r} (name/key), on which its "
        "importance matrix would be built: it would look better than it is. Take other text in "
        "`spec.quantization.importanceMatrix` or in `spec.quantization.gate`."
    )


def _sample(given: Given | None) -> bytes:
    if given is None:
        return (resources.files("smallmodel_operator.quantization") / "gate.txt").read_bytes()
    named = f"ConfigMap {given.config_map!r} (name/key) of `spec.quantization.gate.textConfigMapRef`"
    if not given.file.exists():
        raise _missing(f"{named} does not exist. Create it, or name another.")
    found = given.file.read_bytes()
    if len(found) < gate.LEAST_TEXT:
        raise _missing(f"{named} holds {len(found)} bytes; at least {gate.LEAST_TEXT} are needed. Add text.")
    return found


def _missing(message: str) -> NotYetThere:
    return NotYetThere(Reason.QUANTIZATION_FAILED, message, LOOK_SECONDS)
