"""`slm inspect-weights --survey`: which GGUF files a source holds of one model, and in which types."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, find, nothing, read, write
from smallmodel_operator.cli.verify_weights import Wish, verify
from smallmodel_operator.core.facts import Survey, Variant, WeightsFacts
from smallmodel_operator.weights import gguf, result

MAX_FILES: Final = 16


def survey(
    root: str, path: str, artifact: str, claim: str, signed: Wish | None = None, message_file: Path = MESSAGE_FILE
) -> int:
    """Look at every GGUF file below `path`; the exit code says whether trying again may help.

    Args:
        root: where the source is mounted.
        path: a folder or file in it; empty: all of it.
        artifact: name of the source.
        claim: uid of the claim that is mounted, empty for an image.
        signed: what it must be signed by.
        message_file: where the result goes.
    """
    said: result.Said
    try:
        files = _files(Path(root), path)
        fingerprint = verify(files[0], Path(root), signed) if signed else ""
        found = _survey([read_or_not(file, artifact, str(file.relative_to(root))) for file in files])
        key = signed.reference if signed else ""
        facts = replace(found.facts, claim=claim, verified_with=key, key_fingerprint=fingerprint)
        said = replace(found, facts=facts)
        if len(result.encode(said)) > result.MAX_BYTES:
            raise gguf.BadWeights(
                Reason.WEIGHTS_AMBIGUOUS, "The names of the GGUF files are too long to tell. Name one folder or file."
            )
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = result.Failure(Reason.INSPECTION_FAILED, f"The weights cannot be read: {error}.", passing=True)
    return write(said, message_file)


def read_or_not(file: Path, artifact: str, name: str) -> WeightsFacts | gguf.BadWeights:
    """Facts of one file, or what is wrong with it: projectors and adapters often lie beside a model."""
    try:
        return read(file, artifact, name)
    except gguf.BadWeights as bad:
        return bad


def _files(root: Path, path: str) -> list[Path]:
    base = root / path if path else root
    if not base.is_dir():
        return [find(root, path)]
    files = sorted(p for p in base.rglob("*.gguf") if p.is_file())
    if not files:
        raise nothing(root, base)
    if len(files) > MAX_FILES:
        raise gguf.BadWeights(
            Reason.WEIGHTS_AMBIGUOUS,
            f"The source holds {len(files)} GGUF files; {MAX_FILES} are looked at. Name a folder or a file in "
            "`spec.source.path`.",
        )
    return files


def _survey(found: list[WeightsFacts | gguf.BadWeights]) -> Survey:
    """One model in several types.

    Raises:
        BadWeights: nothing can be served, or the files hold several models or a type twice.
    """
    bad = [f for f in found if isinstance(f, gguf.BadWeights)]
    good = sorted((f for f in found if isinstance(f, WeightsFacts)), key=lambda f: (-f.tensor_bytes, f.file))
    if not good:
        raise bad[0]
    first, by_type = good[0], dict[str, WeightsFacts]()
    for facts in good:
        twin = by_type.setdefault(facts.quantization, facts)
        if _shape(facts) != _shape(first):
            raise _ambiguous(f"different models (`{first.file}`, `{facts.file}`)")
        if twin is not facts:
            raise _ambiguous(f"{facts.quantization} twice (`{twin.file}`, `{facts.file}`)")
    variants = tuple(Variant(f.quantization, f.file, f.tensor_bytes, f.repacked_bytes) for f in good)
    return Survey(first, variants, bad[0].message[:200] if bad else "")


def _shape(facts: WeightsFacts) -> tuple[str | int, ...]:
    return (facts.architecture, facts.layers, facts.embedding, facts.vocabulary, facts.feed_forward)


def _ambiguous(what: str) -> gguf.BadWeights:
    return gguf.BadWeights(
        Reason.WEIGHTS_AMBIGUOUS, f"The source holds {what}. Name the folder or file of one in `spec.source.path`."
    )
