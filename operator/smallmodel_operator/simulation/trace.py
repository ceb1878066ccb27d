"""Requests of a trace: CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens, as Azure publishes it."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS: Final = 10_000_000
MOST_DAYS: Final = 366
"""From its first request to its last: each second of it is lived through."""


class BadTrace(ValueError):  # noqa: N818
    """It cannot be read; the message names the line and the way out."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrival in seconds from the first request, prompt and answer in tokens. Sorted by arrival."""

    at: Sequence[float]
    prompt: Sequence[int]
    generated: Sequence[int]

    @property
    def seconds(self) -> float:
        return self.at[-1]


def read(lines: Iterable[str], name: str) -> Trace:
    """The requests of a CSV file.

    Raises:
        BadTrace: a column is missing, a row is broken or not in order of time, or there is no row.
    """
    rows = csv.reader(lines)
    try:
        header = [c.strip().lstrip("\ufeff") for c in next(rows, [])]
        missing = [c for c in COLUMNS if c not in header]
        if missing:
            raise BadTrace(
                f"{name}, line 1: no column {', '.join(missing)}: the first line must name {', '.join(COLUMNS)}."
            )
        found = _rows(rows, [header.index(c) for c in COLUMNS], name)
    except csv.Error as error:
        raise BadTrace(f"{name}, line {rows.line_num}: {error}: a row is `time,tokens,tokens`.") from error
    if not found:
        raise BadTrace(f"{name} has no request: a trace is a header and at least one row.")
    origin = found[0][0]
    return Trace([f[0] - origin for f in found], [f[1] for f in found], [f[2] for f in found])


def _rows(rows: Iterable[list[str]], where: Sequence[int], name: str) -> list[tuple[float, int, int]]:
    found: list[tuple[float, int, int]] = []
    empty = 0
    for row in rows:
        number: int = rows.line_num  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in row):
            empty = empty or number
            continue
        if empty:
            raise BadTrace(f"{name}, line {empty}: it is empty, and rows follow: remove it.")
        if len(row) <= max(where):
            raise BadTrace(f"{name}, line {number}: {len(row)} fields where {max(where) + 1} are needed.")
        time, prompt, generated = (row[i].strip() for i in where)
        at = _time(time, f"{name}, line {number}")
        if found and at < found[-1][0]:
            raise BadTrace(f"{name}, line {number}: {time} is before the row above it: sort the rows by {COLUMNS[0]}.")
        if found and (days := (at - found[0][0]) / 86400) > MOST_DAYS:
            raise BadTrace(f"{name}, line {number}: {time} is {days:.1f} days after the first: at most {MOST_DAYS}.")
        line = f"{name}, line {number}: "
        found.append((at, _tokens(prompt, line + COLUMNS[1]), _tokens(generated, line + COLUMNS[2])))
    return found


def _tokens(cell: str, where: str) -> int:
    try:
        value = int(cell)
    except ValueError:
        raise BadTrace(f"{where} is {cell[:40]!r}, not a whole number.") from None
    if not 0 <= value <= MOST_TOKENS:
        raise BadTrace(f"{where} is {cell[:40]}: from 0 to {MOST_TOKENS} make sense.")
    return value


def _time(cell: str, where: str) -> float:
    """Seconds since 1970 from a number or from ISO 8601 with any number of decimals (Azure writes seven)."""
    try:
        seconds = float(cell)
    except ValueError:
        try:
            seconds = _moment(cell)
        except (ValueError, OverflowError):
            seconds = math.nan
    if not math.isfinite(seconds):
        raise BadTrace(
            f"{where}: TIMESTAMP is {cell[:40]!r}, neither seconds nor a time like 2023-11-16 18:15:46.6805900."
        )
    return seconds


def _moment(cell: str) -> float:
    head, dot, tail = cell.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction = float("0." + tail[:digits]) if digits else 0.0
    if dot and not digits:
        raise ValueError(cell)
    moment = datetime.fromisoformat(head + tail[digits:])
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() + fraction
