"""The egress with the real Envoy: what has a pass leaves once, unchanged, and of everything else not one byte does."""

import http.client
import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hack.envoy.binary import program
from tests.fakes.outside import Authority, Outside
from tests.gateway.decided import until_ready
from tests.gateway.leaving import CHAT, POLICY, SECRET, Egress, leaving

from smallmodel_operator.boundary.declared import Declared, parse
from smallmodel_operator.boundary.passes import LIFE_MS, WINDOW_MS, Signer
from smallmodel_operator.gateway.egress.envoy import bootstrap
from smallmodel_operator.gateway.egress.site import MOST_BODY, EgressSite

HOST = "api.localhost"
CLOUD, OTHER, BARE, IMPOSTOR, UNKNOWN = (f"support/assistant/{n}" for n in ("cloud", "other", "bare", "false", "gone"))
BODY = b'{ "model":"big-1", "messages":[{"role":"user","content":"Say h\\u0065llo"}],\t"seed":12345678901234567890 }'
TEXT = "Say h"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def outside(authority: Authority) -> Iterator[Outside]:
    server = Outside(authority.certify(HOST)).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def impostor(folder: Path) -> Iterator[Outside]:
    """It has the name, and nobody we know says so."""
    server = Outside(Authority(folder, "stranger").certify(HOST)).start()
    yield server
    server.stop()


def declared(outside: Outside, impostor: Outside) -> tuple[Declared, ...]:
    here = f"https://{HOST}:{outside.port}/openai/v1"
    return (
        parse(CLOUD, here),
        parse(OTHER, f"https://other.localhost:{outside.port}/v1"),  # of another name than its certificate
        parse(BARE, here),
        parse(IMPOSTOR, f"https://{HOST}:{impostor.port}/v1"),
        parse(UNKNOWN, "https://nobody.invalid/v1"),
    )


@pytest.fixture(scope="module")
def egress(folder: Path, outside: Outside, impostor: Outside, authority: Authority) -> Iterator[Egress]:
    hosts = declared(outside, impostor)
    (folder / "credentials").mkdir()
    (folder / "credentials" / hosts[2].file).write_text("")
    with leaving(folder, hosts, authority.file) as running:
        yield running


@pytest.fixture(autouse=True)
def forget(outside: Outside, impostor: Outside) -> None:
    for server in (outside, impostor):
        server.asked.clear()
        server.cut.clear()
        server.bytes = 0


def test_envoy_takes_the_configuration(tmp_path: Path, authority: Authority) -> None:
    hosts = (parse(CLOUD, "https://api.example.com/v1"), parse(OTHER, "https://api.example.org", credential=False))
    site = EgressSite(tmp_path, tmp_path, authority.file)
    (tmp_path / hosts[0].file).write_text(SECRET)
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(bootstrap(hosts, site)))
    done = subprocess.run([program(), "--mode", "validate", "-c", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "deprecated" not in done.stderr.lower()


def test_a_request_with_a_pass_leaves_once_and_unchanged(egress: Egress, outside: Outside) -> None:
    request = egress.name()
    text = egress.sign(BODY, request)
    answer = egress.ask(BODY, text, request=request)
    assert (answer.status, answer.json) == (200, {"served_by": "outside"})
    (asked,) = outside.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/openai/v1/chat/completions", BODY)
    before = outside.bytes
    again = egress.ask(BODY, text, request=request)
    assert (again.status, again.headers["x-slm-cause"]) == (403, "pass-used")
    fresh = egress.ask(BODY, egress.sign(BODY, request), request=request)
    assert fresh.headers["x-slm-cause"] == "pass-used", "a request id passes once, with whatever pass"
    assert outside.bytes == before


def test_a_body_in_pieces_leaves_as_a_whole(egress: Egress, outside: Outside) -> None:
    request = egress.name()
    answer = egress.ask(iter([BODY[:20], BODY[20:]]), egress.sign(BODY, request), request=request)
    assert answer.status == 200
    assert [asked.body for asked in outside.asked] == [BODY]


def test_nothing_a_caller_writes_as_it_likes_goes_along(egress: Egress, outside: Outside) -> None:
    answer = egress.ask(
        BODY, Authorization="Bearer of-the-caller", Cookie="c=d", User_Agent="me", Accept="text/secret",
        X_Forwarded_For="10.0.0.9", X_Slm_Way=OTHER, X_Envoy_Original_Path="/x", Traceparent="00-1-2-03",
        OpenAI_Organization="org",
    )  # fmt: skip
    assert answer.status == 200
    (asked,) = outside.asked
    assert {name.lower(): value for name, value in asked.headers.items()} == {
        "host": HOST,
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "authorization": f"Bearer {SECRET}",
    }


def test_what_comes_back_has_no_more_than_clients_need(egress: Egress) -> None:
    answer = egress.ask(BODY)
    assert answer.headers["x-ratelimit-remaining-tokens"] == "7"
    assert not {"set-cookie", "location", "authorization", "x-slm-way", "x-slm-policy"} & answer.headers.keys()
    assert SECRET not in repr(answer)


def other_key(egress: Egress, request: str) -> str:
    return egress.sign(BODY, request, signer=Signer(b"o" * 32))


Signed = Callable[[Egress, str], str]
REFUSED: dict[str, tuple[Signed, int, str]] = {
    "no pass": (lambda e, r: "", 403, "pass-missing"),
    "no such pass": (lambda e, r: "AAAA", 403, "pass-broken"),
    "wrong key": (other_key, 403, "pass-unsigned"),
    "expired": (lambda e, r: e.sign(BODY, r, age=WINDOW_MS), 403, "pass-expired"),
    "from the future": (lambda e, r: e.sign(BODY, r, age=-LIFE_MS), 403, "pass-early"),
    "other request": (lambda e, r: e.sign(BODY, r + "x"), 403, "pass-of-another-request"),
    "other target": (lambda e, r: e.sign(BODY, r, OTHER), 403, "pass-for-another-target"),
    "other body": (lambda e, r: e.sign(BODY + b" ", r), 403, "pass-for-another-body"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_pass_that_fits_no_byte_leaves(egress: Egress, outside: Outside, name: str) -> None:
    signed, status, cause = REFUSED[name]
    request = egress.name()
    answer = egress.ask(BODY, signed(egress, request), request=request)
    assert (answer.status, answer.headers["x-slm-cause"]) == (status, cause)
    assert answer.error["code"]
    assert outside.bytes == 0


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"path": CHAT + "?q=secret"}, 404),
        ({"path": "/v1/files"}, 404),
        ({"path": "/v1/chat/../files"}, 404),
        ({"path": "/v1/%2e%2e/chat/completions"}, 404),
        ({"path": "/v1%2fchat/completions"}, 400),
        ({"method": "PUT"}, 404),
        ({"target": "support/assistant/undeclared"}, 503),
    ],
)
def test_a_pass_is_for_what_it_says_and_nothing_else(
    egress: Egress, outside: Outside, more: dict[str, str], status: int
) -> None:
    assert egress.ask(BODY, **more).status == status
    assert outside.bytes == 0


