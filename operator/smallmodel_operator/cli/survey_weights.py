"""`slm inspect-weights --survey`: in which types a source holds a model, and what can be made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.convertible_folder import look, sums
from smallmodel_operator.cli.cpu import has_amx
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, digest_of, find, nothing, read, write
from smallmodel_operator.cli.verify_weights import Wish, verify
from smallmodel_operator.core.facts import Survey, Variant, WeightsFacts
from smallmodel_operator.weights import convertible, gguf, predict, result
from smallmodel_operator.weights.gguf_types import UNQUANTIZED

MAX_FILES: Final = 16
IMAGE: Final = "image:"
"""How the digest of a parent begins that lies in an image: its name is the image's, and its file's in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What to look at: `path` (a folder, a file, or empty) below `root`, where `artifact` is mounted.

    `claim` is the uid of the claim it lies in, empty for an image. `accept`: types that are wanted.
    """

    root: str
    path: str
    artifact: str
    claim: str
    accept: tuple[str, ...] = ()

    @property
    def base(self) -> Path:
        return Path(self.root) / self.path if self.path else Path(self.root)

    def named(self, file: Path) -> str:
        return str(file.relative_to(self.root))

    def image(self, name: str) -> str:
        """Stands for the digest of what lies in an image."""
        return f"{IMAGE}{self.artifact.partition('/')[0]}/{name}"


def survey(place: Place, signed: Wish | None = None, message_file: Path = MESSAGE_FILE) -> int:
    """Look at every file of the model; the exit code says whether trying again may help.

    `signed`: what the source must be signed by.
    """
    said: result.Said
    try:
        said = _surveyed(place, signed)
        if len(result.encode(said)) > result.MAX_BYTES:
            raise gguf.BadWeights(
                Reason.WEIGHTS_AMBIGUOUS, "The names of the files are too long to tell. Name one folder or file."
            )
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except OSError as error:
        said = result.Failure(Reason.INSPECTION_FAILED, f"The weights cannot be read: {error}.", passing=True)
    return write(said, message_file)


def _surveyed(place: Place, signed: Wish | None) -> Survey:
    if _holds_safetensors(place.base):
        return _of_folder(place, signed)
    files = _files(place)
    fingerprint = verify(files[0], Path(place.root), signed) if signed else ""
    found = _told(place, _of_files(place, files), signed, fingerprint)
    parent = next((v for v in found.variants if v.type in UNQUANTIZED), None)
    if parent is None:
        return found
    file = Path(place.root) / parent.file
    # An image cannot change under its name; what lies in a claim is read once.
    return with_makes(found, file, place.accept, lambda: digest_of(file) if place.claim else place.image(parent.file))


def _told(place: Place, found: Survey, signed: Wish | None, fingerprint: str) -> Survey:
    key = signed.reference if signed else ""
    facts = replace(found.facts, claim=place.claim, verified_with=key, key_fingerprint=fingerprint)
    return replace(found, facts=facts)


def with_makes(found: Survey, file: Path, accept: tuple[str, ...], digest: Callable[[], str]) -> Survey:
    """The survey, with what the types that are wanted and not there would come to, made from its unquantized file.

    A file that was quantized is no parent: what it lost once would be lost twice.
    """
    lacking = [kind for kind in accept if kind not in {v.type for v in found.variants}]
    parent = next((v for v in found.variants if v.type in UNQUANTIZED), None)
    if parent is None or not lacking:
        return found
    with file.open("rb") as stream:
        shapes = gguf.read_header(stream, file.stat().st_size, file.name).shapes
    makes = tuple(_predicted(kind, shapes) for kind in lacking)
    return replace(found, makes=makes, parent=parent.file, digest=digest())


def _predicted(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> Variant:
    stored, copies = predict.size(kind, shapes.items())
    return Variant(kind, "", stored, copies.amx if has_amx() else copies.plain, copies.growth)


def _holds_safetensors(base: Path) -> bool:
    return base.is_dir() and any(base.glob("*.safetensors")) and not any(base.rglob("*.gguf"))


def _of_folder(place: Place, signed: Wish | None) -> Survey:
    """Of safetensors there is a GGUF file to be made before anything can be said of types."""
    name = place.path
    facts = look(place.base, place.artifact, name)
    fingerprint = verify(place.base / convertible.CONFIG, Path(place.root), signed) if signed else ""
    digest = convertible.digest(sums(place.base)) if place.claim else place.image(name)
    return _told(place, Survey(facts, (), parent=name, digest=digest), signed, fingerprint)


def _files(place: Place) -> list[Path]:
    base = place.base
    if not base.is_dir():
        return [find(Path(place.root), place.path)]
    files = sorted(p for p in base.rglob("*.gguf") if p.is_file())
    if not files:
        raise nothing(Path(place.root), base)
    if len(files) > MAX_FILES:
        raise gguf.BadWeights(
            Reason.WEIGHTS_AMBIGUOUS,
            f"The source holds {len(files)} GGUF files; {MAX_FILES} are looked at. Name a folder or a file in "
            "`spec.source.path`.",
        )
    return files


def _of_files(place: Place, files: list[Path]) -> Survey:
    """One model in several types. Projectors and adapters often lie beside a model, and are left out.

    Raises:
        BadWeights: nothing can be served, or the files hold several models or a type twice.
    """
    found = [_read(file, place.artifact, place.named(file)) for file in files]
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
    variants = tuple(Variant.of(f, f.file) for f in good)
    return Survey(first, variants, left_out=bad[0].message[:200] if bad else "")


def _read(file: Path, artifact: str, name: str) -> WeightsFacts | gguf.BadWeights:
    try:
        return read(file, artifact, name)
    except gguf.BadWeights as bad:
        return bad


def _shape(facts: WeightsFacts) -> tuple[str | int, ...]:
    return (facts.architecture, facts.layers, facts.embedding, facts.vocabulary, facts.feed_forward)


def _ambiguous(what: str) -> gguf.BadWeights:
    return gguf.BadWeights(
        Reason.WEIGHTS_AMBIGUOUS, f"The source holds {what}. Name the folder or file of one in `spec.source.path`."
    )
