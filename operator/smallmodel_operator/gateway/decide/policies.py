"""From the routes of the newest configuration to what decides on their requests, made anew only where it differs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from smallmodel_operator.gateway import paths
from smallmodel_operator.gateway.decide.answer import FAILING
from smallmodel_operator.gateway.decide.service import Call
from smallmodel_operator.gateway.decide.service import Route as InForce
from smallmodel_operator.gateway.decide.tools import Guarded
from smallmodel_operator.gateway.decide.turns import Turns
from smallmodel_operator.gateway.decide.withheld import withheld
from smallmodel_operator.gateway.routed import Choice, Lead, Reference, Route
from smallmodel_operator.gateway.state import Model, State
from smallmodel_operator.routing.choice.given import Given
from smallmodel_operator.routing.declared import labels
from smallmodel_operator.routing.policy import Boundary, Escalate, External, Need, Ready, RoutePolicy, Target, compiled
from smallmodel_operator.routing.verdict import Can

_ALL: Final = frozenset(Need)
MOST_SAID: Final = 4096
"""Policies whose content is kept for records."""
_INSIDE: Final = Boundary(detectors=())
"""Of a route whose targets are all SmallModels: there is nothing to look for, no request can leave."""
ABSENT: Final = "egress-absent"
"""No pod of the egress is ready."""


@dataclass(frozen=True, slots=True)
class _Made:
    state: State
    route: Route
    given: tuple[Given | None, ...]
    found: InForce


class Policies:
    """Routes as they are in force. `state`: of the newest configuration; `classifier`: of a reference, if it could be
    read; `resting`: is a target outside left alone, because it failed?"""

    def __init__(
        self,
        state: Callable[[], State],
        classifier: Callable[[Reference | None], Given | None],
        said: dict[str, dict[str, Any]] | None = None,
        resting: Callable[[str], bool] = lambda target: False,
        p95: Callable[[str], float | None] = lambda model: None,
    ) -> None:
        """`said`: what is said of each policy that comes into force, by its hash, for records. `p95`: seconds within
        which a model's latest answers were whole; None: not known."""
        self._state, self._classifier, self._resting, self._p95 = state, classifier, resting, p95
        self._said = {} if said is None else said
        self._made: dict[str, _Made] = {}

    def wanted(self) -> list[Reference]:
        """The classifiers that routes name."""
        choices = (route.choice for route in self._state().routes.values())
        return [reference for choice in choices if choice for reference in choice.classifiers]

    def services(self) -> set[tuple[str, str]]:
        """Namespace and name of the Services that routes have as recognizers, where something may leave."""
        routes = self._state().routes.values()
        open_ = (r for r in routes if r.outside and r.boundary.external is not External.DENIED)
        return {(r.namespace, one.service) for r in open_ for one in r.boundary.recognizers if one.service}

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
        choice, made = route.choice or Choice((), route.leads[0].name), self._made.get(path)
        given = tuple(self._classifier(reference) for reference in choice.classifiers)
        # By identity: to compare equal ones takes long.
        known = made is not None and list(map(id, made.given)) == list(map(id, given))
        if made and known and made.state is state:
            return made.found
        same = made and known and _decides(made.route) == _decides(route)
        ready = made.found.ready if made and same else self._made_now(_ready(route, choice, given))
        can = {lead.name: able(route, lead, state.models) for lead in route.leads}
        turns = Turns.of(ready, made.found.turns if made else None)
        self._made[path] = _Made(state, route, given, InForce(ready, can, _guarded(route, state), turns))
        return self._made[path].found

    def _made_now(self, ready: Ready) -> Ready:
        """Decisions name it from now on: what it says has to be known before."""
        self._said.pop(ready.hash, None)
        self._said[ready.hash] = ready.policy.said()
        while len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
        return ready

    def away(self, target: str) -> str:
        """Why nothing is sent by rules to a target outside now; empty: it is."""
        if not self._state().egress:
            return ABSENT
        return FAILING if self._resting(target) else ""

    def p95(self, model: str) -> float | None:
        """How fast a model answers; None: not known. What was measured says nothing of one that has to start."""
        return self._p95(model) if self._state().endpoints.get(model) else None

    def labels(self, call: Call) -> Collection[str]:
        """Those of a request that its route trusts."""
        route = self._state().routes.get(call.route)
        return labels(route.boundary, call.caller, call.said) if route else ()


def _decides(route: Route) -> tuple[object, ...]:
    """What of a route a policy is made of."""
    return route.leads, route.choice, route.boundary, route.tools, route.budgets, route.content


def _guarded(route: Route, state: State) -> Guarded | None:
    if route.tools is None:
        return None
    models = {lead.name: model for lead in route.leads if (model := state.models.get(lead.target))}
    return Guarded(route.tools, {name: model.request_key or 1 for name, model in models.items()})


def _ready(route: Route, choice: Choice, given: tuple[Given | None, ...]) -> Ready:
    read = {place: one for place, one in zip(choice.classifiers, given, strict=True) if one}
    policy = RoutePolicy(
        route.namespace,
        route.name,
        tuple(Target(lead.name, lead.outside or lead.target, not lead.outside) for lead in route.leads),
        choice.default,
        choice.rules,
        escalation=_escalate(choice, read),
        boundary=route.boundary if route.outside else _INSIDE,
        classifier=read[choice.classifier].digest if choice.classifier and choice.classifier in read else "",
        least=choice.least,
        content=route.content,
        withheld=withheld(route),
    )
    return compiled(policy, {one.digest: one.learned for one in read.values()})


def _escalate(choice: Choice, read: Mapping[Reference, Given]) -> Escalate | None:
    given = choice.escalation
    if given is None:
        return None
    return Escalate(
        given.order,
        given.threshold or 0.0,
        read[given.classifier].digest if given.classifier and given.classifier in read else "",
        given.on_unavailable,
        given.most_percent,
        given.window_seconds,
        given.confidence,
    )


def able(route: Route, lead: Lead, models: Mapping[str, Model]) -> Can:
    """What a target can do, and whether it answers: asleep does, and of one outside nothing else is known."""
    model = models.get(lead.target)
    answers = route.why_not(lead, models) == "ok" and not (model and closed(model))
    return replace(capable(model), answers=answers)


def closed(model: Model) -> bool:
    """Switched off, stopped, its budget used up, or not to be started without a person: whoever asks gets an error."""
    return model.off or model.stopped or model.spent or bool(model.stalled)


def capable(model: Model | None) -> Can:
    """What a model can do, as far as is known here. One that is not there keeps what it gets: its route says so; of one
    outside everything is expected."""
    if model is None:
        return Can(_ALL)
    needs = _ALL - {Need.EMBEDDINGS} if paths.EMBEDDINGS in model.lacks else _ALL
    return Can(needs, frozenset(dict(model.adapters)), model.context_tokens)
