"""`slm prepare-weights` and `slm judge-weights`: the first and the last step of the Job that makes a file of a type."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.evict_weights import NOTE
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, digest_of, read, write
from smallmodel_operator.cli.survey_weights import IMAGE
from smallmodel_operator.cli.texts import NotYetThere, Texts
from smallmodel_operator.cli.transfer import KEEP_FREE, disk_failure
from smallmodel_operator.cli.turn import alone
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import download, gguf, result
from smallmodel_operator.weights.make import SECONDS
from smallmodel_operator.weights.recipe import CONTEXT, MATRIX_CHUNKS, VERSION, WORK
from smallmodel_operator.weights.source import DOWNLOADED

TEXT = "text.txt"
MATRIX_TEXT = "matrix.txt"
DONE = "done"
LOGS = ("base.log", "measured.log")
"""What the tool printed of the parent, and of what was made."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is made: the folder in the claim, the type, the SHA-256 of the parent, and the folder of this work."""

    folder: Path
    type: str
    digest: str
    work_name: str

    @property
    def work(self) -> Path:
        return self.folder / self.work_name

    @property
    def target(self) -> Path:
        return self.folder / DOWNLOADED

    @property
    def provenance(self) -> Path:
        return self.folder / NOTE


def prepare(wish: Made, parent: Path, disk: int, texts: Texts, message_file: Path = MESSAGE_FILE) -> int:
    """See what is there already, whether the parent is the one that was looked at, and whether there is room."""
    try:
        sample, matrix_text = texts.read()
        with alone(wish.folder):
            failure = _prepared(wish, parent, disk, sample, matrix_text)
        return write(failure, message_file) if failure else result.EXIT_FOUND
    except gguf.BadWeights as bad:
        return write(result.Failure(bad.reason, bad.message), message_file)
    except NotYetThere as text:
        failure = result.Failure(text.reason, str(text), passing=True, after_seconds=text.after_seconds)
        return write(failure, message_file)
    except OSError as error:
        return write(disk_failure(error, Reason.QUANTIZATION_FAILED, "read or written"), message_file)


