"""Adapters through the real Envoy: every request to such a model says which it wants, whatever its caller wrote."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, PARTNER, SUPPORT, model, state_of

CHAT = "/v1/chat/completions"
LEGAL, HR = '[{"id":2,"scale":1}]', '[{"id":0,"scale":1}]'
FAST, MANY = 150, 10_000


@pytest.fixture(scope="module")
def door(folder: Path, bot: Engine) -> Iterator[Gateway]:
    """support/bot has hr (0) and legal (2); none of new's are loaded; plain has none."""
    models = (
        model("support/bot", lora=True, adapters=(("hr", 0), ("legal", 2))),
        model("support/new", lora=True),
        model("support/plain"),
    )
    with Gateway(folder, state_of(models, {f"support/{n}": bot.port for n in ("bot", "new", "plain")})) as running:
        yield running


def sent(bot: Engine) -> str:
    return bot.asked[-1].body.decode()


def chosen(text: str) -> Any:
    """What the engine takes: of equal keys the last, as llama.cpp's parser does and Python's, too."""
    return json.loads(text).get("lora")


@pytest.mark.parametrize(("name", "choice"), [("bot:legal", LEGAL), ("bot:hr", HR), ("bot", "[]"), ("new", "[]")])
@pytest.mark.parametrize("host", ["", "bot.support.svc"])
def test_the_choice_is_the_last_word_of_the_body(door: Gateway, bot: Engine, name: str, choice: str, host: str) -> None:
    if host and name == "new":
        return  # another model's address
    body = {"model": name, "messages": [{"role": "user", "content": "}"}], "lora": [{"id": 0, "scale": 1}]}
    answer = door.post(CHAT, body, SUPPORT, host=host)
    assert answer.status == 200
    assert sent(bot).endswith(f',"lora":{choice}}}')
    assert chosen(sent(bot)) == json.loads(choice)
    assert {k: v for k, v in json.loads(sent(bot)).items() if k != "lora"} == {
        k: body[k] for k in ("model", "messages")
    }


def test_the_rest_of_the_body_is_byte_for_byte_what_was_sent(door: Gateway, bot: Engine) -> None:
    text = '{ "model" : "bot:legal",\t"x": "\\u00e4\u00e9}{", "n": 1.50e3 }\r\n \n'
    assert door.post(f"/support{CHAT}", text.encode(), SUPPORT).status == 200
    head, _, tail = text.rpartition("}")
    assert sent(bot) == f'{head},"lora":{LEGAL}}}{tail}'


def test_a_large_body_and_a_chunked_one(door: Gateway, bot: Engine) -> None:
    body = {"model": "bot:legal", "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    assert door.post(CHAT, body, SUPPORT).status == 200
    assert chosen(sent(bot)) == json.loads(LEGAL)
    assert json.loads(sent(bot))["messages"] == body["messages"]
    text = json.dumps(body).encode()
    pieces = (text[i : i + 100_000] for i in range(0, len(text), 100_000))
    assert door.post(CHAT, pieces, SUPPORT).status == 200
    assert sent(bot) == f'{text.decode()[:-1]},"lora":{LEGAL}}}'


def test_other_models_bodies_are_not_touched(door: Gateway, bot: Engine) -> None:
    text = '{"model":"plain","lora":[]}'
    assert door.post(f"/support{CHAT}", text.encode(), SUPPORT).status == 200
    assert sent(bot) == text


@pytest.mark.parametrize(
    "name", ["bot:sales", "new:hr", "plain:hr", "bot:HR", "bot:hr:hr", "bot:0", "bot:hr/", "bot:+"]
)
def test_an_unknown_adapter_is_404_and_reaches_no_pod(door: Gateway, bot: Engine, name: str) -> None:
    before = len(bot.asked)
    answer = door.post(CHAT, {"model": name, "messages": []}, SUPPORT)
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert len(bot.asked) == before


def test_which_adapters_there_are_is_not_told_to_strangers(door: Gateway) -> None:
    known, unknown = (door.post(f"/support{CHAT}", {"model": f"bot:{a}"}, CRM) for a in ("hr", "none"))
    assert (known.status, unknown.status) == (403, 403)
    assert known.body == unknown.body


def test_what_an_adapter_does_not_change_is_refused(door: Gateway) -> None:
    answer = door.post("/v1/embeddings", {"model": "bot:hr", "input": "x"}, SUPPORT)
    assert (answer.status, answer.headers["x-slm-cause"]) == (501, "engine-lacks-it")
    assert door.post("/v1/embeddings", {"model": "bot", "input": "x"}, SUPPORT).status == 200


def test_they_are_listed_as_models(door: Gateway) -> None:
    names = [m["id"] for m in door.get("/v1/models", SUPPORT).json["data"]]
    assert names == ["bot", "bot:hr", "bot:legal", "new", "plain"]
    assert door.get("/v1/models/bot:legal", SUPPORT).json["id"] == "bot:legal"
    assert door.get("/v1/models/bot:sales", SUPPORT).status == 404
    assert "bot:hr" not in door.get("/support/v1/models", PARTNER).body.decode()


def test_the_log_names_the_adapter(door: Gateway) -> None:
    for name, adapter in (("bot:legal", "legal"), ("bot", None)):
        answer = door.post(CHAT, {"model": name, "messages": []}, SUPPORT)
        (line,) = door.log(answer.headers["x-request-id"])
        assert (line["gen_ai.request.model"], line["slm.adapter"], line["slm.target"]) == (name, adapter, "support/bot")


def test_a_stream_passes(door: Gateway) -> None:
    answer = door.post(CHAT, {"model": "bot:hr", "stream": True}, SUPPORT)
    assert answer.body.endswith(b"data: [DONE]\n\n")


def _names(count: int) -> Iterator[str]:
    """Mutations of a right name: bytes changed, doubled, dropped, put in."""
    chance, pieces = (
        random.Random(7),
        [":", "+", "|", "/", "\\", '"', "\u0000", "\n", "legal", "hr", "bot", "=", "0", "}", "é"],
    )
    for _ in range(count):
        name = list(chance.choice(["bot:legal", "bot:hr", "bot"]))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(name) + 1)
            name[place : place + chance.randint(0, 2)] = chance.choice(
                [chance.choice(pieces), chr(chance.randrange(1, 900))]
            )
        yield "".join(name)


def _judge(door: Gateway, bot: Engine, name: str) -> None:
    before = len(bot.asked)
    answer: Answer = door.post(CHAT, {"model": name, "lora": [{"id": 1, "scale": 1}]}, SUPPORT)
    right = {"bot": "[]", "bot:legal": LEGAL, "bot:hr": HR}.get(name)
    if right is None:
        assert answer.status in (400, 404), (name, answer)
        assert answer.error
        assert len(bot.asked) == before, name
    else:
        assert answer.status == 200
        assert chosen(sent(bot)) == json.loads(right), name


def test_names_that_are_nearly_right(door: Gateway, bot: Engine) -> None:
    for name in _names(FAST):
        _judge(door, bot, name)


@pytest.mark.long
def test_ten_thousand_names_that_are_nearly_right(door: Gateway, bot: Engine) -> None:
    for name in _names(MANY):
        _judge(door, bot, name)
