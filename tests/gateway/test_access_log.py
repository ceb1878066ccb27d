"""What the real Envoy writes of each kind of request, what is read from it, and that no line is lost."""

import asyncio
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hack.envoy.validate import complaint
from prometheus_client import CollectorRegistry
from tests.fakes.clock import until
from tests.fakes.upstream import Engine
from tests.gateway.cases import CASES
from tests.gateway.running import Gateway, here
from tests.gateway.states import MASTER, SUPPORT, model, state_of

from smallmodel_operator.audit.request import RequestKey
from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.format import FIELDS, fields
from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.accesslog.metrics import RequestMetrics
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation, observe
from smallmodel_operator.gateway.accesslog.rotate import Rotator
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.policy import engine_revision, policy_hash
from smallmodel_operator.gateway.routed import Lead, Route
from smallmodel_operator.gateway.state import Access
from smallmodel_operator.gateway.xds import bootstrap, files

CHAT = "/v1/chat/completions"
SECRET = "the text of the prompt"


class Breaking(BaseHTTPRequestHandler):
    """An engine that dies in the middle of a stream, or before it answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body.get("stream"):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def breaking() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join(10)
    server.server_close()


BOT = model("support/bot", engine_image="engine@sha256:1", template_revision=2, chat_template="c" * 64, request_key=1)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, bot: Engine, breaking: int) -> Iterator[Gateway]:
    """support/bot answers, broken breaks off, off is off, tight takes 1 a minute, adapted has an adapter; route
    desk leads to bot."""
    models = (
        BOT,
        model("support/broken"),
        model("support/off", off=True),
        model("support/tight", requests_per_minute=1),
        model("support/adapted", lora=True, adapters=(("legal", 0),), request_key=1),
    )
    ports = {f"support/{name}": bot.port for name in ("bot", "tight", "adapted")} | {"support/broken": breaking}
    desk = Route("support", "desk", "", Access(frozenset({"ns:support"})), (Lead("small", "support/bot", 1),))
    with Gateway(tmp_path_factory.mktemp("l"), state_of(models, ports, routes={desk.path: desk})) as running:
        yield running


def line_of(gateway: Gateway, answer: Any) -> dict[str, Any]:
    (line,) = gateway.log(answer.headers["x-request-id"])
    return line


def seen(line: dict[str, Any]) -> Observation:
    return observe(parse(json.dumps(line).encode()))


def ask(gateway: Gateway, name: str = "bot", key: str = SUPPORT, path: str = CHAT, **fields: Any) -> dict[str, Any]:
    return line_of(gateway, gateway.post(path, {"model": name, "messages": [SECRET], **fields}, key))


def fits(line: dict[str, Any]) -> None:
    """Every field there is, each of its type or not known."""
    assert set(line) == set(FIELDS)
    wrong = {n: v for n, v in line.items() if v is not None and type(v) is not FIELDS[n].json}
    assert wrong == {}
    assert (line["error.type"] is not None) == (line["http.response.status_code"] >= 400)


@contextmanager
def leaving(gateway: Gateway, **fields: Any) -> Iterator[http.client.HTTPConnection]:
    """A request on a connection that is closed at the end, whatever has come."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    headers = {"Authorization": f"Bearer {SUPPORT}", "Content-Type": "application/json"}
    connection.request("POST", CHAT, json.dumps({"model": "bot", **fields}), headers)
    try:
        yield connection
    finally:
        if connection.sock is not None:
            connection.sock.close()
        connection.close()


