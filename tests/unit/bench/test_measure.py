"""What the gateway's benchmark makes of what it measured."""

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hack.bench.gateway.__main__ import LOADS, judge
from hack.bench.gateway.load import Request, rate, used
from hack.bench.gateway.measure import Load, Measured, added, at
from hack.bench.gateway.plot import draw
from hack.bench.gateway.recording import judged

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def measured(ours_ms: float, cpu: int) -> Measured:
    found = Measured(subjects=dict.fromkeys(("direct", "raw Envoy", "our gateway", "LiteLLM")))
    for subject, more in (("direct", 0.0), ("raw Envoy", 0.2), ("our gateway", ours_ms), ("LiteLLM", 6.0)):
        for load in LOADS:
            if subject != "LiteLLM" or not load.fast_only:
                found.latencies[subject, load.name] = [
                    (0.1 + more, 1 + more),
                    (5.1 + more, 9 + more),
                    (0.2 + more, 2.0),
                ]
            values = {"max_rps": 10, "rps_per_cpu_second": cpu if subject == "our gateway" else 100, "rss_mib": 1}
            found.closed[subject, load.connections] = values
        found.streams[subject] = [{"gap_p50_ms": 20 + more}, {"gap_p50_ms": 21 + more}]
    return found


def test_names_of_loads() -> None:
    assert (Load(1, 20).name, Load(32, 0).name) == ("1 connection, 20/s", "32 connections, one after the other")


def test_percentiles_are_milliseconds() -> None:
    values = list(range(1000, 101_000, 1000))
    assert (at(values, 50), at(values, 99), at([7000], 99)) == (51, 100, 7)


def test_added_is_the_difference_in_each_round_so_a_busy_round_changes_nothing() -> None:
    rows, sse = added(measured(0.3, 1000), LOADS)
    assert {r["added_p50_ms"] for r in rows if r["subject"] == "our gateway"} == {0.3}
    assert {r["quietest_p50_ms"] for r in rows if r["subject"] == "our gateway"} == {0.4}
    assert {r["rps_per_cpu_second"] for r in rows if r["subject"] == "direct"} == {None}
    assert [r["load"] for r in rows if r["subject"] == "LiteLLM"] == [x.name for x in LOADS if not x.fast_only]
    assert sse[2] == {"subject": "our gateway", "gap_p50_ms": 20.8, "added_gap_p50_ms": 0.3}


@pytest.mark.parametrize(("ours", "cpu", "near", "times"), [(0.35, 1000, True, True), (0.36, 999, False, False)])
def test_targets(ours: float, cpu: int, near: bool, times: bool) -> None:
    verdict = judge(added(measured(ours, cpu), LOADS)[0])
    assert set(verdict["over_raw_envoy_met"].values()) == {near}
    assert verdict["times_litellm_met"] == times


def test_a_picture_has_a_bar_for_each_row_of_a_proxy() -> None:
    rows, _ = added(measured(0.3, 1000), LOADS)
    text = draw({"rows": rows})
    assert text.count("<rect") == 1 + len([r for r in rows if r["subject"] != "direct"]) + 3
    assert "our gateway: 32 connections, 1000/s" in text


class Stalling:
    """Answers at once, but stalls once for `stall` seconds after the tenth request."""

    def __init__(self, stall: float) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stall = stall
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            for n in range(10_000):
                if not connection.recv(65536):
                    return
                if n == 10:
                    time.sleep(self._stall)
                connection.sendall(ANSWER)

    def close(self) -> None:
        self._socket.close()


def test_a_stall_is_in_the_latency_of_every_request_that_was_due(tmp_path: Path) -> None:
    """100 a second, 0.5 s of silence: 50 requests were late, not one."""
    body = tmp_path / "body"
    body.write_text("{}")
    server = Stalling(0.5)
    try:
        seen: dict[str, Any] = rate(Request(server.url, body), 1, 100, 1, warm=1)
    finally:
        server.close()
    late = [v for v in seen["latencies_us"] if v > 20_000]
    assert len(seen["latencies_us"]) == 100
    assert seen["sent"] + seen["unsent"] == 100
    assert len(late) >= 40
    assert max(late) >= 450_000


def test_failed_requests_are_no_measurement(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("{}")
    with pytest.raises(RuntimeError, match="connection refused"):
        rate(Request("http://127.0.0.1:1/", body), 1, 10, 0.1)


def test_used_counts_a_process_and_what_it_started() -> None:
    before = used([os.getpid()])
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = used([os.getpid()])
    assert after.cpu - before.cpu >= 0.05
    assert after.rss > 1


@pytest.mark.parametrize(("record", "met"), [(15.0, True), (16.5, False)])
def test_what_recording_costs(record: float, met: bool) -> None:
    """285 us without it: a twentieth of all is 15. One disturbed round does not count."""
    found = judged(
        [
            (1000, [0.26, 0.025, 0.025 + record / 1000]),
            (2000, [0.52, 0.05, 0.05 + record / 500]),
            (1000, [0.26, 0.025, 0.115]),
        ]
    )
    assert found["rps_per_cpu_second_unrecorded"] == 3509
    assert found["rps_per_cpu_second_recorded"] == round(1e6 / (285 + record))
    assert found["recording_share_percent"] == pytest.approx(100 * record / (285 + record), abs=0.01)
    assert found["recording_met"] is met
