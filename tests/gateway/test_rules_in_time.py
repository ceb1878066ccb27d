"""Rules by adapter and by deadline through the real Envoy and the agent's real service of decisions; how fast targets
are is measured from the access log that this Envoy writes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import CRM, SUPPORT, model, state_of
from tests.gateway.test_rules import CHAT, Desk, went

from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.metrics import RequestMetrics
from smallmodel_operator.gateway.accesslog.recent import FEWEST
from smallmodel_operator.gateway.routed import Choice, Lead, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.policy import Match, Need, Rule, Within

NAMES = ("office", "thorough", "quick")
LEADS = (*(Lead(name, f"support/{name}", int(name == "office")) for name in NAMES), Lead("new", "support/new", 0))
ADAPTERS = (Rule("hr", Match(adapter="hr"), "office"), Rule("press", Match(adapter="press"), "new"))
ORDER = ("new", "thorough", "quick")


def route(name: str, *rules: Rule, decides: bool = True) -> Route:
    access = Access(frozenset({"ns:support"}), max_body_bytes=8 << 20)
    return Route("support", name, "", access, LEADS, choice=Choice(rules, "office") if decides else None)


ROUTES = (
    route("desk", *ADAPTERS, Rule("tools", Match(requires=(Need.TOOLS,)), "quick")),
    route("timed", Rule("in-time", Match(), within=Within(ORDER))),
    route("kind", Rule("in-time", Match(), within=Within(ORDER, refuse=False))),
    route("plain", decides=False),
)


def state(ports: Mapping[str, int]) -> State:
    models = (
        model("support/office", lora=True, adapters=(("hr", 0), ("legal", 2)), max_body_bytes=8 << 20),
        model("support/thorough"),
        model("support/quick"),
        model("support/new", lora=True),
    )
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


class Timed(Desk):
    """With who reads the log."""

    def __init__(self, gateway: Gateway) -> None:
        self.counted = Counted(gateway.site.data, RequestMetrics(CollectorRegistry()))
        super().__init__(gateway, lambda _: None, self.counted.recent.p95)

    def forget(self) -> None:
        """Nothing is known of how fast models are."""
        self._read()
        self.counted.recent.follow(())
        self.counted.recent.follow({model for route in ROUTES for model in route.timed})

    def _read(self) -> None:
        while self.counted.step():
            pass

    def measure(self, name: str, **more: Any) -> None:
        """As many answers as it takes; each takes longer than a millisecond."""
        for _ in range(FEWEST):
            last = self.ask(name=f"timed/{name}", fake_delay=0.005, **more)
        self.gateway.log(last.headers["x-request-id"])
        self._read()

    def within(self, milliseconds: Any, name: str = "timed", **more: Any) -> Any:
        body = {"model": name, "messages": [{"role": "user", "content": "Hello"}], **more}
        return self.gateway.post(CHAT, body, SUPPORT, **{"x-deadline-ms": str(milliseconds)})


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine) -> Iterator[Timed]:
    with Gateway(folder, state({f"support/{name}": bot.port for name in NAMES})) as gateway:
        found = Timed(gateway)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Timed, bot: Engine) -> None:
    desk.forget()
    desk.records.clear()
    bot.asked.clear()


# -- adapters ----------------------------------------------------------------------------------------------------


def test_an_adapter_that_a_rule_names_is_chosen_in_the_model_it_leads_to(desk: Timed, bot: Engine) -> None:
    answer = desk.ask(name="desk:hr")
    assert went(answer) == "office"
    sent = json.loads(bot.asked[-1].body)
    assert (sent["model"], sent["lora"]) == ("office", [{"id": 0, "scale": 1}])
    assert not [name for name in bot.asked[-1].headers if name.lower() in ("x-slm-adapter", "x-deadline-ms")]
    assert [record["slm.decision.rule"] for record in desk.records] == ["hr"]
    (line,) = desk.gateway.log(answer.headers["x-request-id"])
    assert (line["slm.route"], line["slm.target"], line["slm.adapter"]) == (
        "support/desk/office",
        "support/office",
        "hr",
    )
    assert line["gen_ai.request.model"] == "desk:hr"


def test_without_one_none_is_chosen_whatever_the_caller_writes(desk: Timed, bot: Engine) -> None:
    body = {"model": "desk", "messages": [], "lora": [{"id": 2, "scale": 1}]}
    assert went(desk.gateway.post(CHAT, body, SUPPORT, **{"x-slm-adapter": "hr"})) == "office"
    assert json.loads(bot.asked[-1].body)["lora"] == []
    assert went(desk.ask(name="desk", tools=[{"type": "function", "function": {"name": "f"}}])) == "quick"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("desk:legal", "unknown-adapter"),  # the model has it, no rule names it
        ("desk:press", "unknown-adapter"),  # its target has not loaded it
        ("desk:hr:hr", "unknown-adapter"),
        ("plain:hr", "unknown-adapter"),
        ("desk/office:hr", "unknown-model"),
    ],
)
def test_any_other_adapter_is_unknown(desk: Timed, bot: Engine, name: str, cause: str) -> None:
    answer = desk.ask(name=name)
    assert (answer.status, answer.error["code"], answer.headers["x-slm-cause"]) == (404, "model_not_found", cause)
    assert (desk.records, bot.asked) == ([], [])


def test_who_may_not_use_the_route_is_not_told_which_adapters_it_has(desk: Timed) -> None:
    for name in ("desk:hr", "desk:none"):
        answer = desk.ask(name=name, key=CRM, path=f"/support{CHAT}")
        assert (answer.status, answer.headers["x-slm-cause"]) == (403, "not-allowed")


def test_what_an_adapter_does_not_change_is_not_asked_of_it(desk: Timed) -> None:
    answer = desk.gateway.post("/v1/embeddings", {"model": "desk:hr", "input": "Hello"}, SUPPORT)
    assert (answer.status, answer.headers["x-slm-cause"]) == (501, "engine-lacks-it")


def test_a_body_too_large_to_be_looked_at_keeps_its_adapter(desk: Timed, bot: Engine) -> None:
    assert went(desk.ask("x " * 1_500_000, name="desk:hr")) == "office"
    assert bot.asked[-1].body.endswith(b',"lora":[{"id":0,"scale":1}]}')


def test_the_list_of_models_has_what_may_be_asked_for(desk: Timed) -> None:
    listed = [m["id"] for m in desk.gateway.get("/v1/models", SUPPORT).json["data"]]
    assert [name for name in listed if name.startswith(("desk", "plain", "timed"))] == [
        "desk", "desk:hr", "plain", "timed"
    ]  # fmt: skip


# -- deadlines ---------------------------------------------------------------------------------------------------


def test_the_first_that_is_known_to_be_as_fast_answers(desk: Timed) -> None:
    desk.measure("quick")
    answer = desk.within(60_000)
    assert went(answer) == "quick", "how fast the others are is not known"
    assert desk.records[-1]["slm.decision.deadline"] == "60000"
    assert desk.records[-1]["slm.decision.p95"].startswith("new:unknown,thorough:unknown,quick:")
    desk.measure("thorough")
    assert went(desk.within(60_000)) == "thorough"
    assert went(desk.ask(name="timed")) == "office", "who says no deadline is not meant"


def test_where_nobody_is_as_fast_the_answer_says_so(desk: Timed, bot: Engine) -> None:
    desk.measure("quick")
    bot.asked.clear()
    answer = desk.within(1)
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    assert (answer.headers["x-slm-cause"], answer.headers["x-should-retry"]) == ("deadline", "false")
    assert "No target of rule 'in-time' is known to answer within 1 ms" in answer.error["message"]
    assert "thorough unknown, quick " in answer.error["message"]
    assert not bot.asked
    assert (desk.records[-1]["slm.decision"], desk.records[-1]["slm.decision.target"]) == ("TooSlow", "")
    answer = desk.within(1, "kind")
    assert (went(answer), answer.headers["x-slm-degraded"]) == ("office", "deadline")
    assert desk.records[-1]["slm.decision.degraded"] == "deadline"


def test_what_failed_was_not_fast(desk: Timed) -> None:
    desk.measure("quick")
    desk.measure("thorough", fake_status=500)
    assert went(desk.within(60_000)) == "quick"


def test_a_model_without_pods_is_not_fast(desk: Timed) -> None:
    desk.measure("quick")
    before = desk.gateway.state
    asleep = {target: pods for target, pods in before.endpoints.items() if target != "support/quick"}
    desk.gateway.apply(State(**{**{n: getattr(before, n) for n in before.__dataclass_fields__}, "endpoints": asleep}))
    try:
        assert desk.within(60_000).status == 504
    finally:
        desk.gateway.apply(before)


@pytest.mark.parametrize("said", ["soon", "0", "1.5"])
def test_a_deadline_that_cannot_be_read_is_refused_where_one_counts(desk: Timed, said: str) -> None:
    answer = desk.within(said)
    assert (answer.status, answer.error["code"]) == (400, "invalid_deadline")
    assert "x-deadline-ms" in answer.error["message"]
    assert went(desk.within(said, "desk")) == "office"
