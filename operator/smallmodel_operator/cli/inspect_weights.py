"""`slm inspect-weights`: read a GGUF header in the inspection Job and leave the facts in the termination message."""

import hashlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import inspect_folder
from smallmodel_operator.cli.cpu import has_amx
from smallmodel_operator.cli.verify_weights import Wish, verify
from smallmodel_operator.core.engine import GGUF, SAFETENSORS
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import describe, foreign, gguf, result

MESSAGE_FILE: Final = Path("/dev/termination-log")
SHOWN: Final = 8
"""So many names are said in a message."""
CHUNK: Final = 4 * 2**20
PROGRESS_SECONDS: Final = 15.0


def inspect(
    root: str,
    path: str,
    artifact: str,
    sha256: str,
    claim: str,
    signed: Wish | None = None,
    message_file: Path = MESSAGE_FILE,
    layout: str = GGUF,
) -> int:
    """Find the weights below `root`, check them, describe them. The exit code says whether trying again may help.

    By `layout` they are the one GGUF there or a folder of safetensors files.

    `claim` is the uid of the claim the volume is, empty for an image. `signed`: what it must be signed by.
    """
    try:
        if layout == SAFETENSORS:
            folder = inspect_folder.find(Path(root), path)
            fingerprint = verify(folder / inspect_folder.CONFIG, Path(root), signed) if signed else ""
            facts = inspect_folder.read(folder, artifact, str(folder.relative_to(root)))
        else:
            file = find(Path(root), path)
            if sha256:
                check(file, sha256, str(file.relative_to(root)))
            fingerprint = verify(file, Path(root), signed) if signed else ""
            facts = read(file, artifact, str(file.relative_to(root)))
        facts = replace(facts, verified_with=signed.reference if signed else "", key_fingerprint=fingerprint)
        said: WeightsFacts | result.Failure = replace(facts, claim=claim)
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = result.Failure(Reason.INSPECTION_FAILED, f"The weights cannot be read: {error}.", passing=True)
    return write(said, message_file)


def write(said: result.Said | result.Evicted, message_file: Path) -> int:
    """Write the result where the kubelet picks it up, and to the log."""
    text = result.encode(said)
    print(text, flush=True)
    try:
        message_file.write_text(text)
    except OSError as error:
        print(f"no termination message: {error}", file=sys.stderr)
    return result.exit_code(said)


def read(file: Path, artifact: str, name: str) -> WeightsFacts:
    """Facts of one file.

    Raises:
        BadWeights: it is not a complete GGUF we can serve; the message names the file.
    """
    try:
        with file.open("rb") as stream:
            header = gguf.read_header(stream, os.fstat(stream.fileno()).st_size, name)
            return describe.facts(header, artifact, name, amx=has_amx())
    except gguf.BadWeights as bad:
        raise gguf.BadWeights(bad.reason, f"`{name[-120:]}`: {bad.message}") from None


def find(root: Path, path: str) -> Path:
    """The file meant by `spec.source.path`: itself, or the only `*.gguf` of the folder it names.

    Raises:
        BadWeights: none, or more than one.
    """
    base = root / path if path else root
    if base.is_file():
        return base
    if not base.is_dir():
        raise gguf.BadWeights(
            Reason.WEIGHTS_NOT_FOUND,
            f"There is no file {path!r} in the source{_others(root)}. Correct what `spec.source.uri` and "
            "`spec.source.path` say of it.",
        )
    found = sorted(p for p in base.rglob("*.gguf") if p.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise nothing(root, base)
    names = _shown([str(p.relative_to(base)) for p in found])
    raise gguf.BadWeights(
        Reason.WEIGHTS_AMBIGUOUS, f"The source holds {len(found)} GGUF files ({names}). Name one in `spec.source.path`."
    )


def nothing(root: Path, base: Path) -> gguf.BadWeights:
    """What is said of a source without a GGUF file.

    Raises:
        BadWeights: it holds pickles.
    """
    _unsafe(root, base)
    said = f"There is no *.gguf file in the source{_others(base)}. Name the file in `spec.source.path`."
    if base.is_dir() and any(base.glob("*.safetensors")):
        said += " To have one made of the safetensors, set `spec.quantization` (method GGUF, `accept: [Q8_0, Q4_K_M]`)."
    return gguf.BadWeights(Reason.WEIGHTS_NOT_FOUND, said)


def _unsafe(root: Path, base: Path) -> None:
    """A source with pickles in place of a GGUF is refused for what it holds, not for what it lacks."""
    for file in sorted(p for p in base.rglob("*") if p.suffix.lower() in foreign.UNSAFE_SUFFIXES and p.is_file()):
        with file.open("rb") as stream:
            bad = foreign.refusal(stream.read(gguf.PEEK), file.stat().st_size, file.name)
        if bad.reason is Reason.UNSAFE_FORMAT:
            raise gguf.BadWeights(bad.reason, f"`{str(file.relative_to(root))[-120:]}`: {bad.message}")


def digest_of(file: Path) -> str:
    """SHA-256 of a file."""
    state = hashlib.sha256()
    print(f"reading {file.name}, {file.stat().st_size} bytes", flush=True)
    with file.open("rb") as stream:
        while block := stream.read(CHUNK):
            state.update(block)
    return state.hexdigest()


def check(file: Path, sha256: str, name: str) -> None:
    """Compare the file's SHA-256, with progress in the log; `name` is what the file is called in the message.

    Raises:
        BadWeights: it differs.
    """
    hasher, size, done, told = hashlib.sha256(), file.stat().st_size, 0, time.monotonic()
    with file.open("rb") as stream:
        while block := stream.read(CHUNK):
            hasher.update(block)
            done += len(block)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                print(f"checked {100 * done // max(1, size)} % of {size} bytes", flush=True)
    if hasher.hexdigest() != sha256:
        raise gguf.BadWeights(
            Reason.DIGEST_MISMATCH,
            f"`{name[-120:]}`: the file's SHA-256 is {hasher.hexdigest()}, `spec.source.sha256` says {sha256}. The "
            "file was changed or is another one; correct whichever is wrong.",
        )


def _others(root: Path) -> str:
    try:
        names = sorted(p.name for p in root.iterdir())
    except OSError:
        return ""
    return f" (it holds: {_shown(names)})" if names else " (it is empty)"


def _shown(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *(["…"] if len(names) > SHOWN else [])])
