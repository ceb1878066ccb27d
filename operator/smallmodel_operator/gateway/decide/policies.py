"""From the routes of the newest configuration to what decides on their requests, made anew only where it differs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.gateway import paths
from smallmodel_operator.gateway.decide.service import Route as InForce
from smallmodel_operator.gateway.routed import Choice, Reference, Route
from smallmodel_operator.gateway.state import Model, State
from smallmodel_operator.routing.choice.given import Given
from smallmodel_operator.routing.policy import Boundary, Need, Ready, RoutePolicy, Target, compiled
from smallmodel_operator.routing.verdict import Can

_ALL: Final = frozenset(Need)
MOST_SAID: Final = 4096
"""Policies whose content is kept for records."""
_INSIDE: Final = Boundary(detectors=())
"""Every target is a SmallModel, so there is nothing to look for: no request can leave."""


@dataclass(frozen=True, slots=True)
class _Made:
    state: State
    route: Route
    given: Given | None
    found: InForce


class Policies:
    """Routes as they are in force. `state`: of the newest configuration; `classifier`: of a reference, if it could be
    read."""

    def __init__(
        self,
        state: Callable[[], State],
        classifier: Callable[[Reference | None], Given | None],
        said: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """`said`: what is said of each policy that comes into force, by its hash, for records."""
        self._state, self._classifier, self._said = state, classifier, {} if said is None else said
        self._made: dict[str, _Made] = {}

    def wanted(self) -> list[Reference]:
        """The classifiers that routes name."""
        choices = (route.choice for route in self._state().routes.values())
        return [choice.classifier for choice in choices if choice and choice.classifier]

    def route(self, path: str) -> InForce | None:
        """The route of a name; None: there is none whose requests are asked for.

        Raises:
            BadPolicy: the API server holds one that this release's rules would not let in.
        """
        state = self._state()
        route = state.routes.get(path)
        if route is None or not route.asks or not route.leads:
            self._made.pop(path, None)
            return None
        choice = route.choice or Choice((), route.leads[0].name)
        given, made = self._classifier(choice.classifier), self._made.get(path)
        if made and made.state is state and made.given is given:
            return made.found
        same = made and made.given is given and (made.route.leads, made.route.choice) == (route.leads, route.choice)
        ready = made.found.ready if made and same else self._made_now(_ready(route, choice, given))
        can = {lead.name: capable(state.models.get(lead.target)) for lead in route.leads}
        self._made[path] = _Made(state, route, given, InForce(ready, can))
        return self._made[path].found

    def _made_now(self, ready: Ready) -> Ready:
        """Decisions name it from now on: what it says has to be known before."""
        self._said.pop(ready.hash, None)
        self._said[ready.hash] = ready.policy.said()
        while len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
        return ready


def _ready(route: Route, choice: Choice, given: Given | None) -> Ready:
    policy = RoutePolicy(
        route.namespace,
        route.name,
        tuple(Target(lead.name, lead.target) for lead in route.leads),
        choice.default,
        choice.rules,
        boundary=_INSIDE,
        classifier=given.digest if given else "",
        least=choice.least,
    )
    return compiled(policy, {given.digest: given.tasks} if given else {})


def capable(model: Model | None) -> Can:
    """What a model can do, as far as is known here. One that is not there keeps what it gets: its route says so."""
    if model is None:
        return Can(_ALL)
    return Can(_ALL - {Need.EMBEDDINGS} if paths.EMBEDDINGS in model.lacks else _ALL, frozenset(), model.context_tokens)
