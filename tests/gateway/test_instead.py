"""A request that a rule sends out and that fails there is answered inside, within the same request, and says so: with
both real Envoys, whatever is ended on the way. Who names the outside keeps its error, and nothing leaves twice."""

import hmac
import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.outward import CHAT, LABELLED, Outward, named, outward
from tests.gateway.running import Answer
from tests.gateway.states import MASTER
from tests.gateway.under_load import joined

from smallmodel_operator.boundary.declared import Silence
from smallmodel_operator.core.keys import request_key, request_key_name
from smallmodel_operator.gateway.decide import outages, service, writing
from smallmodel_operator.gateway.record.count import TOTAL
from smallmodel_operator.routing import verdict

IBAN = "DE89 3704 0044 0532 0130 00"
FAILING = "outside-failing"


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A machine that is full is slow: that is no reason to stay inside here, nor to try outside again."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verdict, "MOST_SECONDS", 60.0)
        patched.setattr(service, "LOOK_SECONDS", 60.0)
        patched.setattr(writing, "SECONDS", 60.0)
        patched.setattr(outages, "REST_SECONDS", 600.0)
        yield


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with outward(tmp_path_factory.mktemp("i")) as running:
        yield running


@pytest.fixture(autouse=True)
def forget(way: Outward) -> None:
    way.outside.does.clear()
    way.rested()
    way.forget()


def inside(answer: Answer) -> None:
    """It is from inside, and marked."""
    assert (answer.status, answer.headers.get("x-slm-degraded")) == (200, FAILING), answer
    assert answer.headers["x-slm-model-digest"] == "sha256:bot"
    assert "x-slm-cause" not in answer.headers


def lines(way: Outward, request: str, count: int) -> list[dict[str, Any]]:
    """Those of one request, outside first."""
    until = time.monotonic() + 60
    while len(found := way.gateway.log(request)) < count:
        assert time.monotonic() < until, found
    assert len(found) == count
    return sorted(found, key=lambda line: line["slm.left"] is None)


FAILURES: dict[str, dict[str, Any]] = {
    "500": {"fake_status": 500},
    "503": {"fake_status": 503},
    "429": {"fake_status": 429},
    "it breaks off": {"fake_close": True},
}


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_outside_is_answered_inside_by_the_same_request(way: Outward, kind: str) -> None:
    way.outside.does |= FAILURES[kind]
    answer = way.ask("Say hello")
    inside(answer)
    (asked,), (again,) = way.outside.asked, way.bot.asked
    assert json.loads(again.body) == {**json.loads(asked.body), "model": "bot"}
    assert "authorization" in {name.lower() for name in again.headers}
    assert not {"x-slm-pass", "x-slm-instead", "x-slm-caller", "x-data-label"} & {n.lower() for n in again.headers}
    way.outside.does.clear()
    inside(way.ask())  # it rests
    assert len(way.outside.asked) == 1


@pytest.mark.parametrize("kind", FAILURES)
def test_who_names_the_outside_keeps_its_error(way: Outward, kind: str) -> None:
    way.outside.does |= FAILURES[kind]
    answer = way.ask(name="desk/cloud")
    assert answer.status == FAILURES[kind].get("fake_status", 503)
    assert "x-slm-degraded" not in answer.headers
    assert (len(way.outside.asked), way.bot.asked) == (1, [])


def test_both_decisions_are_recorded_and_the_log_has_a_line_of_each(way: Outward) -> None:
    way.outside.does["fake_status"] = 502
    request = way.ask().headers["x-request-id"]
    first, second = way.records
    assert (first["request.id"], second["request.id"]) == (request, request)
    assert (first["slm.decision.target"], second["slm.decision.target"]) == ("cloud", "small")
    assert (second["slm.decision.degraded"], second["slm.decision.failed"]) == (FAILING, "cloud")
    assert first["slm.caller"] == second["slm.caller"] == "key:support/bot"
    out, answer = lines(way, request, 2)
    assert (out["slm.left"], out["slm.route"]) == ("support/desk/cloud", "support/desk/cloud")
    assert (out["http.response.status_code"], out["slm.left.failure"]) == (502, "502")
    assert (out["gen_ai.usage.output_tokens"], out["slm.target"]) == (None, None)
    assert (answer["slm.target"], answer["slm.route"]) == ("support/bot", "support/desk/small")
    assert (answer["http.response.status_code"], answer["gen_ai.usage.output_tokens"]) == (200, 3)
    assert answer["slm.caller"] == out["slm.caller"] == "key:support/bot"
    assert answer["slm.digest"] == "sha256:bot"


def test_the_report_of_what_left_finds_every_witness(way: Outward) -> None:
    for does in (*FAILURES.values(), {}):
        way.outside.does.clear()
        way.outside.does |= does
        way.rested()
        assert way.ask().status == 200
    said = joined(way)
    assert (said["unmatched"], said["requests"], said["egress"]["sent"]) == (0, 5, 5), said


