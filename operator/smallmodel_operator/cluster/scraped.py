"""What Prometheus has scraped of the gateways, as values. Pure.

All series of one scrape carry its time, so one look is made of whole scrapes: never of numbers from two. What is
missing, no number, negative or too large to be exact makes a gateway's word on a model unknown, not zero.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.autoscaling.prompts import BINS
from smallmodel_operator.core.exported import BIN, BINNED, BUILD, EPOCH, METRICS, PREFIX

Vector = Sequence[Mapping[str, Any]]
"""The result of an instant query, as Prometheus' API has it."""
Said = dict[str, Any]
"""Of one model, as `GET /signals` has it."""

MODEL: Final = ("namespace", "model")
WHOLE_SECONDS: Final = 10.0
"""Until the whole of an answer is there."""
EXPORTED: Final = "exported_"
"""Prometheus puts it before a label that its own configuration sets, too."""
MOST: Final = 2.0**53
AHEAD_SECONDS: Final = 1.0
"""A scrape that is newer than the clock by more belongs to a clock that jumped."""
STILL: Final = 1.5
"""A gateway that was scraped within so many intervals is being scraped."""
_PLACES: Final = {m.name: m for m in METRICS}
_BINNED: Final = {m.name: m for m in BINNED}


class NoAnswer(Exception):  # noqa: N818 - says what happened
    """Prometheus did not answer; the message says why, in words that stay the same while the reason does."""


NONSENSE: Final = "it answers something else than Prometheus' API"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The last one of a gateway: when (Unix seconds of Prometheus' clock), and how long before it was asked."""

    instance: str
    at: float
    age: float


@dataclass(frozen=True, slots=True)
class Scrapes:
    """By gateway, as of `asked` (Unix seconds of Prometheus' clock; 0: it has none). `doubled`: names under which two
    gateways are scraped, which nobody can tell apart."""

    of: Mapping[str, Scrape]
    doubled: frozenset[str] = frozenset()
    asked: float = 0.0

    def newer(self, before: "Scrapes | None", wanted: Collection[str]) -> bool:
        """Was each of those wanted scraped since?"""
        if not wanted or not all(name in self.of for name in wanted):
            return False
        old = before.of if before is not None else {}
        return all(name not in old or self.of[name].at > old[name].at for name in wanted)


def queries(match: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """PromQL: when gateways were scraped; and all numbers of all models, in a few parts, each beside these times.

    Args:
        match: labels that series have to carry, where one Prometheus has the gateways of several clusters.
    """
    own = ",".join(f'{label}="{value}"' for label, value in sorted(match.items()))
    times = f"timestamp({BUILD}{{{own}}})"
    labels = ("__name__", "instance", *MODEL, *(f"{EXPORTED}{label}" for label in MODEL), BIN)
    # Who is scraped by two jobs has each series twice; all other labels of a target are the same for all models.
    by = f"max by ({', '.join(labels)})"
    rest = f",{own}" if own else ""
    plain, binned = "|".join(m.name for m in METRICS), "|".join(m.name for m in BINNED)
    parts = (f'{{__name__=~"{names}"{rest}}}' for names in (plain, binned))
    return times, tuple(f"{times} or {by} ({part})" for part in parts)


def scrapes(vector: Vector, interval: float) -> Scrapes:
    """When each gateway was scraped, every `interval` seconds if all is well.

    Raises:
        NoAnswer: it is no vector.
    """
    found: dict[str, dict[str, Scrape]] = {}
    asked = 0.0
    for labels, asked, value in samples(vector):
        gateway = labels.get(f"{EXPORTED}gateway") or labels.get("gateway")
        if "__name__" in labels or not gateway:
            continue
        age = asked - value
        if math.isfinite(age) and age >= -AHEAD_SECONDS:
            instance = labels.get("instance", "")
            scrape = Scrape(instance, value, max(0.0, age))
            known = found.setdefault(gateway, {}).get(instance)
            found[gateway][instance] = scrape if known is None or scrape.at > known.at else known
    doubled = {name for name, of in found.items() if sum(s.age <= STILL * interval for s in of.values()) > 1}
    newest = {name: max(of.values(), key=lambda s: s.at) for name, of in found.items() if name not in doubled}
    return Scrapes(newest, frozenset(doubled), asked)


def models(vectors: Iterable[Vector], of: Scrapes) -> dict[str, dict[str, Said]]:
    """What was said of each model (`<namespace>/<name>`), by gateway; only what was said wholly.

    Raises:
        NoAnswer: one is no vector.
    """
    gateways = {scrape.instance: name for name, scrape in of.of.items()}
    numbers: dict[tuple[str, str], dict[str, float]] = {}
    bins: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    for vector in vectors:
        for labels, _, value in samples(vector):
            gateway, name = gateways.get(labels.get("instance", "")), labels.get("__name__", "")
            if gateway is None or not name.startswith(PREFIX):
                continue
            key = gateway, "/".join(labels.get(EXPORTED + label) or labels.get(label, "") for label in MODEL)
            if name in _PLACES:
                numbers.setdefault(key, {})[name] = value
            elif name in _BINNED:
                bins.setdefault(key, []).append((name, labels.get(BIN, ""), value))
    found: dict[str, dict[str, Said]] = {name: {} for name in gateways.values()}
    for key, values in numbers.items():
        if (said := _said(values, bins.get(key, ()))) is not None:
            found[key[0]][key[1]] = said
    return found


def samples(vector: Vector) -> Iterable[tuple[Mapping[str, str], float, float]]:
    """Labels, when it was asked, and the value."""
    try:
        for sample in vector:
            asked, value = sample["value"]
            yield dict(sample["metric"]), float(asked), float(value)
    except (LookupError, TypeError, ValueError) as error:
        raise NoAnswer(NONSENSE) from error


def _said(numbers: Mapping[str, float], bins: Iterable[tuple[str, str, float]]) -> Said | None:
    said: Said = {"idleSeconds": 0.0}
    for name, metric in _PLACES.items():
        if not _sound(value := numbers.get(name, math.nan)):
            return None
        _put(said, metric.path, str(int(value)) if metric is EPOCH else value)
    for metric in BINNED:
        _put(said, metric.path, {})
    for name, number, value in bins:
        if not _sound(value) or not number.isdecimal() or int(number) >= BINS:
            return None
        _at(said, _BINNED[name].path)[number] = value
    return said


def _sound(value: float) -> bool:
    return 0 <= value <= MOST  # neither is NaN


def _put(said: Said, path: Sequence[str], value: Any) -> None:
    _at(said, path[:-1])[path[-1]] = value


def _at(said: Said, path: Sequence[str]) -> Said:
    for name in path:
        said = said.setdefault(name, {})
    return said