def last_that_left(gateway: Gateway, before: int) -> dict[str, Any]:
    """The line after so many others."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if len(lines := gateway.log()) > before:
            return lines[-1]
        time.sleep(0.02)
    raise AssertionError("no line within a minute")


def settled(gateway: Gateway) -> int:
    """Lines so far, when no more come."""
    ask(gateway)
    return len(gateway.log())


# -- what each kind of request leaves --------------------------------------------------------------------------


def test_an_answer(logged: Gateway) -> None:
    line = ask(logged, path=f"/support{CHAT}?key=in-the-query")
    fits(line)
    assert line["url.path"] == CHAT
    assert line["gen_ai.operation.name"] == "chat"
    assert (line["gen_ai.request.model"], line["gen_ai.response.model"]) == ("bot", "support/bot")
    assert (line["slm.target"], line["slm.digest"]) == ("support/bot", "sha256:bot")
    assert (line["slm.policy"], line["slm.engine.revision"]) == (policy_hash(BOT), engine_revision(BOT))
    assert line["slm.template"] == "c" * 64
    assert (line["slm.caller"], line["slm.caller.namespace"]) == ("key:support/bot", "support")
    assert (line["gen_ai.usage.input_tokens"], line["gen_ai.usage.output_tokens"]) == (7, 3)
    assert (line["error.type"], line["slm.cause"], line["slm.attempts"]) == (None, None, 1)
    found = seen(line)
    assert (found.ending, found.first_token, found.generates) == (Ending.SERVED, None, True)
    assert found.end_to_end is not None


def test_a_stream(logged: Gateway) -> None:
    line = ask(logged, stream=True, fake_delay=0.1, fake_pause=0.05)
    fits(line)
    found = seen(line)
    assert found.first_token is not None
    assert found.end_to_end is not None
    assert found.inter_token is not None
    assert 0.1 <= found.first_token <= found.end_to_end - 2 * 0.05
    assert found.inter_token == pytest.approx((found.end_to_end - found.first_token) / 2)


def test_time_counts_from_the_last_byte_in(logged: Gateway) -> None:
    """A slow upload is not the model's."""

    def slowly() -> Iterator[bytes]:
        body = json.dumps({"model": "bot", "stream": True}).encode()
        yield body[:5]
        time.sleep(2)
        yield body[5:]

    line = line_of(logged, logged.post(CHAT, slowly(), SUPPORT))
    fits(line)
    assert line["slm.receive_us"] >= 1_990_000, "the two pieces leave here 2 s apart"
    assert line["slm.duration_ms"] >= 1_990
    assert line["slm.ttft_us"] < line["slm.end_to_end_us"]
    assert line["slm.receive_us"] + line["slm.end_to_end_us"] < line["slm.duration_ms"] * 1000 + 1_000_000, "once each"


def test_tokens_of_llama_streams_without_usage(logged: Gateway) -> None:
    last = 'data: {"choices":[],"timings":{"cache_n":2,"prompt_n":5,"predicted_n":3}}\n\n'
    line = ask(logged, stream=True, fake_chunks=["data: {}\n\n", last])
    assert line["gen_ai.usage.input_tokens"] is None
    assert (seen(line).input_tokens, seen(line).output_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("name", "key", "status", "cause", "target"),
    [
        ("bot", "", 401, "no-credential", None),
        ("bot", "slm-wrong", 401, "unknown-key", None),
        ("nobody", SUPPORT, 404, "unknown-model", None),
        ("off", SUPPORT, 503, "off", "support/off"),
    ],
)
def test_a_refusal(logged: Gateway, name: str, key: str, status: int, cause: str, target: str | None) -> None:
    line = ask(logged, name, key)
    fits(line)
    assert line["http.response.status_code"] == status
    assert (line["slm.cause"], line["error.type"], line["slm.target"]) == (cause, cause, target)
    assert (line["slm.attempts"], line["slm.upstream.address"]) == (0, None)
    assert line["slm.policy"] is None  # it never came to the model's route
    assert seen(line).cause == cause


def test_envoys_own_refusal(logged: Gateway) -> None:
    lines = [ask(logged, "tight") for _ in range(3)]
    refused = [line for line in lines if line["http.response.status_code"] == 429]
    assert refused
    for line in refused:
        fits(line)
        assert line["slm.cause"] == "rate-limited"
        assert seen(line).ending is Ending.REFUSED


def test_the_engines_own_error(logged: Gateway) -> None:
    line = ask(logged, fake_status=500)
    fits(line)
    assert (line["slm.cause"], line["error.type"]) == ("engine", "engine")
    assert (seen(line).cause, seen(line).ending) == ("", Ending.FAILED)


