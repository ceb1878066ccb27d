"""Routes with rules through the real Envoy and the agent's real service of decisions: where requests go, what is
recorded of it before, and what happens where nobody decides."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, SUPPORT, model, state_of
from tests.unit.routing import departments

from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.server import serve
from smallmodel_operator.gateway.decide.service import Deciding
from smallmodel_operator.gateway.paths import EMBEDDINGS
from smallmodel_operator.gateway.routed import Choice, Lead, Reference, Route
from smallmodel_operator.gateway.state import Access, State
from smallmodel_operator.routing.choice import file, given
from smallmodel_operator.routing.choice.training import learn_tasks
from smallmodel_operator.routing.policy import Match, Need, Rule

CHAT = "/v1/chat/completions"
LEADS = (
    Lead("small", "support/bot", 1),
    Lead("legal", "support/legal", 0),
    Lead("tax", "support/tax", 0),
    Lead("tools", "support/tuned", 0),
    Lead("vectors", "support/vectors", 0),
    Lead("off", "support/off", 0),
    Lead("foreign", "crm/notes", 0),
)
RULES = (
    Rule("tools", Match(requires=(Need.TOOLS,)), "tools"),
    Rule("vectors", Match(requires=(Need.EMBEDDINGS,)), "vectors"),
    Rule("legal", Match("legal"), "legal"),
    Rule("tax", Match("tax"), "tax"),
    Rule("travel", Match("travel"), "off"),
    Rule("press", Match("press"), "foreign"),
)
TASKS = Reference("support", "departments", "tasks.json")


def route(name: str, **fields: Any) -> Route:
    access = Access(frozenset({"ns:support"}), max_body_bytes=8 << 20)
    choice = fields.pop("choice", Choice(RULES, "small", TASKS))
    return Route("support", name, "2026-11-20T10:00:00Z", access, LEADS, choice=choice, **fields)


ROUTES = (
    route("desk"),
    route("untaught", choice=Choice(RULES, "small", Reference("support", "gone", "tasks.json"))),
    route("plain", choice=None),
    route("halted", stopped=True),
)


def state(ports: Mapping[str, int]) -> State:
    models = (
        model("support/bot", lacks=(EMBEDDINGS,), max_body_bytes=8 << 20),
        model("support/legal", lacks=(EMBEDDINGS,), request_key=1, max_body_bytes=8 << 20, context_tokens=1000),
        model("support/tax", lacks=(EMBEDDINGS,), requests_per_minute=2),
        model("support/tuned", lacks=(EMBEDDINGS,), lora=True, adapters=(("hr", 0),)),
        model("support/vectors"),
        model("support/off", off=True, lacks=(EMBEDDINGS,)),
        model("crm/notes", lacks=(EMBEDDINGS,)),
    )
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


class Desk:
    """A gateway, and who decides on its requests; that can be ended and begun again."""

    def __init__(
        self,
        gateway: Gateway,
        read: Callable[[Reference | None], given.Given | None],
        p95: Callable[[str], float | None] = lambda model: None,
    ) -> None:
        self.gateway, self.records = gateway, list[Mapping[str, Any]]()
        self.failing = False
        self._policies = Policies(lambda: gateway.state, read, p95=p95)
        self._stack = AsyncExitStack()

    async def _record(self, body: Mapping[str, Any], content: bytes) -> None:
        if self.failing:
            raise OSError("the disk is full")
        self.records.append(body)

    def begin(self, *, strict: bool = False) -> None:
        async def begun() -> None:
            policies = self._policies
            deciding = Deciding(policies.route, lambda _: (), self._record, p95=policies.p95, strict=strict)
            await self._stack.enter_async_context(serve(deciding, Path(self.gateway.site.decide_socket)))
            self._stack.callback(deciding.close)

        self.gateway._on_loop(begun)

    def end(self) -> None:
        self.gateway._on_loop(self._stack.aclose)

    @contextmanager
    def otherwise(self, begin: Callable[[], None]) -> Iterator[None]:
        """Inside something else decides, or nobody."""
        self.end()
        begin()
        try:
            yield
        finally:
            self.end()
            self.failing = False
            self.begin()

    def ask(self, text: str = "Hello", name: str = "desk", key: str = SUPPORT, path: str = CHAT, **more: Any) -> Answer:
        body = {"model": name, "messages": [{"role": "user", "content": text}], **more}
        return self.gateway.post(path, body, key)


@pytest.fixture(scope="module")
def classifier() -> given.Given:
    return given.read(file.write(learn_tasks(departments.prompts(12, 1)), 240).decode())


@pytest.fixture(scope="module")
def desk(folder: Path, bot: Engine, notes: Engine, classifier: given.Given) -> Iterator[Desk]:
    names = ("bot", "legal", "tax", "tuned", "vectors")
    ports = {**{f"support/{name}": bot.port for name in names}, "crm/notes": notes.port}
    with Gateway(folder, state(ports)) as gateway:
        found = Desk(gateway, lambda ref: classifier if ref and ref.name == "departments" else None)
        found.begin()
        yield found
        found.end()


@pytest.fixture(autouse=True)
def forget(desk: Desk, bot: Engine, notes: Engine) -> None:
    desk.records.clear()
    bot.asked.clear()
    notes.asked.clear()


LEGAL = "Is the liability cap of this contract clause usual under governing law?"


def went(answer: Answer) -> str:
    """The model that answered."""
    assert answer.status == 200, answer
    return answer.headers["x-slm-model-digest"].removeprefix("sha256:")


def test_the_class_of_a_task_chooses_the_target(desk: Desk) -> None:
    held_out = [(p, own) for p, own in departments.held_out(6, 3) if own in ("legal", "payroll", "sales")]
    found = [(went(desk.ask(prompt)), own) for prompt, own in held_out]
    right = sum(target == ("legal" if own == "legal" else "bot") for target, own in found)
    assert right >= 0.95 * len(found), found


def test_what_is_of_no_class_goes_to_the_default(desk: Desk) -> None:
    for prompt in departments.ELSEWHERE:
        assert went(desk.ask(prompt)) == "bot"
    assert {r["slm.decision"] for r in desk.records} == {"Default"}


def test_what_a_request_asks_for_chooses_too(desk: Desk, bot: Engine) -> None:
    assert went(desk.ask(tools=[{"type": "function", "function": {"name": "f"}}])) == "tuned"
    assert json.loads(bot.asked[-1].body)["lora"] == [], "none of its adapters"
    answer = desk.gateway.post("/v1/embeddings", {"model": "desk", "input": "Hello"}, SUPPORT)
    assert went(answer) == "vectors"
    assert went(desk.ask(f"{LEGAL} {'word ' * 1200}")) == "bot", "it is longer than legal's context"


def test_a_decision_is_recorded_with_its_reason_and_no_text(desk: Desk) -> None:
    answer = desk.ask(LEGAL)
    (record,) = desk.records
    assert {k: v for k, v in record.items() if k != "slm.decision.policy"} == {
        "kind": "decision",
        "request.id": answer.headers["x-request-id"],
        "slm.route": "support/desk",
        "slm.caller": "key:support/bot",
        "slm.decision": "Rule",
        "slm.decision.target": "legal",
        "slm.decision.model": "support/legal",
        "slm.decision.boundary": "Inside",
        "slm.decision.reasons": "ExternalDenied",
        "slm.decision.rule": "legal",
        "slm.decision.class": "legal",
    }


def test_the_log_names_route_and_target_and_has_the_hmac_of_the_bytes_as_sent(desk: Desk) -> None:
    (line,) = desk.gateway.log(desk.ask(LEGAL).headers["x-request-id"])
    assert (line["slm.route"], line["slm.target"]) == ("support/desk/legal", "support/legal")
    (named,) = desk.gateway.log(desk.ask(LEGAL, "desk/legal").headers["x-request-id"])
    assert line["gen_ai.request.model"] == "desk"
    assert line["slm.request.hmac"]
    assert named["slm.route"] == line["slm.route"]


def test_only_the_models_name_is_changed_in_a_body(desk: Desk, bot: Engine) -> None:
    head, tail = '{ "messages" : [{"role":"user","content":"' + LEGAL + '"}],\t"model" : ', ' ,"n": 1.50e3}\r\n \n'
    assert went(desk.gateway.post(CHAT, f'{head}"desk"{tail}'.encode(), SUPPORT)) == "legal"
    assert bot.asked[-1].body.decode() == f'{head}"legal"{tail}'
    assert not [name for name in bot.asked[-1].headers if name.lower() in ("x-slm-decision", "x-slm-caller")]


def test_large_bodies_and_those_in_pieces_arrive_whole(desk: Desk, bot: Engine) -> None:
    for size in (900_000, 3_000_000):  # the second is longer than what is looked at
        text = json.dumps({"messages": [{"role": "user", "content": "x " * (size // 2)}], "model": "desk"}).encode()
        pieces = (text[i : i + 50_000] for i in range(0, len(text), 50_000))
        for body in (text, pieces):
            assert went(desk.gateway.post(CHAT, body, SUPPORT)) == "bot"
            assert bot.asked[-1].body == text.replace(b'"desk"', b'"bot"')


def test_who_names_a_target_is_not_decided_on(desk: Desk) -> None:
    assert went(desk.ask(LEGAL, "desk/small")) == "bot"
    assert went(desk.ask(LEGAL, "plain")) == "bot"
    assert went(desk.ask(LEGAL, "legal")) == "legal"
    assert desk.records == []


def test_a_stranger_is_refused_before_anything_is_decided(desk: Desk, bot: Engine) -> None:
    answer = desk.ask(LEGAL, key=CRM, path=f"/support{CHAT}")
    assert (answer.status, answer.headers["x-slm-cause"]) == (403, "not-allowed")
    halted = desk.ask(LEGAL, "halted")
    assert (halted.status, halted.error["code"]) == (503, "inference_stopped")
    assert (desk.records, bot.asked) == ([], [])


def test_without_a_classifier_the_default_answers_and_capabilities_still_count(desk: Desk) -> None:
    assert went(desk.ask(LEGAL, "untaught")) == "bot"
    assert went(desk.ask(LEGAL, "untaught", tools=[{"type": "function"}])) == "tuned"


def test_a_target_that_cannot_answer_says_so_and_none_takes_over(desk: Desk, notes: Engine, bot: Engine) -> None:
    off = desk.ask("The hotel rate and the per diem of the flight booking")
    assert (off.status, off.error["code"]) == (503, "model_off")
    foreign = desk.ask("The press release and the embargo time of the crisis statement")
    assert (foreign.status, foreign.error["code"]) == (503, "target_unavailable")
    assert "crm/notes does not let this route in" in foreign.error["message"]
    assert not notes.asked, "never across namespaces without consent"
    assert not bot.asked


def test_the_limit_of_the_target_counts(desk: Desk) -> None:
    text = "Check the vat return and the input tax before the tax audit"
    statuses = [desk.ask(text).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize("name", ["+support/desk", "desk|+support/desk", "+desk", "desk:x"])
def test_a_caller_cannot_name_the_way_itself(desk: Desk, bot: Engine, name: str) -> None:
    forged = {"x-slm-target": "legal", "x-slm-route": "+support/desk", "x-slm-caller": "key:x/y"}
    body = {"model": name, "messages": []}
    assert desk.gateway.post(CHAT, body, SUPPORT, **forged).status == 404
    assert (desk.records, bot.asked) == ([], [])
    assert went(desk.gateway.post(CHAT, {**body, "model": "desk"}, SUPPORT, **forged)) == "bot"


def test_where_nobody_decides_nothing_goes_and_all_else_does(desk: Desk, bot: Engine) -> None:
    with desk.otherwise(lambda: None):
        answer = desk.ask(LEGAL)
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
        assert "cannot decide where this request may go" in answer.error["message"]
        assert answer.headers["retry-after"] == "1"
        assert not bot.asked
        assert went(desk.ask(LEGAL, "desk/legal")) == "legal"
        assert went(desk.ask(LEGAL, "plain")) == "bot"
        assert went(desk.ask(LEGAL, "legal")) == "legal"
        (line,) = desk.gateway.log(answer.headers["x-request-id"])
        assert (line["slm.route"], line["slm.target"]) == ("support/desk", None)
    assert went(desk.ask(LEGAL)) == "legal"


def test_a_decision_that_cannot_be_recorded(desk: Desk, bot: Engine) -> None:
    desk.failing = True
    assert went(desk.ask(LEGAL)) == "legal", "inside the cluster, as anything is served without a record"
    with desk.otherwise(lambda: desk.begin(strict=True)):
        desk.failing = True
        bot.asked.clear()
        answer = desk.ask(LEGAL)
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
        assert not bot.asked


def test_a_target_that_leaves_and_a_rule_that_comes(desk: Desk) -> None:
    before = desk.gateway.state
    fewer = route("desk", choice=Choice((Rule("tax", Match("legal"), "tools"),), "small", TASKS))
    desk.gateway.apply(State(**{**_fields(before), "routes": {**before.routes, fewer.path: fewer}}))
    try:
        assert went(desk.ask(LEGAL)) == "tuned"
    finally:
        desk.gateway.apply(before)
    assert went(desk.ask(LEGAL)) == "legal"


def _fields(found: State) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}
