"""The preStop hook of container envoy, against a stand-in for Envoy's admin socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from smallmodel_operator.gateway import drain


class Envoy(ThreadingMixIn, UnixStreamServer):
    """Says how many requests are open, one number a look; keeps the last."""

    daemon_threads = True
    counts: list[int]
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Envoy

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self._answer("OK")

    def do_GET(self) -> None:
        self.server.asked.append("look")
        assert self.path == drain.OPEN
        counts = self.server.counts
        now = counts.pop(0) if len(counts) > 1 else counts[0]
        stats = [
            {"name": "http.admin.downstream_rq_active", "value": 1},
            {"name": "http.plain.downstream_rq_active", "value": now},
            {"name": "http.secure.downstream_rq_active", "value": 0},
        ]
        self._answer(json.dumps({"stats": stats}))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    server = Envoy(str(tmp_path / "admin.sock"), Handler)
    server.counts, server.asked = [0], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(envoy: Envoy, seconds: float) -> tuple[bool, float]:
    time = Time()
    return drain.drain(str(envoy.server_address), seconds, time, time.sleep), time.now


def test_an_idle_envoy_is_left_after_the_endpoints_have_settled(envoy: Envoy) -> None:
    done, took = run(envoy, 600)
    assert done is True
    assert envoy.asked == ["/healthcheck/fail", "look", "look", "look"]
    assert drain.SETTLE_SECONDS <= took <= drain.SETTLE_SECONDS + 2


def test_open_requests_are_waited_for_and_one_quiet_look_is_not_believed(envoy: Envoy) -> None:
    envoy.counts = [2, 2, 1, 0, 1, 0]
    done, _ = run(envoy, 600)
    assert done is True
    assert envoy.asked.count("look") == 5 + drain.QUIET_LOOKS


def test_a_stream_without_end_is_waited_for_only_so_long(envoy: Envoy) -> None:
    envoy.counts = [1]
    done, took = run(envoy, 60)
    assert done is False
    assert 60 <= took <= 60 + drain.LOOK_SECONDS


def test_without_an_envoy_it_returns_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    time = Time()
    assert drain.drain(str(tmp_path / "admin.sock"), 600, time, time.sleep) is False
    assert time.now == 0
    assert "Envoy does not answer" in capsys.readouterr().err


def test_an_answer_that_is_none_ends_it(envoy: Envoy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self._answer("no JSON"))
    assert run(envoy, 600)[0] is False