def _prepared(wish: Made, parent: Path, disk: int, sample: bytes, matrix_text: bytes) -> result.Failure | None:
    sweep(wish)
    wish.work.mkdir(parents=True, exist_ok=True)
    if _cached(wish, sample):
        print(f"{wish.target} is there already", flush=True)
        (wish.work / DONE).touch()
        return None
    (wish.work / DONE).unlink(missing_ok=True)
    if parent.exists() and not wish.digest.startswith(IMAGE) and digest_of(parent) != wish.digest:
        return _changed(parent)
    there = sum(f.stat().st_size for f in wish.work.iterdir())
    free = shutil.disk_usage(wish.folder).free - KEEP_FREE
    if disk > free + there:
        return download.no_room(disk - there, free + KEEP_FREE, KEEP_FREE)
    _lay_out(wish, sample)
    if matrix_text:
        (wish.work / MATRIX_TEXT).write_bytes(matrix_text)
    return None


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What is said of how it was made: the tools' image, the ConfigMap with the text of the importance matrix, and what
    the parent is called in the source."""

    tools: str
    matrix_text: str = ""
    parent: str = ""


def judge(
    wish: Made, limits: gate.Limits, artifact: str, claim: str, by: MadeBy, message_file: Path = MESSAGE_FILE
) -> int:
    """Hold what was measured against the limits; put the file into its place, or throw it away."""
    try:
        with alone(wish.folder):
            said = _judged(wish, limits, artifact, claim, by)
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = disk_failure(error, Reason.QUANTIZATION_FAILED, "read or written")
    return write(said, message_file)


def sweep(wish: Made) -> None:
    """Remove what work under other limits left behind; its Jobs have ended long ago."""
    for folder in wish.folder.glob(f"{WORK}*"):
        if folder != wish.work and time.time() - folder.stat().st_mtime > 2 * SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _lay_out(wish: Made, sample: bytes) -> None:
    """The text, and nothing that was measured on another one."""
    text = wish.work / TEXT
    if text.exists() and text.read_bytes() != sample:
        _forget_figures(wish)
    text.write_bytes(sample)


def _forget_figures(wish: Made) -> None:
    for name in (*LOGS, "base.kld"):
        (wish.work / name).unlink(missing_ok=True)


def _judged(wish: Made, limits: gate.Limits, artifact: str, claim: str, by: MadeBy) -> result.Said:
    done = (wish.work / DONE).exists()
    made = wish.target if done else wish.work / "made.gguf"
    figures = _noted(wish) if done else _measured(wish)
    if figures is None:
        return result.Failure(
            Reason.QUANTIZATION_FAILED, "llama-perplexity ended without figures; they are taken again.", passing=True
        )
    print(f"{wish.type}: {figures.text}", flush=True)
    if worse := gate.failures(figures, limits):
        if not done:
            shutil.rmtree(wish.work)
        return result.Failure(
            Reason.QUALITY_TOO_LOW,
            f"{wish.type} is worse than the parent `{by.parent}` by more than is allowed: {'; '.join(worse)}. It is "
            "not served. Accept a better type, or allow more in `spec.quantization.gate`.",
        )
    facts = read(made, artifact, DOWNLOADED)
    if facts.quantization != wish.type:
        raise gguf.invalid(f"llama-quantize made {facts.quantization} in place of {wish.type}.")
    if not done:
        put(wish, made, _provenance(wish, figures, by))
    shutil.rmtree(wish.work)
    measured: dict[str, Any] = gate.as_text(figures)
    return replace(facts, claim=claim, sha256=str(note_of(wish).get("sha256", "")), **measured)


def _provenance(wish: Made, figures: gate.Figures, by: MadeBy) -> dict[str, Any]:
    text = hashlib.sha256((wish.work / TEXT).read_bytes()).hexdigest()
    said = {"version": VERSION, "type": wish.type, "parent": wish.digest, "tools": by.tools, "text": text}
    matrix = {}
    if by.matrix_text:
        built_on = hashlib.sha256((wish.work / MATRIX_TEXT).read_bytes()).hexdigest()
        words = {"configMap": by.matrix_text, "text": built_on, "chunks": MATRIX_CHUNKS, "context": CONTEXT}
        matrix = {"importanceMatrix": words}
    return {**said, **matrix, "figures": gate.as_text(figures)}


def put(wish: Made, made: Path, provenance: Mapping[str, Any]) -> None:
    """Into its place: first what is said of the file, then the file; one without the other is made anew."""
    with made.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    said = {**provenance, "sha256": sha256, "bytes": made.stat().st_size}
    wish.target.unlink(missing_ok=True)
    part = wish.provenance.with_suffix(".part")
    part.write_text(json.dumps(said, indent=2) + "\n")
    part.rename(wish.provenance)
    made.chmod(0o644)
    made.rename(wish.target)


def _cached(wish: Made, sample: bytes) -> bool:
    """Whether the file is there, made from this parent and measured on this text."""
    note = note_of(wish)
    return (
        wish.target.exists()
        and note.get("version") == VERSION
        and (note.get("parent"), note.get("type")) == (wish.digest, wish.type)
        and note.get("text") == hashlib.sha256(sample).hexdigest()
        and note.get("bytes") == wish.target.stat().st_size
    )


def note_of(wish: Made) -> dict[str, Any]:
    """What is said beside the file that was made; empty when there is nothing."""
    try:
        said = json.loads(wish.provenance.read_text())
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


def _measured(wish: Made) -> gate.Figures | None:
    """The figures; when they are not all there, what is missing is measured anew by the next pod."""
    of_parent, measured = ((wish.work / log).read_text(errors="replace") for log in LOGS)
    figures = gate.parse(of_parent, measured)
    if figures is None:
        (wish.work / LOGS[1]).unlink()
        if gate.perplexity(of_parent) is None:
            _forget_figures(wish)
    return figures


def _noted(wish: Made) -> gate.Figures | None:
    return gate.from_text(note_of(wish).get("figures"))


def _changed(parent: Path) -> result.Failure:
    return result.Failure(
        Reason.DIGEST_MISMATCH,
        f"`{parent.name}` is not what it was when the source was looked at. Nothing is made from it. Put back what was "
        "there, or name the new weights under another path.",
    )