def test_a_list_of_models_is_no_error(logged: Gateway) -> None:
    line = line_of(logged, logged.get("/v1/models", SUPPORT))
    fits(line)
    assert (line["error.type"], seen(line).model, seen(line).ending) == (None, "", Ending.SERVED)


def test_an_answer_that_breaks_off(logged: Gateway) -> None:
    before = settled(logged)
    with pytest.raises(http.client.IncompleteRead):
        logged.post(CHAT, {"model": "broken", "stream": True}, SUPPORT)
    line = last_that_left(logged, before)
    fits(line)
    assert (line["slm.target"], line["http.response.status_code"]) == ("support/broken", 200)
    found = seen(line)
    assert (found.ending, found.reset, found.end_to_end, found.first_token) == (Ending.FAILED, True, None, None)


def test_an_engine_that_never_answers(logged: Gateway) -> None:
    line = ask(logged, "broken")
    fits(line)
    assert (line["http.response.status_code"], line["slm.cause"]) == (503, "engine-unreachable")
    assert line["slm.attempts"] > 1
    assert (seen(line).ending, seen(line).reset) == (Ending.FAILED, True)


def test_a_caller_that_leaves_before_the_answer(logged: Gateway) -> None:
    before, began = settled(logged), time.monotonic()
    with leaving(logged, fake_delay=8):
        time.sleep(0.4)
    line = last_that_left(logged, before)
    took = time.monotonic() - began
    fits(line)
    assert line["http.response.status_code"] == 0
    found = seen(line)
    assert (found.ending, found.model, found.first_token) == (Ending.LEFT, "bot", None)
    assert found.waited is not None
    assert 0.2 < found.waited <= took


def test_a_caller_that_leaves_in_a_stream(logged: Gateway) -> None:
    before = settled(logged)
    with leaving(logged, stream=True, fake_chunks=["data: 1\n\n"] * 20, fake_pause=0.1) as connection:
        response = connection.getresponse()
        response.read1(10)
        time.sleep(0.3)
        response.close()
    line = last_that_left(logged, before)
    fits(line)
    found = seen(line)
    assert (line["http.response.status_code"], found.ending) == (200, Ending.LEFT)
    assert found.first_token is not None
    assert found.waited is not None
    assert found.first_token < found.waited


def test_a_held_request(logged: Gateway, bot: Engine) -> None:
    """Sent to the activator first, and again to the pod when there is one: the hold is part of the time."""
    activator = Engine("activator", activator=True).start(logged.site.agent_socket)
    awake = logged.state
    try:
        logged.apply(state_of(tuple(awake.models.values()), {}))
        waker = Thread(target=lambda: (time.sleep(0.5), logged.apply(awake)))
        waker.start()
        line = ask(logged, stream=True)
        waker.join(20)
    finally:
        activator.stop()
    fits(line)
    assert line["slm.attempts"] >= 2
    assert line["slm.upstream.address"] == f"127.0.0.1:{bot.port}"
    key = RequestKey.made(MASTER, "support", 1)
    made = hmac.new(key.key, bot.asked[-1].body, hashlib.sha256).hexdigest()
    assert line["slm.request.hmac"] == f"{key.name}:{made}"
    found = seen(line)
    assert found.first_token is not None
    assert 0.3 < found.hold < found.first_token
    assert (found.ending, found.reset, found.cause) == (Ending.SERVED, False, "")


def test_an_adapter_and_the_hmac_of_what_was_sent(logged: Gateway, bot: Engine) -> None:
    """Of the bytes its caller sent, not of those the engine got: the gateway writes which adapter into them."""
    body = json.dumps({"model": "adapted:legal", "messages": [SECRET]}).encode()
    line = line_of(logged, logged.post(CHAT, body, SUPPORT))
    assert bot.asked[-1].body != body
    fits(line)
    key = RequestKey.made(MASTER, "support", 1)
    made = hmac.new(key.key, body, hashlib.sha256).hexdigest()
    assert (line["slm.adapter"], line["slm.request.hmac"]) == ("legal", f"{key.name}:{made}")


