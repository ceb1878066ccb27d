"""Decisions with the real Envoy: what is clean leaves unchanged, nothing else does, whatever happens to who decides."""

import gzip
import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.bench.routing.planted import requests
from hack.envoy.binary import program
from tests.fakes.upstream import Engine
from tests.gateway.decided import Asking, asking, bootstrap, until_ready
from tests.gateway.test_record import KEY

from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains

IBAN = "DE89 3704 0044 0532 0130 00"
MAIL = "jane.roe@example.com"
CLEAN = (
    b'{ "messages":[ {"role":"user","content":"Say h\\u0065llo, \xc3\xa9"} ],'
    b'\t"seed":12345678901234567890, "model":"assistant"}'
)


def body(text: str) -> bytes:
    return json.dumps({"model": "assistant", "messages": [{"role": "user", "content": text}]}).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")


@pytest.fixture(scope="module")
def small() -> Iterator[Engine]:
    engine = Engine("small").start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Engine]:
    engine = Engine("cloud").start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def envoy(folder: Path, small: Engine, cloud: Engine) -> Iterator[Asking]:
    with asking(folder, {"small": small.port, "cloud": cloud.port}) as running:
        yield running


@pytest.fixture(autouse=True)
def forget(small: Engine, cloud: Engine) -> None:
    small.asked.clear()
    cloud.asked.clear()


