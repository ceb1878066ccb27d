"""Requests through a real Envoy: who gets in, what is answered, what reaches the engine."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import CRM, MASTER, PARTNER, SUPPORT

from smallmodel_operator.core.keys import engine_key
from smallmodel_operator.gateway.activate.queue import Outcome
from smallmodel_operator.gateway.activate.refusal import refusal

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"
ASK = {"model": "bot", "messages": [{"role": "user", "content": "hi"}]}


def test_passes_the_body_unchanged_with_the_engines_key_and_no_word_of_the_caller(
    gateway: Gateway, bot: Engine
) -> None:
    body = b'{ "seed":12345678901234567890, "model" : "bot",\n"messages":[] }'
    answer = gateway.post("/support" + CHAT + "?a=1", body, SUPPORT)
    assert answer.status == 200, answer
    asked = bot.asked[-1]
    assert (asked.body, asked.path) == (body, CHAT + "?a=1")
    headers = {k.lower(): v for k, v in asked.headers.items()}
    assert headers["authorization"] == f"Bearer {engine_key(MASTER, 'uid-support/bot')}"
    assert SUPPORT not in str(headers)
    assert "x-slm-caller" not in headers
    assert answer.headers["x-slm-model-digest"] == "sha256:bot"
    assert answer.headers["x-request-id"] == headers["x-request-id"]
    timing = re.fullmatch(r"gateway;dur=(\S+), hold;dur=(\S+), engine;dur=(\S+)", answer.headers["server-timing"])
    assert timing, answer.headers["server-timing"]
    assert all(0 <= float(milliseconds) < 5000 for milliseconds in timing.groups())


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("smallmodel-gateway.smallmodel-system", "/support" + CHAT),
        ("smallmodel-gateway.smallmodel-system.svc.cluster.local:80", CHAT),
        ("10.1.2.3", CHAT),
        ("[fd00::1]:10080", "/support" + CHAT),
        ("localhost:8080", CHAT),
        ("127.0.0.1:8080", "/support" + CHAT),  # through kubectl port-forward, as the how-to says
        ("llm.example.com", "/support" + CHAT),
        ("bot", CHAT),
        ("bot.support", CHAT),
        ("bot.support.svc", CHAT),
        ("BOT.support.svc.cluster.local:80", CHAT),
    ],
)
def test_addresses(gateway: Gateway, host: str, path: str) -> None:
    assert gateway.post(path, ASK, SUPPORT, host).status == 200


@pytest.mark.parametrize(
    ("path", "body", "key", "host", "status", "code"),
    [
        (CHAT, ASK, "", "", 401, "invalid_api_key"),
        (CHAT, ASK, "slm-wrong", "", 401, "invalid_api_key"),
        (CHAT, {"model": "nope"}, SUPPORT, "", 404, "model_not_found"),
        (CHAT, {"model": "bot"}, CRM, "", 404, "model_not_found"),
        ("/support" + CHAT, ASK, CRM, "", 403, "model_access_denied"),
        ("/crm" + CHAT, {"model": "notes"}, PARTNER, "", 403, "model_access_denied"),
        (CHAT, ASK, CRM, "bot.support.svc.cluster.local", 403, "model_access_denied"),
        (CHAT, {"model": "off"}, SUPPORT, "bot.support", 404, "model_not_found"),
        (CHAT, {"model": "off"}, SUPPORT, "", 503, "model_off"),
        (CHAT, {"model": "spent"}, SUPPORT, "", 429, "budget_exhausted"),
        ("/v1/responses", {"model": "old"}, SUPPORT, "", 501, "not_implemented"),
        ("/v1/embeddings", {"model": "old"}, SUPPORT, "", 501, "not_implemented"),
        ("/crm" + CHAT, {"model": "notes", "x": "y" * 2048}, CRM, "", 413, "request_too_large"),
        (CHAT, {"messages": []}, SUPPORT, "", 400, "invalid_body"),
        (CHAT, b'{"model":"bot","model":"off"}', SUPPORT, "", 400, "invalid_body"),
        (CHAT, b'{"model":"bot"', SUPPORT, "", 400, "invalid_body"),
        (CHAT, b"", SUPPORT, "", 400, "invalid_body"),
        (CHAT, b'{"model":"\xff\xfe"}', SUPPORT, "", 400, "invalid_body"),
        (CHAT, b'{"model":"a\\r\\nx-slm-target: crm/notes"}', SUPPORT, "", 404, "model_not_found"),
        (CHAT, b"[" * 100_000, SUPPORT, "", 400, "invalid_body"),
        (CHAT, b'{"model":"bot","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", SUPPORT, "", 400, "invalid_body"),
        ("/slots", ASK, SUPPORT, "", 404, "unknown_url"),
        ("/support/v1/../slots", ASK, SUPPORT, "", 404, "unknown_url"),
        ("/v1/chat/completions/", ASK, SUPPORT, "", 404, "unknown_url"),
    ],
)
def test_refusals(gateway: Gateway, path: str, body: Any, key: str, host: str, status: int, code: str) -> None:
    answer = gateway.post(path, body, key, host)
    assert (answer.status, answer.error["code"]) == (status, code), answer


NESTED = b'{"model":"bot","x":' + b"[" * 100 + b"]" * 100 + b"}"


@pytest.mark.parametrize(
    ("body", "cause", "says"),
    [
        (b"", "no-body", "Send a JSON object with the key `model`"),
        (b'[{"model":"bot"}]', "bad-body", "does not begin with {"),
        (b"model=bot", "bad-body", "does not begin with {"),
        (b'\n {"messages":[]}', "no-model", 'has no key `model`. Add "model"'),
        (b'{"messages":[{"content":"which model?"}]}', "no-model", 'has no key `model`. Add "model"'),
        (b'{"x":{"model":"bot"}}', "bad-body", "no `model` at its top level"),
        (b'{"model":""}', "bad-body", "or an empty one"),
        (b'{"model":"bot"', "bad-body", "cut off"),
        (b'{"x":1 "model":"bot"}', "bad-body", "a comma missing"),
        (b'{"model":"bot","x":{"y":1,"y":2}}', "bad-body", "a key twice"),
        (b'{"model":"bot","x":"\xff"}', "bad-body", "not UTF-8"),
        (b'{"model":"bot","x":NaN}', "bad-body", "NaN"),
        (NESTED, "bad-body", "more than 100 levels"),
        (b'{"x":"' + b"y" * 100_000 + b'"}', "bad-body", "no `model` at its top level"),
        (iter([]), "no-body", "Send a JSON object"),
        (iter([b'{"mess', b'ages":[]}']), "no-model", 'has no key `model`. Add "model"'),
    ],
)
def test_a_body_without_a_model_is_told_what_is_wrong_with_it(
    gateway: Gateway, body: Any, cause: str, says: str
) -> None:
    answer = gateway.post(CHAT, body, SUPPORT)
    assert (answer.status, answer.error["code"], answer.headers["x-slm-cause"]) == (400, "invalid_body", cause), answer
    assert says in answer.error["message"]


def test_the_deepest_body_there_may_be(gateway: Gateway) -> None:
    assert gateway.post(CHAT, NESTED.replace(b"[]", b""), SUPPORT).status == 200


def test_off_is_said_alike_by_the_door_and_by_who_holds(gateway: Gateway) -> None:
    """A model may be switched off before a request comes and while one is held: the app sees one thing."""
    answer, held = gateway.post(CHAT, {"model": "off"}, SUPPORT), refusal(Outcome.OFF, "support/off", 1)
    assert (answer.status, answer.headers["x-slm-cause"]) == (held.status, held.headers["x-slm-cause"]) == (503, "off")
    assert answer.json == json.loads(held.body)
    assert answer.error["code"] == "model_off"


def test_a_budget_that_is_used_up_is_said_alike_by_the_door_and_by_who_holds(gateway: Gateway) -> None:
    answer, held = gateway.post(CHAT, {"model": "spent"}, SUPPORT), refusal(Outcome.BUDGET, "support/spent", 1)
    for name in ("x-slm-cause", "x-should-retry"):
        assert answer.headers[name] == held.headers[name]
    assert (answer.status, answer.json) == (held.status, json.loads(held.body))
    assert answer.error["type"] == "insufficient_quota"


@pytest.mark.parametrize("path", ["/slots", "/props", "/metrics", "/lora-adapters", "/health", "/v1", "/", "/tokenize"])
@pytest.mark.parametrize("host", ["", "bot.support"])
def test_engines_other_paths_do_not_exist(gateway: Gateway, bot: Engine, path: str, host: str) -> None:
    before = len(bot.asked)
    assert gateway.get(path, SUPPORT, host).status == 404
    assert gateway.post(path, ASK, SUPPORT, host).status == 404
    assert len(bot.asked) == before


def test_a_partners_key_opens_its_model_only(gateway: Gateway) -> None:
    assert gateway.post(CHAT, ASK, PARTNER).status == 200
    assert gateway.post("/support" + CHAT, ASK, PARTNER).status == 200
    assert gateway.post("/support" + CHAT, {"model": "old"}, PARTNER).status == 403


def test_401_names_the_command(gateway: Gateway) -> None:
    answer = gateway.post(CHAT, ASK, host="bot.support.svc")
    keys = "--keys=OPENAI_BASE_URL,OPENAI_API_KEY,MODEL"  # else kubectl brings in TYPE, HOST and the like, too
    assert f"kubectl -n support set env deployment/<app> --from=secret/bot-client {keys} (or" in answer.error["message"]
    assert keys in (ROOT / "docs/how-to/call-a-model.md").read_text()
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "name", ["X-Slm-Target", "x-slm-caller", "X-SLM-Caller-Namespace", "x-slm-address", "x-slm-route"]
)
def test_a_callers_own_headers_of_the_gateway_count_for_nothing(gateway: Gateway, notes: Engine, name: str) -> None:
    before = len(notes.asked)
    for value in ("crm/notes", "key:crm/notes", "crm", "crm/notes|notes"):
        answer = gateway.post("/crm" + CHAT, {"model": "notes"}, SUPPORT, **{name: value})
        assert answer.status == 403
        answer = gateway.post(CHAT, {"model": "nope"}, SUPPORT, **{name: value})
        assert answer.status == 404
        assert gateway.post(CHAT, b"{}", SUPPORT, **{name: value}).status == 400
        assert gateway.post(CHAT, b"{}", SUPPORT, "bot.support", **{name: value}).status == 400
        assert gateway.post(CHAT, {"model": "notes"}, SUPPORT, "bot.support", **{name: value}).status == 404
    assert len(notes.asked) == before


@pytest.mark.parametrize(
    "wanted", ["bot|bot", "|bot", "support/bot", "support/bot|bot", "", "-", " bot", "bot ", "BOT"]
)
@pytest.mark.parametrize("host", ["", "bot.support", "old.support"])
def test_a_body_finds_no_route_of_its_own(gateway: Gateway, wanted: str, host: str) -> None:
    """A route is found by the address and the body together; text that looks like both finds none."""
    answer = gateway.post(CHAT, {"model": wanted}, SUPPORT, host)
    assert answer.status == (404 if wanted else 400), answer


def test_who_may_not_ask_the_models_address_need_not_send_the_body(gateway: Gateway) -> None:
    """Refused at the headers: the body never comes."""
    request = (
        f"POST {CHAT} HTTP/1.1\r\nHost: notes.crm\r\nAuthorization: Bearer {SUPPORT}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as wire:
        wire.sendall(request.encode())
        assert wire.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_lists_what_the_caller_may_use(gateway: Gateway) -> None:
    def names(path: str, key: str, host: str = "") -> list[str]:
        answer = gateway.get(path, key, host)
        assert answer.status == 200, answer
        return [m["id"] for m in answer.json["data"]]

    assert names("/v1/models", SUPPORT) == ["bot", "old", "spent", "tight"]
    assert names("/v1/models", PARTNER) == ["bot"]
    assert names("/crm/v1/models", SUPPORT) == []
    assert names("/crm/v1/models", CRM) == ["notes"]
    assert names("/v1/models", SUPPORT, "old.support") == ["old"]
    assert gateway.get("/v1/models/bot", SUPPORT).json == {
        "id": "bot",
        "object": "model",
        "created": 0,
        "owned_by": "support",
    }
    assert gateway.get("/v1/models/notes", SUPPORT).error["code"] == "model_not_found"


@pytest.mark.parametrize(("method", "path"), [("GET", CHAT), ("DELETE", CHAT), ("POST", "/v1/models"), ("PUT", CHAT)])
def test_wrong_method(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.request(method, path, None, {"Authorization": f"Bearer {SUPPORT}"})
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] in ("GET", "POST")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonx"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_other_bodies_than_json(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = gateway.post(CHAT, json.dumps(ASK).encode(), SUPPORT, **headers)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


def test_chunked_bodies(gateway: Gateway, bot: Engine) -> None:
    text = b'{"model":"bot","text":"' + b"x" * (8 * 1024 * 1024 - 30) + b'"}'
    pieces = [text[i : i + 65536] for i in range(0, len(text), 65536)]
    answer = gateway.post(CHAT, iter(pieces), SUPPORT)
    assert answer.status == 200, answer
    assert bot.asked[-1].body == text
    small = iter([b'{"model":"notes","x":"', b"y" * 4096, b'"}'])
    assert gateway.post(CHAT, small, CRM).error["code"] == "request_too_large"


def test_larger_than_any_model_takes(gateway: Gateway) -> None:
    answer = gateway.post(CHAT, b"", SUPPORT, **{"Content-Length": str(40 * 1024 * 1024)})
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def test_engines_errors_pass(gateway: Gateway) -> None:
    answer = gateway.post(CHAT, {**ASK, "fake_status": 500}, SUPPORT)
    assert (answer.status, answer.json["error"]["message"]) == (500, "engine says no")
    assert answer.headers["x-slm-cause"] == "engine"


def test_limit_of_each_caller(gateway: Gateway) -> None:
    answers = [gateway.post("/support" + CHAT, {"model": "tight"}, SUPPORT) for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 429]
    assert answers[2].error["code"] == "rate_limit_exceeded"
    assert int(answers[2].headers["retry-after"]) in range(1, 61)