def test_a_header_that_comes_twice_counts_for_nothing(egress: Egress, outside: Outside) -> None:
    request = egress.name()
    text = egress.sign(BODY, request)
    for twice in ("x-slm-pass", "x-slm-target", "x-request-id"):
        connection = http.client.HTTPConnection("127.0.0.1", egress.port, timeout=60)
        connection.putrequest("POST", CHAT)
        sent = [("x-request-id", request), ("x-slm-target", CLOUD), ("x-slm-pass", text)]
        for name, value in [*sent, (twice, "other"), ("content-length", str(len(BODY)))]:
            connection.putheader(name, value)
        connection.endheaders(BODY)
        with closing(connection), connection.getresponse() as answer:
            assert answer.status in (403, 503), twice
    assert outside.bytes == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_too_large_stays(egress: Egress, outside: Outside, chunked: bool) -> None:
    large, most = b" " * (MOST_BODY + 1), b'{"a":1}'.ljust(MOST_BODY)
    for body, status in ((large, 413), (most, 200)):
        request = egress.name()
        given: Any = iter([body[: 1 << 19], body[1 << 19 :]]) if chunked else body
        answer = egress.ask(given, egress.sign(body, request), request=request)
        assert answer.status == status, answer
        if status == 413:
            assert answer.error["code"] == "request_too_large"
            assert outside.bytes == 0
    assert [asked.body for asked in outside.asked] == [most]


def test_nobody_who_does_not_prove_who_it_is_is_told_anything(
    egress: Egress, outside: Outside, impostor: Outside
) -> None:
    for target in (IMPOSTOR, OTHER, UNKNOWN):
        answer = egress.ask(BODY, target=target)
        assert (answer.status, answer.headers["x-slm-cause"]) == (503, "outside-unreachable"), target
    assert (outside.bytes, impostor.bytes) == (0, 0)


def test_without_its_credential_nothing_is_sent(egress: Egress, outside: Outside) -> None:
    answer = egress.ask(BODY, target=BARE)
    assert (answer.status, answer.headers["x-slm-cause"]) == (503, "no-credential")
    assert outside.bytes == 0


def test_what_was_let_out_once_is_sent_once(egress: Egress, outside: Outside) -> None:
    assert egress.ask(b'{"fake_close":true}').status == 503
    assert len(outside.asked) == 1


def test_of_many_at_once_with_one_pass_one_leaves(egress: Egress, outside: Outside) -> None:
    request = egress.name()
    text = egress.sign(BODY, request)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(egress.ask(BODY, text, request=request).status)

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Counter(statuses) == {200: 1, 403: 23}
    assert len(outside.asked) == 1


