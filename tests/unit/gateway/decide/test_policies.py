"""Routes as they are in force: made of the newest configuration and of the classifier that could be read."""

from dataclasses import replace
from typing import Any

from tests.gateway.states import model, state_of
from tests.unit.routing.test_given import hard, text

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.window import Period
from smallmodel_operator.gateway.decide.policies import Policies, capable
from smallmodel_operator.gateway.decide.tools import Guarded
from smallmodel_operator.gateway.paths import EMBEDDINGS
from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Reference, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.choice import given
from smallmodel_operator.routing.policy import Match, Need, Rule
from smallmodel_operator.routing.tools.check import Bounds
from smallmodel_operator.routing.verdict import Because, Can, decide

TASKS = Reference("support", "departments", "tasks.json")
HARD = Reference("support", "hardness", "escalation.json", field=given.HARD)
UP = Escalation(("large",), HARD, most_percent=50.0)
CHOICE = Choice((Rule("legal", Match("legal"), "large"),), "small", TASKS)
ROUTE = Route(
    "support",
    "desk",
    "",
    Access(frozenset()),
    (Lead("small", "support/bot", 1), Lead("large", "support/llm", 0)),
    choice=CHOICE,
)
LEGAL = b'{"messages":[{"role":"user","content":"the contract clause and the liability cap"}]}'


class Agent:
    """What a gateway has."""

    def __init__(self, **route: Any) -> None:
        self.state = State()
        self.given: given.Given | None = given.read(text())
        self.hard: given.Given | None = given.read(hard(), given.HARD)
        self.policies = Policies(lambda: self.state, self.read)
        self.configure(**route)

    def read(self, reference: Reference | None) -> given.Given | None:
        return self.hard if reference == HARD else self.given

    def configure(self, **route: Any) -> None:
        models = (model("support/bot", lacks=(EMBEDDINGS,), context_tokens=2048), model("support/llm"))
        self.state = state_of(models, {}, routes={"support/desk": replace(ROUTE, **route)})

    def decided(self, body: bytes = LEGAL) -> tuple[str, Because, str]:
        route = self.policies.route("support/desk")
        assert route is not None
        request = Request("/v1/chat/completions", body)
        found = decide(route.ready, request, (), route.can, lambda: 0.0, route.turns)
        return (found.target.name if found.target else ""), found.because, found.rule


def test_a_route_with_bounds_of_tools_is_asked_for_and_knows_its_models_keys() -> None:
    agent = Agent(choice=None, tools=Bounds(frozenset({"find"})))
    found = agent.policies.route("support/desk")
    assert found is not None
    assert found.tools == Guarded(Bounds(frozenset({"find"})), {"small": 1, "large": 1})
    models = (model("support/bot", request_key=4),)
    agent.state = state_of(models, {}, routes={"support/desk": replace(ROUTE, tools=Bounds(most_calls=1))})
    found = agent.policies.route("support/desk")
    assert found is not None
    assert found.tools == Guarded(Bounds(most_calls=1), {"small": 4})


def test_a_route_with_rules_is_decided_on_and_no_other() -> None:
    agent = Agent()
    assert agent.decided() == ("large", Because.RULE, "legal")
    assert agent.policies.wanted() == [TASKS]
    assert agent.policies.route("support/other") is None
    limit = Limit(Per.ROUTE, Period.DAY, Unit.REQUESTS, 5)
    agent.configure(choice=None, budgets=(limit,))
    assert agent.policies.route("support/desk") is not None, "it is asked for, to be counted"
    assert agent.decided()[1] is Because.DEFAULT
    agent.configure(choice=None, budgets=(limit,), leads=())
    assert agent.policies.route("support/desk") is None
    agent.configure(choice=None)
    assert agent.policies.route("support/desk") is None
    assert agent.policies.wanted() == []


def test_a_classifier_comes_goes_and_is_replaced() -> None:
    agent = Agent()
    before = agent.policies.route("support/desk")
    assert before is not None
    assert agent.policies.route("support/desk") is before, "nothing is made twice"
    agent.given = None
    assert agent.decided() == ("small", Because.DEFAULT, "")
    agent.given = given.read(text(4))
    after = agent.policies.route("support/desk")
    assert after is not None
    assert agent.decided() == ("large", Because.RULE, "legal")
    assert after.ready.hash != before.ready.hash, "the classifier is part of what a decision is recorded with"


def test_a_new_configuration_keeps_what_is_the_same() -> None:
    agent = Agent()
    before = agent.policies.route("support/desk")
    agent.configure()
    after = agent.policies.route("support/desk")
    assert before is not None
    assert after is not None
    assert after.ready is before.ready
    agent.configure(choice=replace(CHOICE, default="large", rules=()))
    assert agent.decided() == ("large", Because.DEFAULT, "")


def test_the_threshold_of_the_route_counts() -> None:
    assert Agent(choice=replace(CHOICE, least=1.0)).decided() == ("small", Because.DEFAULT, "")


LEMMA = b'{"messages":[{"role":"user","content":"prove the lemma for case b"}]}'
TEN = range(10)


