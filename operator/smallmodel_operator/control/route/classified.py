"""How the classifier of a route stands: read from its ConfigMap as the gateways read it, each text once."""

import asyncio
import time
from collections.abc import Callable
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
class Classified:
    """A classifier. `problem`: why rules by class match nothing, or one of them never. `digest` empty: none is used."""

    digest: str = ""
    classes: tuple[str, ...] = ()
    problem: Refused | None = None

    @property
    def status(self) -> dict[str, Any]:
        """What the route's status says of it; nothing where none is in use."""
        return {"classifier": {"digest": self.digest, "classes": len(self.classes)}} if self.digest else {}

    @property
    def report(self) -> Report:
        """The route's condition."""
        if self.problem is not None:
            return Report(Condition.CLASSIFIER_READY, False, self.problem.reason, self.problem.message)
        text = f"It knows {len(self.classes)} classes; its digest is {self.digest}."
        return Report(Condition.CLASSIFIER_READY, True, Reason.CLASSIFIER_READ, text)

    @property
    def look_again_seconds(self) -> float:
        return WAIT_SECONDS if self.problem else LOOK_SECONDS


def refused(reason: Reason, said: str, default: str) -> Refused:
    """A classifier that is no use, and what becomes of the requests meanwhile."""
    meanwhile = f"Until then rules by class match nothing, and target {default!r} gets their requests."
    return Refused(reason, f"{said} {meanwhile}")


def judge(route: Route, found: given.Given | str) -> Classified:
    """A classifier that was read (its weights are not kept), or why it cannot be."""
    assert route.classifier is not None
    name = route.classifier.name
    if isinstance(found, str):
        said = f"The classifier in ConfigMap {name!r}, entry {route.classifier.key!r}, cannot be used: {found}"
        return Classified(problem=refused(Reason.CLASSIFIER_INVALID, said, route.default))
    classes = tuple(sorted(found.tasks.planes))
    problem = None
    if said := given.unknown(route.classes, classes):
        text = f"A rule can never match: {said} (ConfigMap {name!r}). Correct `taskClass`, or train it with that class."
        problem = Refused(Reason.TASK_CLASS_UNKNOWN, text)
    return Classified(found.digest, classes, problem)


class Classifiers:
    """Reads them, at most once in GIVEN_SECONDS each, and keeps what came of it: their texts may have a megabyte."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: dict[ModelKey, _Known] = {}

    async def look(self, key: ModelKey, route: Route) -> Classified | None:
        """How a route's classifier stands; None: it has none."""
        if route.classifier is None:
            self.forget(key)
            return None
        asked, known = (route.classifier, route.classes, route.default), self._known.get(key)
        if known and known.asked == asked and not known.found.problem and self._clock() - known.at < GIVEN_SECONDS:
            return known.found
        config_map = await self._client.get("ConfigMap", route.classifier.name, route.namespace)
        try:
            text = given.entry(config_map, route.classifier.name, route.classifier.key)
        except given.NotFound as error:
            self.forget(key)
            return Classified(problem=refused(Reason.CLASSIFIER_NOT_FOUND, str(error), route.default))
        mark = given.fingerprint(text)
        same = known is not None and (known.asked, known.mark) == (asked, mark)
        found = known.found if known and same else await asyncio.to_thread(_read, route, text)
        self._known[key] = _Known(asked, mark, found, self._clock())
        return found

    def forget(self, key: ModelKey) -> None:
        self._known.pop(key, None)


@dataclass(frozen=True, slots=True)
class _Known:
    asked: tuple[Any, ...]
    mark: str
    found: Classified
    at: float


def _read(route: Route, text: str) -> Classified:
    try:
        found: given.Given | str = given.read(text)
    except file.Unusable as error:
        found = str(error)
    return judge(route, found)
