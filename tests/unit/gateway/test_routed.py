"""A ModelRoute as the gateway sees it."""

from typing import Any

import pytest
from tests.gateway.states import model

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.window import Period
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.gateway.routed import Escalation, Lead, Reference, Route, named
from smallmodel_operator.gateway.view import Keys, Surroundings, state_of
from smallmodel_operator.routing.choice import given
from smallmodel_operator.routing.policy import Confidence, External, Match, Measure, Need, Rule, Trusted, Within
from smallmodel_operator.routing.tools.check import Bounds

EARLY, LATE = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"


def body(created: str = LATE, **spec: Any) -> dict[str, Any]:
    targets = [
        {"name": "small", "smallModelRef": {"name": "bot"}},
        {"name": "large", "smallModelRef": {"name": "llm", "namespace": "shared"}},
    ]
    meta = {"name": "desk", "namespace": "support", "creationTimestamp": created}
    return {"metadata": meta, "spec": {"targets": targets, **spec}}


def test_what_is_read_of_it() -> None:
    access = {"namespaces": ["crm"], "apiKeys": [{"name": "partner"}], "limits": {"maxBodyBytes": 2048}}
    route = Route.of(body(default="large", access=access))
    assert route.path == "support/desk"
    assert route.leads == (Lead("small", "support/bot", 0), Lead("large", "shared/llm", 1))
    assert route.access.allow == {"ns:support", "ns:crm", "key:support/desk/partner"}
    assert route.access.max_body_bytes == 2048


@pytest.mark.parametrize(
    ("allow", "why"), [((), "forbidden"), (("ns:support",), "ok"), (("ns:crm", "sa:support/x"), "forbidden")]
)
def test_another_namespace_consents(allow: tuple[str, ...], why: str) -> None:
    models = {"shared/llm": model("shared/llm", allow), "support/bot": model("support/bot")}
    route = Route.of(body(default="small"))
    small, large = route.leads
    assert (route.why_not(small, models), route.why_not(large, models)) == ("ok", why)
    assert route.why_not(small, {}) == "missing"


def test_bounds_of_tools() -> None:
    tools = {"allow": ["find"], "maxCallsPerConversation": 8}
    bounded, free = Route.of(body(default="small", tools=tools)), Route.of(body(default="small"))
    assert (bounded.tools, bounded.asks) == (Bounds(frozenset({"find"}), 8, None), True)
    assert (free.tools, free.asks) == (None, False)
    assert Route.of(body(default="small", tools={"allow": []})).tools == Bounds(frozenset())
    assert Route.of(body(default="small", tools={"maxTokensPerConversation": 9})).tools == Bounds(None, None, 9)


@pytest.mark.parametrize(("created", "route_has_it"), [(EARLY, True), (LATE, False)])
def test_a_name_means_one_of_both(created: str, route_has_it: bool) -> None:
    models = {m.target: m for m in (model("support/desk", created=LATE), model("support/bot"))}
    found, routes = named(models, {"support/desk": Route.of(body(created, default="small"))})
    assert ("support/desk" in found, "support/desk" in routes) == (not route_has_it, route_has_it)
    assert "support/bot" in found


def test_who_brings_a_key_under_another_name_may_use_a_route_that_lists_it() -> None:
    route = Route.of(body(default="small", access={"apiKeys": [{"name": "partner"}]}))
    keys = Keys({"a" * 64: Identity("", "key:crm/notes/p", ("key:support/desk/partner",))}, b"m" * 32)
    state = state_of([], {}, {}, keys, Surroundings(), [route])
    assert "key:crm/notes/p" in state.routes["support/desk"].access.allow


def test_requests_are_asked_for_where_rules_choose_or_budgets_count() -> None:
    assert not Route.of(body(default="small")).asks
    rule = {"name": "r", "match": {"requires": ["Tools"]}, "target": "large"}
    assert Route.of(body(default="small", rules=[rule])).asks
    found = Route.of(body(default="small", budgets=[{"per": "Caller", "period": "Day", "requests": 5}]))
    assert found.budgets == (Limit(Per.CALLER, Period.DAY, Unit.REQUESTS, 5),)
    assert (found.asks, found.choice) == (True, None)


def test_rules_are_read_with_their_classifier() -> None:
    rules = [
        {"name": "legal", "match": {"taskClass": "legal", "requires": []}, "target": "large"},
        {"name": "long", "match": {"requires": ["Tools"], "contextTokensOver": 900}, "target": "large"},
    ]
    classifier = {"configMapRef": {"name": "departments"}, "threshold": "0.75"}
    obj = body(default="small", rules=rules, classifier=classifier)
    choice = Route.of(obj).choice
    assert choice is not None
    assert choice.rules == (
        Rule("legal", Match("legal"), "large"),
        Rule("long", Match("", (Need.TOOLS,), 900), "large"),
    )
    assert (choice.default, choice.least) == ("small", 0.75)
    assert choice.classifier == Reference("support", "departments", "tasks.json"), "the route's own namespace, always"
    read = {**obj, "status": {"classifier": {"digest": "sha256:x"}}}
    assert Route.of(read).choice != choice, "another digest in the status is news"