def test_whatever_is_changed_no_byte_leaves(egress: Egress, outside: Outside) -> None:
    lots = random.Random(8)
    for _ in range(300):
        request = egress.name()
        text = egress.sign(BODY, request)
        at = lots.randrange(len(text))
        other = lots.choice("ABCxyz019-_=.+/ ~")
        place = lots.randrange(len(BODY))
        changed: dict[str, Any] = lots.choice(
            [
                {"text": text[:at] + other + text[at + 1 :]} if text[at] != other else {"text": text[:at]},
                {"text": text[:at]},
                {"body": BODY[:place] + b"?" + BODY[place + 1 :]},
                {"body": BODY[:place]},
                {"request": request + lots.choice("ab")},
                {"target": OTHER},
            ]
        )
        if changed.get("body") == BODY:
            continue
        answer = egress.ask(**{"body": BODY, "text": text, "request": request, **changed})
        assert answer.status in (400, 403), (changed, answer)
    assert outside.bytes == 0


def test_an_answer_comes_as_it_is_made(egress: Egress) -> None:
    with egress.sent(b'{"fake_stream":3,"fake_pause":0.7}') as answer:
        assert answer.readline() == b"data: 0\n"
        first = time.monotonic()
        assert answer.read().endswith(b"data: 2\n\n")
        assert time.monotonic() - first > 0.7, "the first part was there before the last was made"


def test_who_checks_is_gone_or_hangs_and_nothing_leaves(egress: Egress, outside: Outside) -> None:
    assert egress.checker is not None
    used = egress.name()
    text = egress.sign(BODY, used)
    assert egress.ask(BODY, text, request=used).status == 200
    before = outside.bytes
    egress.checker.send_signal(signal.SIGSTOP)
    try:
        answer = egress.ask(BODY)
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
    finally:
        egress.checker.send_signal(signal.SIGCONT)
    egress.end(signal.SIGKILL)
    assert egress.ask(BODY).headers["x-slm-cause"] == "unchecked"
    egress.begin()
    answer = egress.ask(BODY, text, request=used)
    assert answer.status in (403, 503), "it has forgotten what was used, so it takes nothing that may have been"
    egress.end(signal.SIGTERM)
    assert egress.ask(BODY).status == 503
    assert outside.bytes == before
    egress.begin()
    assert egress.ask(BODY).status == 200


def test_the_log_says_what_left_and_no_text(egress: Egress, outside: Outside) -> None:
    left, kept = egress.name(), egress.name()
    text = egress.sign(BODY, left)
    egress.ask(BODY, text, request=left)
    egress.ask(BODY, "", request=kept)
    lines = {line.get("request.id"): line for line in egress.log()}
    mine = lines[left]
    assert (mine["slm.target"], mine["slm.decision.policy"], mine["status"]) == (CLOUD, POLICY, 200)
    assert mine["bytes.in"] == len(BODY)
    assert mine["bytes.out"] == outside.bytes
    assert lines[kept]["status"] == 403
    assert not lines[kept].get("bytes.out")
    said = egress.said() + egress.admin("/config_dump") + egress.admin("/stats")
    for secret in (TEXT, SECRET, text):
        assert secret not in said


def test_sealing_cuts_what_is_open_and_refuses_what_comes(egress: Egress, outside: Outside) -> None:
    """As the kubelet does when the egress's pod goes: a signal to each process."""
    assert egress.envoy is not None
    with ExitStack() as stack:
        ask = egress.sent
        streams = [stack.enter_context(ask(b'{"fake_stream":10000,"fake_pause":0.05}')) for _ in range(4)]
        for stream in streams:
            assert stream.readline() == b"data: 0\n"
        told = time.monotonic()
        egress.envoy.send_signal(signal.SIGTERM)
        egress.end(signal.SIGTERM)
        for stream in streams:
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                stream.read()
        assert time.monotonic() - told < 60, "they would go on for minutes"
    until_ready(lambda: len(outside.cut) == 4, egress.said)
    assert max(outside.cut) - told < 60
    before = outside.bytes
    with pytest.raises(OSError):
        egress.ask(BODY)
    assert outside.bytes == before
    assert egress.envoy.wait(5) == 0


def test_hosts_that_are_declared_are_all_it_knows(outside: Outside, impostor: Outside) -> None:
    hosts = declared(outside, impostor)
    made = bootstrap(hosts, EgressSite())
    kinds = Counter(c["type"] for c in made["static_resources"]["clusters"])
    assert kinds == {"STRICT_DNS": len(hosts), "STATIC": 1}
    one = bootstrap((replace(hosts[0], host="api.example.com"),), EgressSite())
    assert HOST not in json.dumps(one)