def test_hard_requests_are_escalated_and_no_more_than_the_share() -> None:
    agent = Agent(choice=replace(CHOICE, escalation=UP))
    assert agent.policies.wanted() == [TASKS, HARD]
    assert [agent.decided(LEMMA)[0] for _ in TEN] == ["small", "large"] * 5
    assert agent.decided(LEGAL)[1] is Because.RULE


def test_a_new_configuration_does_not_begin_the_share_anew() -> None:
    agent = Agent(choice=replace(CHOICE, escalation=UP))
    found = []
    for turn in TEN:
        agent.configure(choice=replace(CHOICE, escalation=UP, rules=CHOICE.rules if turn % 2 else ()))
        found.append(agent.decided(LEMMA)[0])
    assert found == ["small", "large"] * 5
    agent.configure(choice=replace(CHOICE, escalation=replace(UP, most_percent=100.0)))
    assert {agent.decided(LEMMA)[0] for _ in TEN} == {"large"}


def test_without_what_says_how_hard_a_request_is_nothing_is_escalated() -> None:
    agent = Agent(choice=replace(CHOICE, escalation=UP))
    agent.hard = None
    assert agent.decided(LEMMA) == ("small", Because.DEFAULT, "")
    route = agent.policies.route("support/desk")
    assert route is not None
    assert route.turns is None


def test_a_threshold_keeps_what_is_below_it() -> None:
    agent = Agent(choice=replace(CHOICE, escalation=replace(UP, threshold=1.0, most_percent=100.0)))
    assert agent.decided(LEMMA) == ("small", Because.DEFAULT, "")


def test_who_cannot_answer_is_stood_in_for() -> None:
    agent = Agent(choice=replace(CHOICE, escalation=Escalation(("large",), on_unavailable=True)))
    assert agent.decided(LEMMA) == ("small", Because.DEFAULT, "")
    for field, value in (("off", True), ("stopped", True), ("spent", True), ("stalled", "WeightsNotFound")):
        models = {**agent.state.models, "support/bot": model("support/bot", **{field: value})}
        agent.state = replace(agent.state, models=models)
        assert agent.decided(LEMMA) == ("large", Because.UNAVAILABLE, ""), field
    agent.state = replace(agent.state, models={"support/llm": agent.state.models["support/llm"]})
    assert agent.decided(LEMMA) == ("large", Because.UNAVAILABLE, "")


def test_what_models_can_do() -> None:
    every = frozenset(Need)
    assert capable(None) == Can(every)
    assert capable(model("support/bot", lacks=(EMBEDDINGS,))) == Can(every - {Need.EMBEDDINGS}, context_tokens=4096)
    assert capable(model("support/bot", context_tokens=512)) == Can(every, context_tokens=512)
    loaded = model("support/bot", lora=True, adapters=(("hr", 0), ("legal", 1)))
    assert capable(loaded).adapters == {"hr", "legal"}


def test_how_fast_one_is_that_has_to_start_nobody_knows() -> None:
    state = state_of((model("support/bot"), model("support/llm")), {"support/bot": 80})
    policies = Policies(lambda: state, lambda _: None, p95={"support/bot": 0.5, "support/llm": 0.1}.get)
    assert (policies.p95("support/bot"), policies.p95("support/llm"), policies.p95("support/x")) == (0.5, None, None)


def test_one_hash_is_of_all_that_a_route_withholds() -> None:
    """And what is said of it names each bound."""
    agent, hashes = Agent(), []
    leads = (*ROUTE.leads, Lead("cloud", "support/desk/cloud", 0, "big-1", Price(150_000, 600_000, "EUR")))
    euros = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, 4 * 10**14, local=True, currency="EUR")
    dearer = (*ROUTE.leads, replace(leads[-1], price=Price(150_000, 600_001, "EUR")))
    for changes in (
        {},
        {"tools": Bounds(frozenset({"find", "add"}), 8)},
        {"tools": Bounds(frozenset({"find"}), 8)},
        {"leads": leads, "budgets": (euros,)},
        {"leads": leads, "budgets": (replace(euros, most=euros.most + 1),)},
        {"leads": leads, "budgets": (replace(euros, local=False),)},
        {"leads": dearer, "budgets": (euros,)},
        {"leads": leads, "budgets": (replace(euros, soft_percent=80),)},
    ):
        agent.configure(**changes)
        found = agent.policies.route("support/desk")
        assert found is not None
        hashes.append(found.ready.hash)
        said = found.ready.policy.said()
        assert found.ready.policy.hash() == found.ready.hash
        assert ("withheld" in said) == bool(changes)
    assert len(set(hashes)) == 7
    assert hashes[3] == hashes[-1], "when it is said that little is left withholds nothing"
    assert said["withheld"] == {
        "budgets": [
            {
                "limit": "Route/Month/Money",
                "most": "400.00 EUR",
                "onExceeded": "LocalOnly",
                "perToken": {"cloud": {"prompt": "0.00000015 EUR", "generated": "0.0000006 EUR"}},
            }
        ]
    }
    agent.configure(tools=Bounds(frozenset({"find", "add"}), 8))
    again = agent.policies.route("support/desk")
    assert again is not None
    assert again.ready.policy.said()["withheld"] == {"tools": {"allow": ["add", "find"], "maxCallsPerConversation": 8}}
    assert again.ready.hash == hashes[1]
