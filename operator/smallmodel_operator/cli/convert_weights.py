"""`slm prepare-conversion` and `slm accept-conversion`: the first and the last step of the Job that converts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.convertible_folder import lay_out, look, sums
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, read, write
from smallmodel_operator.cli.make_weights import DONE, Made, note_of, put, sweep
from smallmodel_operator.cli.survey_weights import IMAGE, with_makes
from smallmodel_operator.cli.transfer import KEEP_FREE, disk_failure
from smallmodel_operator.cli.turn import alone
from smallmodel_operator.core.facts import Survey, Variant, WeightsFacts
from smallmodel_operator.weights import convertible, download, result
from smallmodel_operator.weights.recipe import CONVERSION
from smallmodel_operator.weights.refusal import BadWeights, invalid
from smallmodel_operator.weights.source import DOWNLOADED

SHOWN: Final = "converted"
"""Folder of the work with what the converter may read; its name becomes the model's where no model card has one."""
MADE: Final = "made.gguf"
LOG: Final = "convert.log"
CODE: Final = "convert.code"
VERSIONS: Final = "converter.txt"
"""What the step left of the converter: its script's SHA-256 and its packages' versions."""
SUMS: Final = "sums.json"
FROM: Final = "from"
MAX_LOG: Final = 2**20
MAX_VERSIONS: Final = 1024


def prepare(wish: Made, folder: Path, disk: int, message_file: Path = MESSAGE_FILE) -> int:
    """See what is there already, whether the folder is the one that was looked at, and whether there is room; lay out
    what the converter may read.
    """
    try:
        with alone(wish.folder):
            failure = _prepared(wish, folder, disk)
        return write(failure, message_file) if failure else result.EXIT_FOUND
    except BadWeights as bad:
        return write(result.Failure(bad.reason, bad.message), message_file)
    except OSError as error:
        return write(disk_failure(error, Reason.QUANTIZATION_FAILED, "read or written"), message_file)


def _prepared(wish: Made, folder: Path, disk: int) -> result.Failure | None:
    sweep(wish)
    wish.work.mkdir(parents=True, exist_ok=True)
    if _cached(wish):
        print(f"{wish.target} is there already", flush=True)
        (wish.work / DONE).touch()
        return None
    (wish.work / DONE).unlink(missing_ok=True)
    look(folder, "", folder.name)
    found = {} if wish.digest.startswith(IMAGE) else sums(folder)
    if found and convertible.digest(found) != wish.digest:
        return _changed(folder)
    there = sum(f.stat().st_size for f in wish.work.iterdir() if f.is_file())
    free = shutil.disk_usage(wish.folder).free - KEEP_FREE
    if disk > free + there:
        return download.no_room(disk - there, free + KEEP_FREE, KEEP_FREE)
    (wish.work / SUMS).write_text(json.dumps(found))
    (wish.work / FROM).write_text(_beside(wish, folder))
    lay_out(wish.work / SHOWN, folder, found)
    return None


def _beside(wish: Made, folder: Path) -> str:
    """Folder of the same claim that the safetensors lie in: it stays as long as what is made of it. Empty for any
    other."""
    claim = wish.folder.parent
    return folder.relative_to(claim).parts[0] if folder.is_relative_to(claim) and folder != claim else ""


def accept(
    wish: Made,
    artifact: str,
    claim: str,
    tools: str,
    kinds: tuple[str, ...] | None = None,
    message_file: Path = MESSAGE_FILE,
) -> int:
    """Read what was made and put it into its place, or say why there is nothing.

    `kinds`: types to tell of how they would come out, made from it; None: the file alone is described.
    """
    try:
        with alone(wish.folder):
            said = _accepted(wish, artifact, claim, tools)
            if kinds is not None and isinstance(said, WeightsFacts):
                said = _surveyed(wish, said, kinds)
    except BadWeights as bad:
        shutil.rmtree(wish.work, ignore_errors=True)
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = disk_failure(error, Reason.QUANTIZATION_FAILED, "read or written")
    return write(said, message_file)


def _accepted(wish: Made, artifact: str, claim: str, tools: str) -> result.Said:
    done = (wish.work / DONE).exists()
    made = wish.target if done else wish.work / MADE
    if not made.exists():
        return _failed(wish)
    facts = read(made, artifact, DOWNLOADED)
    if facts.quantization != wish.type:
        raise invalid(f"The converter made {facts.quantization} in place of {wish.type}.")
    if not done:
        _compare(look(wish.work / SHOWN, "", ""), facts)
        put(wish, made, _provenance(wish, tools))
    shutil.rmtree(wish.work)
    return replace(facts, claim=claim, sha256=str(note_of(wish).get("sha256", "")))


def _compare(source: WeightsFacts, made: WeightsFacts) -> None:
    """The same model came out: a layer more may hold what predicts tokens ahead.

    Raises:
        BadWeights: it did not.
    """
    if (source.embedding, source.heads) != (made.embedding, made.heads) or made.layers < source.layers:
        raise invalid(
            f"The converter made {made.layers} layers of {made.embedding} numbers and {made.heads} heads; "
            f"`{convertible.CONFIG}` says {source.layers}, {source.embedding} and {source.heads}."
        )


def _surveyed(wish: Made, facts: WeightsFacts, kinds: tuple[str, ...]) -> Survey:
    only = Variant.of(facts, DOWNLOADED)
    return with_makes(Survey(facts, (only,)), wish.target, kinds, lambda: facts.sha256)


def _failed(wish: Made) -> result.Failure:
    """What is found before the converter ran is told by the steps before."""
    log, code = wish.work / LOG, wish.work / CODE
    text = log.read_text(errors="replace")[-MAX_LOG:] if log.exists() else ""
    number = code.read_text().strip() if code.exists() else ""
    said = convertible.failure(text, int(number) if number.isdecimal() and len(number) < 4 else 1)
    if said.passing:
        for file in (log, code, wish.work / "made.part"):
            file.unlink(missing_ok=True)
    else:
        shutil.rmtree(wish.work)
    return said


def _provenance(wish: Made, tools: str) -> dict[str, Any]:
    versions = wish.work / VERSIONS
    text = versions.read_text(errors="replace")[:MAX_VERSIONS] if versions.exists() else ""
    files = json.loads((wish.work / SUMS).read_text())
    said = {"version": CONVERSION, "type": wish.type, "source": wish.digest, "tools": tools}
    beside = (wish.work / FROM).read_text() if (wish.work / FROM).exists() else ""
    said |= {"from": beside} if beside else {}
    return {**said, "converter": text.splitlines(), "files": files}


def _cached(wish: Made) -> bool:
    """Whether the file is there, made of this folder."""
    note = note_of(wish)
    return (
        wish.target.exists()
        and (note.get("version"), note.get("type"), note.get("source")) == (CONVERSION, wish.type, wish.digest)
        and note.get("bytes") == wish.target.stat().st_size
    )


def _changed(folder: Path) -> result.Failure:
    return result.Failure(
        Reason.DIGEST_MISMATCH,
        f"`{folder.name}` is not what it was when the source was looked at. Nothing is made of it. Put back what was "
        "there, or name the new weights under another path.",
    )
