"""ModelRoutes through the real Envoy: who may, where it goes, what the engine gets, and what is said of it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, PARTNER, SUPPORT, model, state_of

from smallmodel_operator.gateway.routed import Lead, Route
from smallmodel_operator.gateway.state import Access, State

CHAT = "/v1/chat/completions"
DRAWS = 400


def route(path: str, *leads: Lead, allow: tuple[str, ...] = (), **fields: Any) -> Route:
    namespace, _, name = path.partition("/")
    access = Access(frozenset({f"ns:{namespace}", *allow}), max_body_bytes=fields.pop("max_body_bytes", 1 << 20))
    return Route(namespace, name, "2026-11-20T10:00:00Z", access, leads, **fields)


ROUTES = (
    route("support/desk", Lead("small", "support/bot", 3), Lead("large", "shared/llm", 1), allow=("ns:crm",)),
    route("support/one", Lead("only", "support/bot", 1), max_body_bytes=2048),
    route("support/tuned", Lead("plain", "support/lora", 1)),
    route("support/shut", Lead("off", "support/off", 1), Lead("gone", "support/gone", 0), Lead("no", "crm/notes", 0)),
    route("support/halted", Lead("small", "support/bot", 1), stopped=True),
    route("support/partners", Lead("small", "support/bot", 1), allow=("key:support/bot/partner",)),
)


def state(bot: Engine, notes: Engine) -> State:
    models = (
        model("support/bot"),
        model("support/lora", lora=True, adapters=(("hr", 0),)),
        model("support/off", off=True),
        model("shared/llm", allow=("ns:support",)),
        model("crm/notes"),
    )
    ports = {"support/bot": bot.port, "support/lora": bot.port, "shared/llm": notes.port, "crm/notes": notes.port}
    return state_of(models, ports, routes={r.path: r for r in ROUTES})


@pytest.fixture(scope="module")
def door(folder: Path, bot: Engine, notes: Engine) -> Iterator[Gateway]:
    with Gateway(folder, state(bot, notes)) as running:
        yield running


def ask(door: Gateway, name: str, key: str = SUPPORT, host: str = "", path: str = CHAT, **more: Any) -> Answer:
    return door.post(path, {"model": name, "messages": [], **more}, key, host=host)


def test_requests_are_shared_out_as_declared(door: Gateway) -> None:
    seen = Counter()  # type: ignore[var-annotated]
    for _ in range(DRAWS):
        answer = ask(door, "desk")
        assert answer.status == 200
        seen[answer.headers["x-slm-model-digest"]] += 1
    # Three quarters of 400 are 300 with a standard deviation of 8.7: six of them to each side.
    assert seen.keys() == {"sha256:bot", "sha256:llm"}
    assert 248 <= seen["sha256:bot"] <= 352


@pytest.mark.parametrize(("name", "digest"), [("desk/small", "sha256:bot"), ("desk/large", "sha256:llm")])
@pytest.mark.parametrize("host", ["", "desk.support.svc.cluster.local"])
def test_a_target_can_be_named(door: Gateway, name: str, digest: str, host: str) -> None:
    answer = ask(door, name, host=host)
    assert (answer.status, answer.headers["x-slm-model-digest"]) == (200, digest)


def test_the_body_names_the_target_and_is_otherwise_byte_for_byte_as_it_was_sent(door: Gateway, bot: Engine) -> None:
    head, tail = '{ "x": {"model": "desk"},\t"model" : ', ' ,"n": 1.50e3, "s": "\\u00e4ä}{" }\r\n \n'
    for sent in ('"one"', '"one\\u002fonly"', '"\\u006fne"'):
        assert door.post(CHAT, f"{head}{sent}{tail}".encode(), SUPPORT).status == 200
        assert bot.asked[-1].body.decode() == f'{head}"bot"{tail}'


def test_a_large_body_and_a_chunked_one(door: Gateway, bot: Engine) -> None:
    text = json.dumps({"messages": [{"content": "x" * 900_000}], "model": "desk/small"}).encode()
    pieces = (text[i : i + 50_000] for i in range(0, len(text), 50_000))
    for body in (text, pieces):
        assert door.post(CHAT, body, SUPPORT).status == 200
        assert bot.asked[-1].body == text.replace(b'"desk/small"', b'"bot"')


def test_a_model_with_adapters_is_told_that_none_is_wanted(door: Gateway, bot: Engine) -> None:
    assert ask(door, "tuned").status == 200
    assert json.loads(bot.asked[-1].body) == {"model": "lora", "messages": [], "lora": []}


def test_its_own_access_counts_and_not_the_targets(door: Gateway) -> None:
    """crm may use desk, and neither of the models behind it."""
    assert ask(door, "desk/small", CRM, path=f"/support{CHAT}").status == 200
    assert ask(door, "bot", CRM, path=f"/support{CHAT}").status == 403
    refused = ask(door, "one", CRM, path=f"/support{CHAT}")
    assert (refused.status, refused.headers["x-slm-cause"]) == (403, "not-allowed")
    assert "support/one" in refused.error["message"]
    assert ask(door, "partners", PARTNER).status == 200
    assert ask(door, "desk", PARTNER).status == 403


def test_which_targets_there_are_is_not_told_to_strangers(door: Gateway) -> None:
    known, unknown = (ask(door, f"one/{t}", CRM, path=f"/support{CHAT}") for t in ("only", "none"))
    assert (known.status, unknown.status) == (403, 403)
    assert known.body == unknown.body


@pytest.mark.parametrize("name", ["desk/medium", "desk/", "desk/small/x", "desk/SMALL", "desk:small", "desk/small:hr"])
def test_an_unknown_target_is_404_and_reaches_nobody(door: Gateway, bot: Engine, notes: Engine, name: str) -> None:
    before = len(bot.asked) + len(notes.asked)
    answer = ask(door, name)
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert len(bot.asked) + len(notes.asked) == before


def test_on_a_routes_address_other_names_are_404(door: Gateway) -> None:
    for name in ("bot", "one", "one/only"):
        assert ask(door, name, host="desk.support.svc").status == 404
    assert ask(door, "one", host="one.support.svc").status == 200
    assert ask(door, "desk", host="bot.support.svc").status == 404


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("shut", "model_off", "support/off is switched off"),
        ("shut/gone", "target_unavailable", "there is no SmallModel support/gone"),
        ("shut/no", "target_unavailable", "SmallModel crm/notes does not let this route in"),
        ("halted", "inference_stopped", "support/halted"),
    ],
)
def test_a_target_that_cannot_answer_is_503_and_none_takes_over(
    door: Gateway, notes: Engine, name: str, code: str, says: str
) -> None:
    before = len(notes.asked)
    answer = ask(door, name)
    assert (answer.status, answer.error["code"]) == (503, code)
    assert says in answer.error["message"]
    assert len(notes.asked) == before


def test_the_smaller_of_both_limits_holds(door: Gateway) -> None:
    answer = ask(door, "one", user="x" * 3000)
    assert (answer.status, answer.headers["x-slm-cause"]) == (413, "body-too-large")
    assert "support/one" in answer.error["message"]


def test_routes_are_listed_for_those_who_may(door: Gateway) -> None:
    names = [m["id"] for m in door.get("/support/v1/models", SUPPORT).json["data"]]
    assert {"desk", "one", "tuned", "shut", "halted", "partners", "bot"} <= set(names)
    assert [m["id"] for m in door.get("/support/v1/models", CRM).json["data"]] == ["desk"]
    assert door.get("/v1/models/desk", SUPPORT).json["id"] == "desk"


def test_a_caller_cannot_say_where_the_name_stands(door: Gateway, bot: Engine) -> None:
    forged = {"x-slm-model-at": "0,5", "x-slm-route": "support/bot|bot"}
    answer = door.post(CHAT, {"model": "one", "a": 1}, SUPPORT, **forged)
    assert answer.status == 200
    assert json.loads(bot.asked[-1].body) == {"model": "bot", "a": 1}
    assert not [name for name in bot.asked[-1].headers if name.lower() == "x-slm-model-at"]


def test_the_log_names_route_and_target(door: Gateway) -> None:
    answer = ask(door, "desk/large")
    (line,) = door.log(answer.headers["x-request-id"])
    assert (line["slm.route"], line["slm.target"]) == ("support/desk/large", "shared/llm")
    assert (line["gen_ai.request.model"], line["gen_ai.response.model"]) == ("desk/large", "shared/llm")
    (refused,) = door.log(ask(door, "one", CRM, path=f"/support{CHAT}").headers["x-request-id"])
    assert (refused["slm.route"], refused["slm.target"]) == ("support/one", None)