def test_rules_by_adapter_and_deadline_are_read() -> None:
    rules = [
        {"name": "hr", "match": {"adapter": "hr"}, "target": "small"},
        {"name": "fast", "match": {"requires": []}, "withinDeadline": {"order": ["large", "small"]}},
        {"name": "or-not", "withinDeadline": {"order": ["large"], "onMissed": "Default"}},
    ]
    route = Route.of(body(default="small", rules=rules))
    assert route.choice is not None
    assert route.choice.rules == (
        Rule("hr", Match(adapter="hr"), "small"),
        Rule("fast", Match(), within=Within(("large", "small"))),
        Rule("or-not", Match(), within=Within(("large",), refuse=False)),
    )
    assert route.timed == {"support/bot", "shared/llm"}
    assert not Route.of(body(default="small", rules=rules[:1])).timed
    loaded = {"support/bot": model("support/bot", lora=True, adapters=(("hr", 0), ("legal", 1)))}
    assert route.adapters(loaded) == ("hr",), "the other one no rule names"
    assert route.adapters({"support/bot": model("support/bot"), "shared/llm": loaded["support/bot"]}) == ()
    assert Route.of(body(default="small")).adapters(loaded) == ()


CLOUD = {"name": "cloud", "external": {"url": "https://api.example.com/v1", "model": "vendor/big-1:latest"}}


def with_cloud(**spec: Any) -> dict[str, Any]:
    found = body(**spec)
    return {**found, "spec": {**found["spec"], "targets": [*found["spec"]["targets"], CLOUD]}}


def test_a_target_outside_gets_nothing_by_lot_and_is_asked_about_by_its_name() -> None:
    route = Route.of(with_cloud(default="large"))
    assert route.leads[-1] == Lead("cloud", "support/desk/cloud", 0, "vendor/big-1:latest")
    assert route.outside == route.leads[-1:]
    assert route.choice is not None
    assert (route.choice.default, route.choice.rules) == ("large", ())
    assert (route.asks, route.decides) == (True, False), "who names it waits, nobody else"
    shared = with_cloud()
    for target, weight in zip(shared["spec"]["targets"], (3, 1, None), strict=True):
        target["weight"] = weight
    route = Route.of(shared)
    assert [lead.share for lead in route.leads] == [3, 1, 0]
    assert route.choice is not None
    assert route.choice.default == "small"
    one = with_cloud(rules=[{"name": "all", "match": {}, "target": "cloud"}], default="small")
    assert Route.of(one).decides
    assert route.why_not(route.leads[-1], {}) == "ok"


def test_its_boundary_is_read_and_without_one_nothing_leaves() -> None:
    assert Route.of(with_cloud(default="large")).boundary.external is External.DENIED
    trusted = [{"name": "partner", "apiKey": "partner", "mayLabel": ["public"]}]
    spec = {"default": "small", "boundary": {"external": "WhenClean", "labels": ["secret"], "trusted": trusted}}
    route = Route.of(with_cloud(**spec))
    assert route.boundary.labels == ("secret",)
    assert route.boundary.trusted == (Trusted("key:support/desk/partner", (), ("public",)),)
    keys = Keys({"a" * 64: Identity("", "key:crm/notes/p", ("key:support/desk/partner",))}, b"m" * 32)
    found = state_of([], {}, {}, keys, Surroundings(), [route]).routes["support/desk"].boundary.trusted
    assert [one.who for one in found] == ["key:support/desk/partner", "key:crm/notes/p"], "the same holder"


def test_a_name_that_no_request_can_carry_is_no_route() -> None:
    bad = with_cloud(default="small")
    bad["spec"]["targets"][-1] = {**CLOUD, "external": {**CLOUD["external"], "model": 'x"]\n'}}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="'cloud'"):
        Route.of(bad)


def test_escalation_is_read_with_its_classifier() -> None:
    escalation = {"order": ["large"], "complexity": {"classifierRef": {"name": "hardness"}, "threshold": "0.62"}}
    obj = body(default="small", escalation={**escalation, "maxPercent": 10, "windowSeconds": 60})
    hardness = Reference("support", "hardness", "escalation.json", field=given.HARD)
    choice = Route.of(obj).choice
    assert choice is not None
    assert choice.escalation == Escalation(("large",), hardness, 0.62, False, 10.0, 60.0)
    assert choice.classifiers == (hardness,)
    assert Route.of({**obj, "status": {"escalation": {"digest": "sha256:x"}}}).choice != choice
    choice = Route.of(body(default="small", escalation={"order": ["large"], "onUnavailable": True})).choice
    assert choice is not None
    assert choice.escalation == Escalation(("large",), on_unavailable=True)


def test_without_rules_there_is_no_choice() -> None:
    assert Route.of(body(default="small")).choice is None
    assert Route.of(body(default="small", rules=[])).choice is None


def test_what_a_target_outside_asks_for_is_read_with_it() -> None:
    price = {"promptPerMillionTokens": "0.15", "generatedPerMillionTokens": "0.6", "currency": "EUR"}
    cloud = {"url": "https://api.example.com/v1", "model": "big-1"}
    obj = body(default="small", budgets=[{"per": "Route", "period": "Day", "money": "2.5", "currency": "EUR"}])
    obj["spec"]["targets"] += [
        {"name": "cloud", "external": {**cloud, "price": price}},
        {"name": "b", "external": cloud},
    ]
    found = Route.of(obj)
    assert [lead.price for lead in found.outside] == [Price(150_000, 600_000, "EUR"), None]
    assert found.budgets == (Limit(Per.ROUTE, Period.DAY, Unit.MONEY, 2_500_000_000_000, currency="EUR"),)


def test_answers_are_judged_as_declared() -> None:
    choice = Route.of(body(default="small", escalation={"order": ["large"], "confidence": {"below": "0.75"}})).choice
    assert choice is not None
    assert choice.escalation is not None
    assert choice.escalation.confidence == Confidence(0.75, Measure.MEAN)
    given = {"below": "1", "measure": "Whole"}
    choice = Route.of(body(default="small", escalation={"order": ["large"], "confidence": given})).choice
    assert choice is not None
    assert choice.escalation is not None
    assert choice.escalation.confidence == Confidence(1.0, Measure.WHOLE)
