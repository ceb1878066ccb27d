"""Whether the recognizers of a route run, as far as can be seen without asking them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smallmodel_operator.api.names import LABEL_ROLE, RECOGNIZER_PORT, ROLE_RECOGNIZER
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.control.route.resolve import Route
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.routes import Served
from smallmodel_operator.routing.detect.recognizer import Recognizer
from smallmodel_operator.routing.policy import External

Models = Mapping[tuple[str, str], Served | None]
_MARK = f"{LABEL_ROLE}: {ROLE_RECOGNIZER}"


def wanted(route: Route) -> tuple[Recognizer, ...]:
    """Those that are asked: none where nothing may leave anyhow."""
    open_ = bool(route.outside) and route.boundary.external is not External.DENIED
    return route.boundary.recognizers if open_ else ()


def model_problem(one: Recognizer, model: Served | None) -> str:
    """Why a SmallModel does not answer as a recognizer; empty: it does."""
    if model is None:
        return f"SmallModel {one.model!r} does not exist in this namespace: create it, or correct `smallModelRef`"
    if not model.ready:
        return f"SmallModel {one.model!r} is not Ready ({model.reason or 'nothing is known of it yet'}): see its status"
    if model.reason == "Asleep":
        return f"SmallModel {one.model!r} is asleep and is not woken for this: set its `scaling.minReplicas` to 1"
    return ""


def service_problem(one: Recognizer, service: Object | None, pods: Sequence[Object], *, reached: bool) -> str:
    """Why a Service does not answer as a recognizer; empty: it should. `pods`: those its selector selects; `reached`:
    gateways have a way there."""
    if not reached:
        return "gateways have no way to recognizers: set `boundary.recognizers.enabled` in the chart"
    if service is None:
        return f"Service {one.service!r} does not exist in this namespace: create it, or correct `service.name`"
    if not _is_marked(service):
        return f"Service {one.service!r} has not the label `{_MARK}`, so gateways do not look for its pods: add it"
    if not selector(service):
        return f"Service {one.service!r} selects no pods by labels, and nobody else is asked: give it a `selector`"
    running = [pod for pod in pods if _is_ready(pod)]
    if not running:
        return f"Service {one.service!r} has no pod that is Ready: see the pods its `selector` selects"
    if not any(map(_is_marked, running)):
        return f"no Ready pod of Service {one.service!r} has the label `{_MARK}`, so gateways do not reach it: add it"
    target = [port.get("targetPort", port.get("port")) for port in (service["spec"].get("ports") or ())[:1]]
    if not target or (isinstance(target[0], int) and target[0] != RECOGNIZER_PORT):
        return f"the first port of Service {one.service!r} does not lead to port {RECOGNIZER_PORT} of its pods: let it"
    return ""


def selector(service: Object) -> str:
    """By which labels a Service selects its pods, as a query."""
    found: Mapping[str, Any] = (service.get("spec") or {}).get("selector") or {}
    return ",".join(f"{label}={value}" for label, value in sorted(found.items()))


def _is_marked(obj: Object) -> bool:
    return bool((obj["metadata"].get("labels") or {}).get(LABEL_ROLE) == ROLE_RECOGNIZER)


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ended = pod["metadata"].get("deletionTimestamp") is not None
    return not ended and any((c.get("type"), c.get("status")) == ("Ready", "True") for c in conditions)


class Recognizers:
    """Looks at them. `reached`: have gateways a way to Services? The chart says."""

    def __init__(self, client: Client, reached: Callable[[], bool]) -> None:
        self._client, self._reached = client, reached

    async def look(self, route: Route, models: Models) -> tuple[str, ...]:
        """What is the matter with a route's recognizers, in sentences without a full stop; none: all run."""
        found = [(one.name, await self._problem(route.namespace, one, models)) for one in wanted(route)]
        return tuple(f"Recognizer {name!r}: {problem}" for name, problem in found if problem)

    async def _problem(self, namespace: str, one: Recognizer, models: Models) -> str:
        if one.model:
            return model_problem(one, models.get((namespace, one.model)))
        service = await self._client.get("Service", one.service, namespace) if self._reached() else None
        labels = selector(service) if service else ""
        pods = await self._client.list("Pod", namespace, labelSelector=labels) if labels else []
        return service_problem(one, service, pods, reached=self._reached())