def test_envoys_count_of_requests_is_that_of_lines(way: Outward) -> None:
    """Who is answered inside has two: what is missing would be told by comparing them."""
    counted = re.compile(TOTAL)
    way.outside.does["fake_status"] = 500
    before, lines_before = total(way, counted), len(way.gateway.log())
    way.ask()
    way.ask(name="desk/small")
    way.gateway._eventually(lambda: len(way.gateway.log()) == lines_before + 3, "three lines")
    assert total(way, counted) == before + 3


def total(way: Outward, counted: "re.Pattern[str]") -> int:
    """What Envoy has counted at doors of that name."""
    stats = json.loads(way.gateway.admin("/stats?format=json"))["stats"]
    return sum(stat["value"] for stat in stats if counted.search(stat.get("name", "")))


def test_nobody_takes_connections_outside(way: Outward) -> None:
    with way.outside.refusing():
        inside(way.ask())
        (out, _) = lines(way, way.records[0]["request.id"], 2)
    assert out["slm.left.failure"] == "503 outside-unreachable"
    assert way.outside.bytes == 0


def test_a_stream_is_answered_inside_before_its_first_byte_and_breaks_off_after(way: Outward) -> None:
    way.outside.does["fake_status"] = 500
    answer = way.ask(stream=True)
    inside(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    way.outside.does.clear()
    way.rested()
    way.forget()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        way.ask(stream=True, fake_stream=5, fake_pause=0.05, fake_break=2)
    assert (len(way.outside.asked), way.bot.asked) == (1, [])


def test_a_large_request_comes_back_whole(way: Outward) -> None:
    way.outside.does["fake_status"] = 500
    body = b'{"model":"desk","messages":[{"role":"user","content":"%b"}]}' % (b"ab " * 340_000)
    inside(way.send(body))
    (asked,), (again,) = way.outside.asked, way.bot.asked
    assert asked.body == named(body)
    assert again.body == body.replace(b'"desk"', b'"bot"')


def test_what_says_which_body_was_sent_is_made_of_what_its_caller_sent(way: Outward) -> None:
    """The name of the model is another outside and inside; and here it is written with an escape."""
    body = b'{"messages":[{"role":"user","content":"Say hello"}], "model" : "d\\u0065sk" }\n'
    before = way.gateway.state
    bot = replace(before.models["support/bot"], request_key=1)
    way.gateway.apply(replace(before, models={**before.models, bot.target: bot}))
    way.outside.does["fake_status"] = 500
    try:
        answer = way.send(body)
    finally:
        way.gateway.apply(before)
    inside(answer)
    key = request_key(MASTER, "support", 1)
    said = hmac.new(key, body, sha256).hexdigest()
    (_, line) = lines(way, answer.headers["x-request-id"], 2)
    assert line["slm.request.hmac"] == f"{request_key_name(key, 1)}:{said}"
    assert way.bot.asked[0].body == body.replace(b'"d\\u0065sk"', b'"bot"')


def test_who_sleeps_inside_is_waited_for(way: Outward) -> None:
    way.outside.does["fake_status"] = 500
    before = way.gateway.state
    activator = Engine("activator", activator=True).start(way.gateway.site.agent_socket)
    try:
        way.gateway.apply(replace(before, endpoints={**before.endpoints, "support/bot": ()}))
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(way.ask)
            way.gateway._eventually(lambda: bool(activator.asked), "it is held")
            assert json.loads(activator.asked[0].body)["model"] == "bot"
            way.gateway.apply(before)
            inside(asked.result(60))
    finally:
        way.gateway.apply(before)
        activator.stop()
    assert (len(way.outside.asked), len(way.bot.asked)) == (1, 1)


def test_a_caller_that_leaves_ends_the_answer_inside_too(way: Outward) -> None:
    way.outside.does["fake_status"] = 500
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": "desk", "messages": messages, "fake_delay": 120})
    connection = http.client.HTTPConnection("127.0.0.1", way.gateway.port, timeout=60)
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {LABELLED}"}
    connection.request("POST", CHAT, body, head)
    way.gateway._eventually(lambda: bool(way.bot.asked), "it is inside")
    connection.close()
    out, answer = lines(way, way.records[0]["request.id"], 2)
    assert (answer["http.response.status_code"], answer["slm.response.flags"]) == (0, "DC")
    assert (out["http.response.status_code"], out["slm.left.failure"]) == (500, "500")


def test_what_must_stay_never_leaves_while_the_outside_fails(way: Outward) -> None:
    way.outside.does["fake_status"] = 500
    answer = way.ask(IBAN)
    assert (answer.status, "x-slm-degraded" in answer.headers) == (200, False)
    assert way.outside.bytes == 0


def test_where_nobody_knows_whose_it_is_the_caller_gets_an_error(way: Outward) -> None:
    """Who decides began anew while the request was outside."""
    way.outside.does |= {"fake_status": 500, "fake_silent": 1.0}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(way.ask)
        way.gateway._eventually(lambda: bool(way.outside.asked), "it is outside")
        way.end()
        way.begin()
        answer = asked.result(60)
    assert (answer.status, answer.error["code"]) == (503, "target_unavailable")
    assert (answer.headers["x-slm-cause"], len(way.outside.asked), way.bot.asked) == ("outside-unreachable", 1, [])


def test_who_decides_is_gone_when_it_comes_back(way: Outward) -> None:
    way.outside.does |= {"fake_status": 500, "fake_silent": 1.0}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(way.ask)
        way.gateway._eventually(lambda: bool(way.outside.asked), "it is outside")
        with way.without():
            answer = asked.result(60)
    assert (answer.status, answer.error["code"], way.bot.asked) == (503, "unavailable", [])


def test_the_callers_word_lets_nothing_back_in(way: Outward) -> None:
    where = "support/desk/cloud"
    forged = {"x-slm-instead": "1", "x-slm-route": f">?{where}", "x-slm-target": where, "x-slm-pass": "AAAA"}
    body = json.dumps({"model": "desk", "messages": [{"role": "user", "content": IBAN}]}).encode()
    assert way.send(body, **forged).status == 200
    assert way.went() == "inside"
    assert way.send(body, path=f"/instead{CHAT}").status in (401, 403, 404)
    assert way.outside.bytes == 0


def test_a_silent_outside_a_killed_egress_and_a_stopped_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    with outward(tmp_path_factory.mktemp("s"), silence=2.0) as own:
        own.outside.does["fake_silent"] = 60
        inside(own.ask())
        assert own.ask(name="desk/cloud").status == 504
        own.outside.does.clear()
        own.rested()
        answer = own.ask(stream=True, fake_stream=30, fake_pause=0.1)
        assert answer.body.count(b"data:") == 30, "after the first byte it may take as long as it likes"
        own.outside.does.clear()
        own.rested()
        own.forget()
        assert own.egress.envoy is not None
        own.egress.envoy.send_signal(signal.SIGSTOP)
        try:
            inside(own.ask())
        finally:
            own.egress.envoy.send_signal(signal.SIGCONT)
        own.rested()
        own.egress.envoy.kill()
        own.egress.envoy.wait(10)
        own.forget()
        inside(own.ask())
        assert own.outside.bytes == 0
        assert own.ask(IBAN).status == 200


def test_a_target_has_its_own_silence_for_streams_and_for_whole_answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A shorter one than the gateway's; what is inside has the gateway's all the same."""
    with outward(tmp_path_factory.mktemp("o"), Silence(stream=1, answer=4)) as own:
        whole, stream = {"fake_silent": 2.0}, {"fake_stream": 20, "fake_pause": 0.15}
        assert own.ask(**whole).json == {"served_by": "outside"}, "it is whole in time"
        assert own.ask("stream: true", **whole).json == {"served_by": "outside"}, "a text asks for no stream"
        steady = own.ask(stream=True, **stream)
        assert (steady.body.count(b"data:"), "x-slm-degraded" in steady.headers) == (20, False)
        assert len(own.outside.asked) == 3, "each was sent once"
        for late in ({"stream": True, "fake_silent": 30.0}, {"fake_silent": 30.0}):
            own.rested()
            own.forget()
            began = time.monotonic()
            answer = own.ask(**late, fake_delay=5.0)
            inside(answer)
            assert time.monotonic() - began < 25, "it was not waited for"
            out, _ = lines(own, answer.headers["x-request-id"], 2)
            assert out["slm.left.failure"] == "504 outside-silent"
            assert (len(own.outside.asked), len(own.bot.asked)) == (1, 1)
        named_ = own.ask(name="desk/cloud", stream=True, fake_silent=30.0)
        assert (named_.status, named_.error["code"]) == (504, "timeout")


def test_under_load_everybody_has_an_answer_while_the_outside_is_killed(way: Outward) -> None:
    """Half of what is sent must stay; the outside takes no connections after a while, and cuts those it has."""
    answers: list[tuple[str, Answer]] = []

    def ask(number: int) -> None:
        said = IBAN if number % 2 else f"Hello {number}"
        answers.append((said, way.ask(said, fake_silent=0.05)))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(200)]
        way.gateway._eventually(lambda: len(answers) > 40, "some are answered")
        with way.outside.refusing(), resting(way, often=0.02):
            for one in asked:
                one.result(120)
    assert (len(answers), {answer.status for _, answer in answers}) == (200, {200})
    outside = [said for said, answer in answers if answer.json == {"served_by": "outside"}]
    marked = [said for said, answer in answers if answer.headers.get("x-slm-degraded") == FAILING]
    assert len(outside) > 5 < len(marked), "both was seen"
    assert sorted(outside + marked) == sorted(said for said, _ in answers if said != IBAN)
    assert not [asked for asked in way.outside.asked if IBAN.encode() in asked.body]
    bodies = [asked.body for asked in way.outside.asked]
    assert len(bodies) == len(set(bodies)), "nothing leaves twice"


@contextmanager
def resting(way: Outward, often: float) -> Iterator[None]:
    """Inside the outside is tried again and again."""
    stop = threading.Event()

    def forget() -> None:
        while not stop.wait(often):
            way.rested()

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