def test_bytes_that_are_no_text(logged: Gateway) -> None:
    before = settled(logged)
    connection = http.client.HTTPConnection("127.0.0.1", logged.port, timeout=60)
    connection.putrequest("POST", CHAT, skip_accept_encoding=True)
    for name, value in (("X-Request-Id", b'\xff"\\\xfe'), ("Content-Type", b"\xe2\x28"), ("Content-Length", b"0")):
        connection.putheader(name, value)
    connection.endheaders()
    connection.getresponse().read()
    connection.close()
    fits(last_that_left(logged, before))


# -- over all of them ------------------------------------------------------------------------------------------


def test_every_field_says_something_and_none_a_secret(logged: Gateway) -> None:
    """Runs after the others of this page, on their lines; asks itself what it needs when run alone."""
    ask(logged, stream=True)
    ask(logged, "off")
    ask(logged, "adapted:legal")
    ask(logged, "desk")
    ask(logged, fake_status=500, path=f"{CHAT}?key=in-the-query")
    lines = logged.log()
    unsaid = [name for name in FIELDS if all(line[name] is None for line in lines)]
    assert unsaid == ["slm.left", "slm.left.failure"], "nothing leaves here; test_instead.py has them"
    text = "".join(p.read_text() for p in logged.site.data.glob("access.log*"))
    assert ":null" not in text  # what is not known is left out
    for secret in (SECRET, SUPPORT, "in-the-query", "Bearer", "slm-wrong"):
        assert secret not in text, secret


@pytest.mark.parametrize("name", fields())
def test_envoy_takes_every_operator_and_would_not_take_another(name: str, tmp_path: Path) -> None:
    site = here(tmp_path)
    wanted = json.loads(json.dumps(files(CASES["one-model"], site)))
    manager = wanted["xds/lds.json"]["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    config = manager["access_log"][0]["typed_config"]
    operator = fields()[name]
    assert operator == config["log_format"]["json_format"][name]
    config["log_format"]["json_format"] = {name: operator}
    assert complaint(bootstrap(site), wanted, tmp_path) == ""
    config["log_format"]["json_format"] = {name: operator.replace("%", "%NO_SUCH_", 1)}
    assert complaint(bootstrap(site), wanted, tmp_path) != ""


# -- reading it while it is written ----------------------------------------------------------------------------


async def test_no_line_is_lost_over_rotations_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine
) -> None:
    folder, enough, sent = tmp_path_factory.mktemp("r"), Event(), 0
    with Gateway(folder, state_of((model("support/bot"),), {"support/bot": bot.port})) as gateway:
        registry = CollectorRegistry()
        metrics = RequestMetrics(registry)
        reader = Counted(folder, metrics)
        served = {"namespace": "support", "model": "bot", "caller_class": "client-key", "code": "200"}

        def count() -> float:
            return registry.get_sample_value("smallmodel_gateway_requests_total", served) or 0

        def traffic() -> int:
            asked = 0
            while asked < 300 or not enough.is_set():
                assert gateway.post(CHAT, {"model": "bot"}, SUPPORT).status == 200
                asked += 1
            return asked

        async with Admin(Path(gateway.site.admin_socket)) as admin:
            rotator = Rotator(folder / "access.log", admin.reopen_logs, max_bytes=20_000, keep=100)
            reading = asyncio.create_task(reader.run())
            asking = asyncio.create_task(asyncio.to_thread(traffic))
            while not asking.done():
                await asyncio.sleep(0.05)
                await rotator.check()
                await admin.reopen_logs()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                reader = Counted(folder, metrics)
                reading = asyncio.create_task(reader.run())
                if (folder / "access.log.8").exists():
                    enough.set()
            sent = await asking
            await admin.reopen_logs()
            await until(lambda: count() >= sent, 20)
            await asyncio.sleep(0.5)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert count() == sent