def test_envoy_takes_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(bootstrap(tmp_path, {"small": 1, "cloud": 2})))
    done = subprocess.run([program(), "--mode", "validate", "-c", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_clean_and_labelled_leaves_unchanged(envoy: Asking, cloud: Engine, small: Engine) -> None:
    answer = envoy.ask(CLEAN, x_caller="labelled")
    assert (answer.status, answer.headers["x-target"]) == (200, "cloud Default")
    assert [asked.body for asked in cloud.asked] == [CLEAN]
    assert not small.asked


def test_whatever_else_stays_inside_unchanged(envoy: Asking, cloud: Engine, small: Engine) -> None:
    large = body("word " * 500_000)
    sent = [
        ({"x_caller": "labelled"}, body(IBAN)),
        ({"x_caller": "labelled"}, body("about Project  Nightingale")),
        ({}, CLEAN),
        ({"x_caller": "labelled"}, large),
        ({"x_caller": "labelled"}, CLEAN[:-1] + b" " * (2**20 - len(CLEAN) + 1) + b"}"),
    ]
    for headers, raw in sent:
        answer = envoy.ask(raw, **headers)
        assert answer.headers.get("x-target") == "small Instead", (headers, len(raw), answer)
    assert [asked.body for asked in small.asked] == [raw for _, raw in sent]
    assert not cloud.asked


def test_a_packed_body_is_not_looked_into(envoy: Asking, cloud: Engine, small: Engine) -> None:
    answer = envoy.ask(gzip.compress(CLEAN), x_caller="labelled", content_encoding="gzip")
    assert answer.headers["x-target"] == "small Instead"
    assert [asked.body for asked in small.asked] == [CLEAN]  # unpacked by the fake
    assert not cloud.asked


def test_a_body_in_pieces_is_decided_on_as_a_whole(envoy: Asking, cloud: Engine, small: Engine) -> None:
    raw = body(f"It is {IBAN} indeed")
    at = raw.index(b"3704")
    envoy.ask(iter([raw[:at], raw[at:]]), x_caller="labelled")
    envoy.ask(iter([CLEAN[:30], CLEAN[30:]]), x_caller="labelled")
    assert ([a.body for a in small.asked], [a.body for a in cloud.asked]) == ([raw], [CLEAN])


def test_a_caller_cannot_name_the_target(envoy: Asking, cloud: Engine) -> None:
    answer = envoy.ask(body(IBAN), x_slm_target="cloud", x_slm_decision="Default", X_Slm_Caller="labelled")
    assert answer.headers["x-target"] == "small Instead"
    assert not cloud.asked


def test_an_error_of_a_decision_is_an_openai_error_and_goes_nowhere(
    envoy: Asking, cloud: Engine, small: Engine
) -> None:
    answer = envoy.ask(body(IBAN)[:-1] + b',"tools":[{"type":"function"}]}', x_caller="labelled")
    assert (answer.status, answer.error["code"]) == (403, "kept_inside")
    answer = envoy.ask(CLEAN, x_caller="crash")
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert not cloud.asked
    assert not small.asked


def test_planted_things_never_leave_and_clean_ones_do(envoy: Asking, cloud: Engine) -> None:
    sent = list(requests(600, 21))
    for one in sent:
        envoy.ask(one.body, x_caller="labelled")
    left = [asked.body for asked in cloud.asked]
    clean = [one.body for one in sent if not one.kind]
    assert set(left) <= set(clean)
    assert len(left) >= 0.99 * len(clean)


def test_every_decision_is_recorded_and_no_text(envoy: Asking, folder: Path) -> None:
    answer = envoy.ask(body(f"the words {MAIL} here"), x_caller="labelled")
    (chain,) = chains([str(folder / "audit")])
    records = [record.body for record, _ in chain.records() if record is not None and record.kind == "decision"]
    (mine,) = [r for r in records if r["request.id"] == answer.headers["x-request-id"]]
    assert {k: v for k, v in mine.items() if k.startswith("slm.") and k != "slm.decision.policy"} == {
        "slm.route": "support/assistant",
        "slm.caller": "labelled",
        "slm.decision": "Instead",
        "slm.decision.target": "small",
        "slm.decision.model": "support/bot",
        "slm.decision.boundary": "Inside",
        "slm.decision.reasons": "Found:Pii/EmailAddress",
    }
    for path in [*folder.glob("audit/*"), folder / "agent.log"]:
        assert MAIL not in path.read_text()
        assert "the words" not in path.read_text()


def test_without_an_agent_nothing_goes_anywhere(envoy: Asking, cloud: Engine, small: Engine) -> None:
    load = Load(envoy)
    try:
        for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            time.sleep(0.3)
            envoy.end(sign)
            assert envoy.agent is not None
            envoy.agent.wait(10)
            assert envoy.ask(CLEAN, x_caller="labelled").status == 503
            envoy.begin()
    finally:
        statuses = load.stop()
    assert set(statuses) == {200, 503}
    assert {asked.body for asked in cloud.asked} == {CLEAN}
    # Inside are also those that were decided on before the chain was open again.
    assert {asked.body for asked in small.asked} <= {load.sensitive, b"{}", CLEAN}
    (chain,) = chains([str(envoy.folder / "audit")])
    decided = {r.body["request.id"] for r, _ in chain.records() if r is not None and r.kind == "decision"}
    left = {value for asked in cloud.asked for name, value in asked.headers.items() if name.lower() == "x-request-id"}
    assert left, "something left"
    assert left <= decided, "recorded before it left"
    assert not check(chain, [KEY]).faults


def test_a_stopped_agent_is_not_waited_for(envoy: Asking, cloud: Engine) -> None:
    envoy.end(signal.SIGSTOP)
    try:
        assert envoy.ask(CLEAN, x_caller="labelled").status == 503
        assert not cloud.asked
    finally:
        envoy.end(signal.SIGCONT)
    until_ready(lambda: envoy.ask(CLEAN, x_caller="labelled").status == 200, envoy.said)


class Load:
    """Clean and sensitive requests of a labelled caller, until stopped."""

    def __init__(self, envoy: Asking) -> None:
        self.sensitive = body(f"for {IBAN}")
        self._envoy, self._statuses, self._on = envoy, [0][:0], True
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, seed: int) -> None:
        lots = random.Random(seed)
        while self._on:
            self._statuses.append(self._envoy.ask(lots.choice((CLEAN, self.sensitive)), x_caller="labelled").status)

    def stop(self) -> list[int]:
        self._on = False
        for thread in self._threads:
            thread.join(20)
        return self._statuses
