"""Examples as they lie in files: CSV as RouteLLM publishes its answers, or JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.routing.choice.confidence import confidences
from smallmodel_operator.routing.choice.examples import BadRow, answered, classed, to_learn
from smallmodel_operator.routing.choice.training import Answered

SUFFIX: Final = {"routellm": ".csv", "jsonl": ".jsonl"}
LONGEST_FIELD: Final = 16 * 1024 * 1024
EVEN, ALL = "even", "all"


class NoData(Exception):  # noqa: N818 - says what is the matter
    """There is nothing to learn from, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt's right and wrong, and how sure the weak model was, by each measure."""

    answered: Answered
    confidences: Mapping[str, float]


def answers(dataset: str, form: str, strong: str, weak: str) -> list[Answered]:
    """Prompts with the right and wrong of two models.

    Raises:
        NoData: naming file, row and reason.
    """
    found = []
    for where, row in _rows(dataset, form):
        try:
            found.append(answered(row, strong, weak))
        except BadRow as error:
            raise NoData(f"{where}: {error}.") from None
    return found


def judged(dataset: str, strong: str, weak: str) -> list[Judged]:
    """JSON lines with the right and wrong of the weak model (and of the strong one, where named), and how sure the weak
    one was.

    Raises:
        NoData: naming file, line and reason.
    """
    found: list[Judged] = []
    for where, row in _rows(dataset, "jsonl"):
        try:
            found.append(Judged(answered(row, strong or weak, weak), confidences(row)))
        except BadRow as error:
            raise NoData(f"{where}: {error}.") from None
        if found[-1].confidences.keys() != found[0].confidences.keys():
            raise NoData(f"{where}: give `confidence` in all rows or in none.")
    return found


def classes(dataset: str) -> list[tuple[str, str]]:
    """Prompts with their class, from JSON lines.

    Raises:
        NoData: naming file, line and reason.
    """
    found = []
    for where, row in _rows(dataset, "jsonl"):
        try:
            found.append(classed(row))
        except BadRow as error:
            raise NoData(f"{where}: {error}.") from None
    return found


def halves(examples: list[Answered]) -> tuple[list[Answered], list[Answered]]:
    """Those to learn from, and those to test with."""
    learned = [e for e in examples if to_learn(e.prompt)]
    return learned, [e for e in examples if not to_learn(e.prompt)]


def _rows(dataset: str, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    read = _csv if form == "routellm" else _jsonl
    for path in _files(dataset, form):
        try:
            yield from read(path)
        except OSError as error:
            raise NoData(f"{path} cannot be read: {error.strerror or error}.") from None
        except UnicodeDecodeError:
            raise NoData(f"{path} is not UTF-8.") from None
        except csv.Error as error:
            raise NoData(f"{path} is not CSV: {error}.") from None


def _files(dataset: str, form: str) -> list[Path]:
    root, suffix = Path(dataset), SUFFIX[form]
    try:
        root.stat()
    except FileNotFoundError:
        pass  # said below
    except OSError as error:  # nobody may look into its folder, or the name is too long
        raise NoData(
            f"{dataset} cannot be read: {error.strerror or error}: name the examples with --dataset."
        ) from None
    if root.is_dir():
        found = sorted(path for path in root.iterdir() if path.suffix == suffix and path.is_file())
    else:
        found = [root] if root.is_file() else []
    if form == "routellm" and ((found and _is_jsonl(found[0])) or (not found and any(root.glob("*.jsonl")))):
        raise NoData(f"{dataset} looks like JSON lines: add --format jsonl.")
    if not found:
        raise NoData(f"{dataset} is no file, and no folder with files *{suffix}: name the examples with --dataset.")
    return found


def _is_jsonl(path: Path) -> bool:
    """CSV begins with the names of its columns."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError:  # which who reads it says
        return False


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield f"{path}, line {reader.line_num}", {str(k): v for k, v in row.items() if k is not None}


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise NoData(f"{where} is not JSON.") from None
            if not isinstance(row, dict):
                raise NoData(f"{where} is no JSON object.")
            yield where, row
