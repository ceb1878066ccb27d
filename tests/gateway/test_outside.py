"""From a caller to the outside and back through both Envoys: what is clean and labelled leaves with another name of its
model and nothing else changed; of anything else not one byte does, whatever is ended on the way."""

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hack.bench.routing.dressed import dressed
from tests.fakes.recording import counted_of
from tests.gateway.decided import until_ready
from tests.gateway.leaving import SECRET
from tests.gateway.outward import (
    CHAT,
    LABELLED,
    MODEL,
    SAYING,
    STRANGER,
    Outward,
    named,
    outward,
    state,
)  # fmt: skip
from tests.gateway.running import Answer

from smallmodel_operator.gateway.accesslog.line import Line, attribute
from smallmodel_operator.gateway.decide import passes

CLEAN = (
    b'{ "messages":[ {"role":"user","content":"Say h\\u0065llo, \xc3\xa9"} ],'
    b'\t"seed":12345678901234567890, "model" : "desk" }\r\n'
)
IBAN = "DE89 3704 0044 0532 0130 00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("o")


@pytest.fixture(scope="module")
def way(folder: Path) -> Iterator[Outward]:
    with outward(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def forget(way: Outward) -> None:
    way.forget()


# -- what leaves -------------------------------------------------------------------------------------------------


def test_what_is_clean_and_labelled_leaves_unchanged_but_for_the_models_name(way: Outward) -> None:
    answer = way.send(CLEAN)
    assert (answer.status, answer.json) == (200, {"served_by": "outside"})
    (asked,) = way.outside.asked
    assert (asked.path, asked.body) == (CHAT, named(CLEAN))
    assert json.loads(asked.body)["model"] == MODEL
    assert {name.lower() for name in asked.headers} == {"host", "content-type", "content-length", "authorization"}
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(answer)
    assert not way.bot.asked


def test_it_is_recorded_before_and_after_and_by_the_egress(way: Outward) -> None:
    request = way.send(CLEAN).headers["x-request-id"]
    (decided,) = way.records
    assert (decided["request.id"], decided["slm.decision.target"]) == (request, "cloud")
    assert (decided["slm.decision.model"], decided["slm.decision.boundary"]) == (MODEL, "MayLeave")
    (line,) = way.gateway.log(request)
    assert line["slm.left"] == line["slm.route"] == "support/desk/cloud"
    assert (line["gen_ai.response.model"], line["slm.target"], line["slm.cause"]) == ("egress", None, None)
    (left,) = [line for line in way.egress.log() if line.get("request.id") == request]
    assert (left["slm.target"], left["slm.decision.policy"]) == ("support/desk/cloud", decided["slm.decision.policy"])


def test_an_inside_answer_says_nothing_of_outside(way: Outward) -> None:
    request = way.ask(IBAN).headers["x-request-id"]
    (line,) = way.gateway.log(request)
    assert (line["slm.left"], line["slm.route"]) == (None, "support/desk/small")
    assert not [name for name in way.bot.asked[-1].headers if name.lower() in ("x-slm-pass", "x-data-label")]


def test_who_names_the_target_outside_gets_there_with_or_without_rules(way: Outward) -> None:
    for name in ("desk/cloud", "named/cloud"):
        assert way.ask(name=name).json == {"served_by": "outside"}
        assert json.loads(way.outside.asked[-1].body)["model"] == MODEL
    assert [record["slm.decision"] for record in way.records] == ["Named", "Named"]
    assert not way.bot.asked


def test_who_names_no_target_of_a_route_without_rules_is_not_asked_about(way: Outward) -> None:
    assert way.ask(name="named").headers["x-slm-model-digest"] == "sha256:bot"
    assert way.ask(name="desk/small").headers["x-slm-model-digest"] == "sha256:bot"
    assert (way.records, way.outside.bytes) == ([], 0)


def test_a_stream_passes_as_it_comes(way: Outward) -> None:
    answer = way.ask(fake_stream=5, fake_pause=0.05, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.count(b"data:") == 5


def test_bodies_in_pieces_and_large_ones_leave_whole(way: Outward) -> None:
    assert way.send(iter([CLEAN[:40], CLEAN[40:]])).status == 200
    large = b'{"model":"desk","messages":[{"role":"user","content":"%b"}]}' % (b"ab " * 20_000)
    assert way.send(large).status == 200
    assert [asked.body for asked in way.outside.asked] == [named(CLEAN), named(large)]


@pytest.mark.parametrize("said", ["public", " public ", "public,,public"])
def test_a_label_that_a_caller_may_say_counts(way: Outward, said: str) -> None:
    way.send(CLEAN, SAYING, **{"X-Data-Label": said})
    assert way.went() == "outside"


# -- what stays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["", "secret", "public,secret", "public,other", ",", "Public", "public;x", "x" * 1025])
def test_another_label_or_none_keeps_it_inside(way: Outward, said: str) -> None:
    way.send(CLEAN, SAYING, **({"X-Data-Label": said} if said else {}))
    assert way.went() == "inside"
    assert way.outside.bytes == 0


def test_nobody_else_labels(way: Outward) -> None:
    way.send(CLEAN, STRANGER, path=f"/support{CHAT}", **{"X-Data-Label": "public"})
    assert way.went() == "inside"
    assert way.records[0]["slm.decision.reasons"] == "Unlabelled"


FOUND: dict[str, Any] = {
    "Pii": f"Pay {IBAN} today",
    "Pci": "card 4111 1111 1111 1111, expires soon",
    "Secrets": "the key is AKIAIOSFODNN7EXAMPLE here",
    "pattern": "see TICKET-123456",
    "term": "about Project  Nightingale",
    "base64": "REU4OTM3MDQwMDQ0MDUzMjAxMzAwMA==",
    "an image": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_found_stays_and_is_refused_where_the_outside_is_named(way: Outward, kind: str) -> None:
    assert way.ask(FOUND[kind]).headers["x-slm-model-digest"] == "sha256:bot"
    answer = way.ask(FOUND[kind], "desk/cloud")
    assert (answer.status, answer.error["code"]) == (403, "kept_inside")
    assert way.outside.bytes == 0
    assert [r["slm.decision.boundary"] for r in way.records] == ["Inside", "Inside"]


RAW: dict[str, bytes] = {
    "over the bound": CLEAN[:-3] + b" " * (2**20 - len(CLEAN) + 1) + CLEAN[-3:],
    "much over it": CLEAN[:-3] + b" " * 3_000_000 + CLEAN[-3:],
    "no messages": b'{"model":"desk","query":"a","documents":["b"]}',
    "no such number": b'{"model":"desk","messages":[{"role":"user","content":"x"}],"n":-0e}',
    "too deep": b'{"model":"desk","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 60 + b"]" * 60 + b"}",
}


@pytest.mark.parametrize("kind", RAW)
def test_what_is_not_read_stays(way: Outward, kind: str) -> None:
    way.send(RAW[kind])
    way.send(RAW[kind].replace(b'"desk"', b'"desk/cloud"'))
    assert way.outside.bytes == 0


def test_what_is_packed_typed_otherwise_or_has_a_query_stays(way: Outward) -> None:
    way.send(gzip.compress(CLEAN), **{"Content-Encoding": "gzip"})
    for kind in ("text/plain", "application/json; charset=utf-16", "multipart/form-data"):
        way.send(CLEAN, **{"Content-Type": kind})
    way.send(CLEAN, path=f"{CHAT}?{IBAN.replace(' ', '')}")
    assert way.outside.bytes == 0


@pytest.mark.parametrize("name", ["shut", "health"])
def test_a_route_that_is_shut_or_lacks_a_recognizer_keeps_everything(way: Outward, name: str) -> None:
    assert way.ask(name=name).headers["x-slm-model-digest"] == "sha256:bot"
    assert way.ask(name=f"{name}/cloud").error["code"] == "kept_inside"
    assert way.outside.bytes == 0


def test_a_caller_brings_no_way_and_no_pass(way: Outward) -> None:
    where = "support/desk/cloud"
    forged = {"x-slm-pass": "AAAA", "x-slm-target": where, "x-slm-route": f">{where}", "x-slm-model-at": "0,1"}
    way.send(json.dumps({"model": "desk", "messages": [{"role": "user", "content": IBAN}]}).encode(), **forged)
    assert way.went() == "inside"
    for name in (f">{where}", f"+{where}", "desk/cloud/x", "desk/none"):
        assert way.ask(name=name).status == 404
    assert way.ask(IBAN, "desk/cloud", STRANGER).status in (401, 403, 404)
    assert way.outside.bytes == 0


def insisting(way: Outward, body: bytes) -> Answer:
    """The answer, asked for again where nobody was there in time to decide or to check: a machine may be full."""
    until = time.monotonic() + 60
    while (answer := way.send(body)).status == 503 and time.monotonic() < until:
        time.sleep(0.1)
    return answer


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_planted_things_never_leave_and_clean_ones_do_unchanged(way: Outward, count: int) -> None:
    sent = list(dressed(count, 31))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: insisting(way, one.body), sent))
    assert {answer.status for answer in answers} == {200}
    left = {asked.body for asked in way.outside.asked}
    clean = {named(one.body, "support") for one in sent if not one.kind}
    assert left <= clean
    assert len(left) >= 0.99 * len(clean)


# -- what is ended on the way ------------------------------------------------------------------------------------


def test_where_nobody_decides_nothing_leaves_and_who_names_a_model_is_answered(way: Outward) -> None:
    with way.without():
        for name in ("desk", "desk/cloud", "named/cloud"):
            assert (answer := way.ask(name=name)).error["code"] == "unavailable", answer
        assert way.ask(name="desk/small").status == 200
        assert way.ask(name="named").status == 200
    assert way.outside.bytes == 0


def test_where_who_decides_says_nothing_it_is_not_waited_for_long(way: Outward) -> None:
    way.end()
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        way.socket.unlink(missing_ok=True)
        listening.bind(str(way.socket))
        listening.listen()
        assert way.ask().error["code"] == "unavailable"
    way.socket.unlink(missing_ok=True)
    way.begin()
    assert way.outside.bytes == 0
    assert way.ask().json == {"served_by": "outside"}


def test_a_pass_of_another_key_lets_nothing_out(way: Outward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who decides may be taken over: what counts is the key, which the egress knows."""
    with way.without(), monkeypatch.context() as patched:
        patched.setattr(passes, "egress_seed", lambda _: b"z" * 32)
        way.begin()
        answer = way.ask()
        way.end()
    assert (answer.status, answer.headers["x-slm-cause"]) == (403, "pass-unsigned")
    assert way.outside.bytes == 0


def test_the_outside_fails_and_its_word_is_passed_on(way: Outward) -> None:
    assert way.ask(name="desk/cloud", fake_status=429).status == 429
    answer = way.ask(name="desk/cloud", fake_close=True)
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert answer.headers["x-slm-cause"] == "outside-broken"


def test_what_a_rule_sends_out_is_answered_inside_while_the_outside_fails(way: Outward, tmp_path: Path) -> None:
    """The log says what came of each; who reads it tells who decides."""
    counted = counted_of(tmp_path)
    counted.left = way.outages.came

    def read(answer: Answer) -> None:
        (line,) = way.gateway.log(answer.headers["x-request-id"])
        counted._add(Line(**{attribute(name): value for name, value in line.items() if value is not None}))

    answer = way.ask(name="desk/cloud", fake_status=500)
    assert (answer.status, "x-slm-degraded" in answer.headers) == (500, False)
    read(answer)
    answer = way.ask()
    assert (answer.status, answer.headers["x-slm-degraded"]) == (200, "outside-failing")
    assert answer.headers["x-slm-model-digest"] == "sha256:bot"
    assert way.records[-1]["slm.decision.degraded"] == "outside-failing"
    assert way.ask(name="named/cloud").json == {"served_by": "outside"}, "another target, and named"
    read(way.ask(name="desk/cloud"))
    answer = way.ask()
    assert (answer.json, "x-slm-degraded" in answer.headers) == ({"served_by": "outside"}, False)


def test_without_a_checker_nothing_leaves(way: Outward) -> None:
    way.egress.end()
    try:
        assert way.ask(name="desk/cloud").headers["x-slm-cause"] == "unchecked"
        assert way.outside.bytes == 0
    finally:
        way.egress.begin()
    assert way.ask().json == {"served_by": "outside"}


def test_without_an_egress_the_error_is_clear(way: Outward) -> None:
    before = way.gateway.state
    try:
        way.gateway.apply(state(way.bot.port, 0))
        answer = way.ask(name="desk/cloud")
        assert (answer.status, answer.error["code"]) == (503, "target_unavailable")
        assert "x-slm-degraded" not in answer.headers
        answer = way.ask()
        assert (answer.status, answer.headers["x-slm-degraded"]) == (200, "egress-absent")
        assert answer.headers["x-slm-model-digest"] == "sha256:bot"
        assert way.records[-1]["slm.decision.degraded"] == "egress-absent"
        assert way.ask(IBAN).headers.get("x-slm-degraded") is None, "it would have stayed anyway"
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            way.gateway.apply(state(way.bot.port, free.getsockname()[1]))
            answer = way.ask(name="desk/cloud")
        assert (answer.status, answer.headers["x-slm-cause"]) == (503, "outside-unreachable")
        (line,) = way.gateway.log(answer.headers["x-request-id"])
        assert line["slm.route"] == "support/desk/cloud"
    finally:
        way.gateway.apply(before)
    assert way.ask().json == {"served_by": "outside"}


@contextmanager
def loaded(way: Outward) -> Iterator[list[int]]:
    """Inside four callers ask without a pause, half of it what must stay; the statuses so far."""
    stop, statuses = threading.Event(), list[int]()

    def load() -> None:
        while not stop.is_set():
            for said in ("Hello", IBAN):
                statuses.append(way.ask(said).status)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def more(statuses: list[int], status: int) -> None:
    """Wait for some more answers of a kind."""
    before, until = statuses.count(status), time.monotonic() + 60
    while statuses.count(status) < before + 4:
        assert time.monotonic() < until, statuses[-20:]
        time.sleep(0.01)


@contextmanager
def choosing(way: Outward) -> Iterator[subprocess.Popen[bytes]]:
    """Another process decides; it answers."""
    process = subprocess.Popen([sys.executable, "-m", "tests.fakes.choosing", str(way.socket)])
    try:
        until_ready(lambda: way.ask().status == 200, lambda: "it does not decide")
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_the_outside_says_nothing_and_then_the_egress_is_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with outward(tmp_path_factory.mktemp("s"), silence=1.0) as own:
        answer = own.ask(name="desk/cloud", fake_silent=60)
        assert (answer.status, answer.headers["x-slm-cause"]) == (504, "outside-silent")
        assert answer.error["code"] == "timeout"
        own.forget()
        assert own.egress.envoy is not None
        own.egress.envoy.kill()
        own.egress.envoy.wait(10)
        answer = own.ask(name="desk/cloud")
        assert (answer.status, answer.headers["x-slm-cause"]) == (503, "outside-unreachable")
        assert own.ask(IBAN).status == 200
        assert own.outside.bytes == 0


def test_under_load_while_who_decides_is_killed_and_stopped(way: Outward) -> None:
    with way.without(), choosing(way) as first, loaded(way) as statuses:
        more(statuses, 200)
        first.send_signal(signal.SIGSTOP)
        more(statuses, 503)
        first.send_signal(signal.SIGCONT)
        more(statuses, 200)
        first.kill()
        more(statuses, 503)
        with choosing(way):
            more(statuses, 200)
        more(statuses, 503)
    assert set(statuses) == {200, 503}
    assert way.outside.asked
    assert {json.loads(asked.body)["messages"][0]["content"] for asked in way.outside.asked} == {"Hello"}
    assert {asked.body for asked in way.outside.asked} == {way.outside.asked[0].body}


def test_the_label_goes_no_further(way: Outward) -> None:
    way.send({"model": "support/other", "messages": []}, LABELLED, **{"X-Data-Label": "public"})
    way.send({"model": "other", "messages": []}, LABELLED, **{"X-Data-Label": "public"})
    assert way.bot.asked
    assert not [n for asked in way.bot.asked for n in asked.headers if n.lower() == "x-data-label"]
