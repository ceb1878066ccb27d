"""Weights that are made here: from what, of which type, and what is asked of the result."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.names import digest

SOURCE_PATH: Final = "/source"
"""Where the parent's volume is mounted in the Job that makes them."""
WORK: Final = ".work-"
"""How the folders begin that work is done in."""
VERSION: Final = 1
"""Of the steps; what an older one made is made anew."""
CONVERSION: Final = 1
"""The same of the steps of a conversion."""
_CONVERTED: Final = "converted-"
MATRIX_CHUNKS: Final = 64
"""So many pieces of the text an importance matrix is built on, at most. More hardly help, as llama.cpp found."""
CONTEXT: Final = 512
"""Tokens of a piece, where the model was trained for as many."""


@dataclass(frozen=True, slots=True)
class ImportanceMatrix:
    """What one is built on: ConfigMap and entry (`NAME/KEY`) of a text, and the SHA-256 of the text."""

    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file is made.

    `parent`: an unquantized GGUF file in the source. `digest`: its SHA-256. `memory`, `disk`: bytes the work takes.
    `context`: tokens the model was trained for. `text`: ConfigMap and entry (`NAME/KEY`) of what it is measured on;
    empty: the text of this release. `limits`: what the result must hold, by name. `matrix`: None: none is built.
    """

    type: str
    parent: str
    digest: str
    memory: int
    disk: int
    context: int
    threads: int
    image: str
    text: str
    limits: Mapping[str, str]
    matrix: ImportanceMatrix | None = None

    @property
    def name(self) -> str:
        """Of the result: the same parent, type, steps and importance matrix make the same file."""
        said = f"{VERSION} {self.digest} {self.type} {self.text}"
        # The words of a text's bytes, not of its place: who moves it to another ConfigMap does not wait again.
        said += f" {self.matrix.digest} {MATRIX_CHUNKS} {CONTEXT}" if self.matrix else ""
        return hashlib.sha256(said.encode()).hexdigest()


def quantized_folder(artifact: str) -> str:
    """Folder of a made type inside the claim, from the artifact's name; empty where that is of something else."""
    kind, _, name = artifact.partition("/")[0].rpartition(":")
    return f"quantized-{name}" if kind.startswith("gguf:") else ""


def converted_folder(digest: str, kind: str) -> str:
    """Folder inside the claim of what is made of the safetensors with this digest, in this type."""
    return f"{_CONVERTED}{hashlib.sha256(f'{CONVERSION} {digest} {kind}'.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class QuantizedSource:
    """A file of another type, made once into the claim `smallmodel-weights`.

    `volume`: the one its parent lies in; empty: it lies in that claim, too, below the folder `inside`.
    """

    recipe: Recipe
    volume: Mapping[str, Any]
    inside: str = ""

    path = "model.gguf"

    @property
    def artifact(self) -> str:
        """What is asked of the result is part of its name: asked for more, it is judged anew."""
        return f"gguf:{self.recipe.type}:{self.recipe.name}/{self._asked}"

    @property
    def digest(self) -> str:
        return ""

    @property
    def folder(self) -> str:
        """Folder inside the claim."""
        return quantized_folder(self.artifact)

    @property
    def work(self) -> str:
        """Folder in that folder: two models that ask for more and for less do not write over each other's work."""
        return f"{WORK}{self._asked}"

    @property
    def _asked(self) -> str:
        return digest(dict(self.recipe.limits))[:16]

    @property
    def mutable(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a GGUF file is made of a folder of safetensors files, in the type its weights are stored in.

    `folder`: in the source. `digest`: of all that is read of it. `memory`, `disk`: bytes the work takes.
    """

    type: str
    folder: str
    digest: str
    memory: int
    disk: int
    threads: int
    image: str

    @property
    def name(self) -> str:
        """Of the result: the same folder and steps make the same file."""
        return self.into.removeprefix(_CONVERTED)

    @property
    def into(self) -> str:
        """Folder inside the claim."""
        return converted_folder(self.digest, self.type)


@dataclass(frozen=True, slots=True)
class ConvertedSource:
    """A GGUF file made of safetensors, once, in the claim `smallmodel-weights`.

    `volume`: the one the safetensors lie in; empty, with or without the folder `inside`: they lie in that claim,
    too. `model`: for whom; each has a folder of its own for the work.
    """

    conversion: Conversion
    volume: Mapping[str, Any]
    model: str
    inside: str = ""

    path = "model.gguf"

    @property
    def artifact(self) -> str:
        return f"gguf:{self.conversion.type}:{self.conversion.name}"

    @property
    def digest(self) -> str:
        return ""

    @property
    def folder(self) -> str:
        """Folder inside the claim."""
        return self.conversion.into

    @property
    def work(self) -> str:
        """Folder in that folder."""
        return f"{WORK}{digest(self.model)[:16]}"

    @property
    def mutable(self) -> str:
        return ""


Made = QuantizedSource | ConvertedSource
"""What a Job makes."""
