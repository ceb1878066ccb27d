"""How the classifiers of a route stand: read from their ConfigMaps as the gateways read them, each text once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.config_maps import GIVEN_SECONDS
from smallmodel_operator.control.route.resolve import Route
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.routing.choice import file, given

LOOK_SECONDS: Final = 60.0
"""How often the ConfigMap is read: nobody tells of its changes."""
WAIT_SECONDS: Final = 15.0
"""The same while it is no use."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A classifier that a route names. `field`: that names it; `meanwhile`: what becomes of requests without it."""

    field: str
    name: str
    key: str
    classes: frozenset[str] = frozenset()
    meanwhile: str = ""


def wanted(route: Route) -> Iterator[Wanted]:
    """Those of a route: what tells classes apart, and what says when to escalate."""
    if route.classifier is not None:
        meanwhile = f"Until then rules by class match nothing, and target {route.default!r} gets their requests."
        yield Wanted(given.TASKS, route.classifier.name, route.classifier.key, route.classes, meanwhile)
    if route.hardness is not None:
        meanwhile = f"Until then nothing is escalated for being hard, and target {route.default!r} answers."
        yield Wanted(given.HARD, route.hardness.name, route.hardness.key, meanwhile=meanwhile)


@dataclass(frozen=True, slots=True)
class Reading:
    """One classifier. `problem`: why it is no use, or some of it not. `digest` empty: none is used."""

    field: str
    digest: str = ""
    classes: tuple[str, ...] = ()
    problem: Refused | None = None

    @property
    def status(self) -> dict[str, Any]:
        """What the route's status says of it; nothing where none is in use."""
        if not self.digest:
            return {}
        if self.field == given.HARD:
            return {"escalation": {"digest": self.digest}}
        return {"classifier": {"digest": self.digest, "classes": len(self.classes)}}

    @property
    def said(self) -> str:
        if self.problem is not None:
            return self.problem.message
        if self.field == given.HARD:
            return f"What says when to escalate has digest {self.digest}."
        return f"It knows {len(self.classes)} classes; its digest is {self.digest}."


@dataclass(frozen=True, slots=True)
class Classified:
    """All classifiers of a route; at least one."""

    readings: tuple[Reading, ...]

    @property
    def problem(self) -> Refused | None:
        """The first there is."""
        return next((reading.problem for reading in self.readings if reading.problem), None)

    @property
    def status(self) -> dict[str, Any]:
        return {key: value for reading in self.readings for key, value in reading.status.items()}

    @property
    def report(self) -> Report:
        """The route's condition."""
        reason = self.problem.reason if self.problem else Reason.CLASSIFIER_READ
        said = " ".join(reading.said for reading in self.readings)
        return Report(Condition.CLASSIFIER_READY, not self.problem, reason, said)

    @property
    def look_again_seconds(self) -> float:
        return WAIT_SECONDS if self.problem else LOOK_SECONDS


def refused(reason: Reason, said: str, one: Wanted) -> Reading:
    """A classifier that is no use, and what becomes of the requests meanwhile."""
    return Reading(one.field, problem=Refused(reason, f"{said} {one.meanwhile}"))


def judge(one: Wanted, found: given.Given | str) -> Reading:
    """A classifier that was read (its weights are not kept), or why it cannot be."""
    if isinstance(found, str):
        said = f"The classifier in ConfigMap {one.name!r}, entry {one.key!r}, cannot be used: {found}"
        return refused(Reason.CLASSIFIER_INVALID, said, one)
    problem = None
    if said := given.unknown(one.classes, found.classes):
        text = f"A rule can never match: {said} (ConfigMap {one.name!r}). Correct `taskClass`, or train it."
        problem = Refused(Reason.TASK_CLASS_UNKNOWN, text)
    return Reading(one.field, found.digest, found.classes, problem)


class Classifiers:
    """Reads them, at most once in GIVEN_SECONDS each, and keeps what came of it: their texts may have a megabyte."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: dict[ModelKey, dict[str, _Known]] = {}

    async def look(self, key: ModelKey, route: Route) -> Classified | None:
        """How a route's classifiers stand; None: it has none."""
        asked = list(wanted(route))
        if not asked:
            self.forget(key)
            return None
        known = self._known.setdefault(key, {})
        for field in known.keys() - {one.field for one in asked}:
            del known[field]
        return Classified(tuple([await self._look(known, route.namespace, one) for one in asked]))

    async def _look(self, all_known: "dict[str, _Known]", namespace: str, one: Wanted) -> Reading:
        known = all_known.get(one.field)
        if known and known.asked == one and not known.found.problem and self._clock() - known.at < GIVEN_SECONDS:
            return known.found
        config_map = await self._client.get("ConfigMap", one.name, namespace)
        try:
            text = given.entry(config_map, one.name, one.key, one.field)
        except given.NotFound as error:
            all_known.pop(one.field, None)
            return refused(Reason.CLASSIFIER_NOT_FOUND, str(error), one)
        mark = given.fingerprint(text)
        same = known is not None and (known.asked, known.mark) == (one, mark)
        found = known.found if known and same else await asyncio.to_thread(_read, one, text)
        all_known[one.field] = _Known(one, mark, found, self._clock())
        return found

    def forget(self, key: ModelKey) -> None:
        self._known.pop(key, None)


@dataclass(frozen=True, slots=True)
class _Known:
    asked: Wanted
    mark: str
    found: Reading
    at: float


def _read(one: Wanted, text: str) -> Reading:
    try:
        found: given.Given | str = given.read(text, one.field)
    except file.Unusable as error:
        found = str(error)
    return judge(one, found)
