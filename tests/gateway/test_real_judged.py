"""Judged answers of the real llama-server: its token probabilities are read, streamed or whole, and nobody gets them
who has not asked."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hack.true_size.server import serving
from hack.true_size.shapes import SHAPES
from hack.true_size.write import write
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_judged import told
from tests.gateway.test_rules import CHAT, Desk

from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Route
from smallmodel_operator.gateway.state import Access
from smallmodel_operator.routing.policy import Confidence, Measure
from smallmodel_operator.routing.tools.check import Bounds

pytestmark = pytest.mark.long
SHAPE = replace(
    SHAPES["8b"], layers=2, embedding=256, feed_forward=512, heads=4, heads_kv=2, head=64, vocabulary=1000, merges=90
)
LEADS = (Lead("small", "support/bot", 1), Lead("large", "support/llm", 0))


def route(name: str, below: float, measure: Measure = Measure.MEAN) -> Route:
    """A model of random numbers is as good as never sure of anything, and never entirely unsure."""
    escalation = Escalation(("large",), most_percent=100.0, confidence=Confidence(below, measure))
    access = Access(frozenset({"ns:support"}))
    return Route("support", name, "", access, LEADS, choice=Choice((), "small", escalation=escalation))


VERIFIED = Route(
    "support",
    "verified",
    "",
    Access(frozenset({"ns:support"})),
    LEADS,
    choice=Choice((), "small"),
    tools=Bounds(verify_choice=True),
)
YES_OR_NO = {"type": "object", "properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"]}
TOOL = {"type": "function", "function": {"name": "file", "description": "File a request", "parameters": YES_OR_NO}}
ROUTES = (VERIFIED, route("sure", 0.0), route("unsure", 0.9), route("whole", 0.9, Measure.WHOLE), route("least", 0.0))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("g")
    write(SHAPE, "F16", folder / "base.gguf")
    with serving(folder / "base.gguf", 1024, 3) as server:
        server.wait()
        ports = {"support/bot": server.port, "support/llm": server.port}
        models = (model("support/bot"), model("support/llm"))
        with Gateway(folder / "e", state_of(models, ports, routes={r.path: r for r in ROUTES})) as gateway:
            found = Desk(gateway, lambda ref: None)
            found.begin()
            yield found
            found.end()


def ask(desk: Desk, name: str, **more: Any) -> Answer:
    body = {"model": name, "messages": [{"role": "user", "content": "Once"}], "max_tokens": 8, "seed": 1, **more}
    answer = desk.gateway.post(CHAT, body, SUPPORT)
    assert answer.status == 200, answer
    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["sure", "least"])
def test_sure_enough_is_given_as_it_would_be_without(desk: Desk, name: str, stream: bool) -> None:
    judged, plain = (ask(desk, to, stream=stream, temperature=0) for to in (name, f"{name}/small"))
    assert told(judged) == {}
    assert b"logprob" not in judged.body
    if not stream:
        assert judged.json["choices"] == plain.json["choices"]
        assert judged.json["usage"]["completion_tokens"] == 8
    else:
        assert text(judged) == text(plain) != ""
        assert judged.body.endswith(b"data: [DONE]\n\n")


def text(answer: Answer) -> str:
    parts = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
    return "".join(c["delta"].get("content") or "" for part in parts for c in part["choices"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["unsure", "whole"])
def test_what_it_is_not_sure_of_the_larger_one_answers(desk: Desk, name: str, stream: bool) -> None:
    desk.records.clear()
    answer = ask(desk, name, stream=stream)
    assert answer.headers["x-slm-escalated"].startswith("confidence;score=0.")
    assert answer.headers["x-slm-model-digest"] == "sha256:llm"
    first, second = desk.records
    assert (first["slm.decision.target"], second["slm.decision.target"]) == ("small", "large")
    assert 0.0 <= float(second["slm.decision.confidence"]) < 0.9


def test_who_asks_for_probabilities_gets_the_engines(desk: Desk) -> None:
    answer = ask(desk, "sure", logprobs=True, top_logprobs=2)
    content = answer.json["choices"][0]["logprobs"]["content"]
    assert len(content) == 8
    assert all(len(token["top_logprobs"]) == 2 for token in content)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "file"}}])
def test_a_model_of_random_numbers_calls_what_is_demanded(desk: Desk, choice: Any, stream: bool) -> None:
    """Whether at once, by a template that knows tools, or under the schema: not one answer is anything else."""
    desk.records.clear()
    answer = ask(desk, "verified", tools=[{**TOOL}], tool_choice=choice, stream=stream, max_tokens=200)
    if stream:
        parts = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
        calls = [c["function"] for p in parts for ch in p["choices"] for c in ch["delta"].get("tool_calls", ())]
        name, written = ("".join(call.get(key, "") for call in calls) for key in ("name", "arguments"))
    else:
        (call,) = answer.json["choices"][0]["message"]["tool_calls"]
        name, written = call["function"]["name"], call["function"]["arguments"]
    assert name == "file"
    assert type(json.loads(written)["urgent"]) is bool


def test_a_call_that_cannot_be_written_in_time_is_refused(desk: Desk) -> None:
    body = {"model": "verified", "messages": [{"role": "user", "content": "Once"}], "tools": [TOOL], "max_tokens": 3}
    answer = desk.gateway.post(CHAT, {**body, "tool_choice": "required"}, SUPPORT)
    assert (answer.status, answer.error["code"]) == (502, "tool_choice_not_honoured")
