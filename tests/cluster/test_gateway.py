"""The gateway on the real node: from zero, sleep, swap without room. Load comes from outside the cluster."""

import http.client
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from tests.cluster.burst import ReadySeen, caller, lost
from tests.cluster.conftest import Bed, model

SLEEPY = {"minReplicas": 0, "idleSeconds": 3, "coldStart": {"maxWaitSeconds": 60, "maxQueuedRequests": 200}}
HELD = 200
QUEUED = 3
ANSWERING_SECONDS = 6
READ_SECONDS = 3
DECIDED_SECONDS = 5
"""A look that began before somebody asked may put the model to sleep so much later; who asks then wakes it."""
COLD_STARTS = 20


def _asleep(bed: Bed, namespace: str, seconds: float = 60) -> None:
    """Until the model says so itself; old pods may still drain, but no caller reaches them.

    And until it is. Right after a gateway has woken it the status may still say what was true before; and a pod that
    nobody has begun to end is not replaced when the model is woken at once, but goes on.
    """

    def gone() -> bool:
        said = bed.condition("bot", namespace, "Ready").get("reason") == "Asleep"
        pods = bed.items("pods", namespace, "smallmodel.dev/role=server")
        return said and _replicas(bed, namespace) == 0 and all(p["metadata"].get("deletionTimestamp") for p in pods)

    bed.until(gone, seconds, "asleep")
    assert bed.condition("bot", namespace, "Ready")["status"] == "True"


def _replicas(bed: Bed, namespace: str) -> int:
    return int(bed.get("deployment", "bot", namespace)["spec"]["replicas"])


def test_from_zero_holds_200_twice(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"], scaling=SLEEPY))
    bed.ready("bot", namespace)
    who = caller(bed, "bot", namespace)
    for number in range(2):
        _asleep(bed, namespace)
        with ReadySeen(bed, namespace) as watcher:
            answers = who.burst(HELD)
            ready = bed.until(watcher.new, 90, "Ready seen")
        assert not lost(answers), lost(answers)[:5]
        [(pod, at)] = ready.items()
        first, *_, last = sorted(a.first for a in answers)
        began = min(a.sent for a in answers)
        print(f"\nburst {number + 1}: {HELD} held, {pod} Ready after {at - began:.2f} s; answers {first - at:+.3f} "
              f"to {last - at:+.3f} s after Ready")  # fmt: skip
        assert {a.gateway for a in answers} == set(who.gateways)


@pytest.mark.long
def test_first_byte_after_ready(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"], scaling=SLEEPY))
    bed.ready("bot", namespace)
    who = caller(bed, "bot", namespace)
    warm = statistics.median(a.first - a.sent for _ in range(10) for a in who.burst(1))
    waits = []
    for _ in range(COLD_STARTS):
        _asleep(bed, namespace)
        with ReadySeen(bed, namespace) as watcher:
            [answer] = who.burst(1)
            # Asked on until then: a busy kubelet may find it ready later than it falls asleep again.
            ready = bed.until(lambda: who.burst(1) and watcher.new(), 90, "Ready seen")
        assert not answer.error, answer
        waits.append(answer.first - min(ready.values()))
    middle = statistics.median(waits)
    print(f"\nfirst byte after Ready=True: median {middle * 1000:+.0f} ms, worst {max(waits) * 1000:+.0f} ms; "
          f"a warm engine's first byte takes {warm * 1000:.0f} ms")  # fmt: skip
    assert middle <= 0.150 + warm


def test_sleep_waits_for_the_last_answer_and_off_is_off(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    scaling = {**SLEEPY, "idleSeconds": 1}
    engine = {"parallelSlots": 1}
    bed.apply(model("bot", namespace, weights["first"], scaling=scaling, engine=engine))
    bed.ready("bot", namespace)
    who, end = caller(bed, "bot", namespace), time.monotonic() + DECIDED_SECONDS
    while time.monotonic() < end:
        who.burst(1)
    took, ends = _long_answers(bed, namespace)
    assert took > 4 * scaling["idleSeconds"], "too short to prove anything"
    assert all(text.rstrip().endswith("data: [DONE]") for text in ends), ends
    began = time.monotonic()
    _asleep(bed, namespace)
    print(f"\nanswers of {took:.1f} s kept it awake; asleep {time.monotonic() - began:.1f} s later")

    bed.apply(model("bot", namespace, weights["first"], scaling=scaling, engine=engine, suspend=True))
    bed.until(lambda: bed.condition("bot", namespace, "Ready").get("reason") == "Suspended", 90, "Suspended")
    bed.until(lambda: "503" in who.burst(1)[0].error, 90, "503")
    for _ in range(3):
        answers = who.burst(4)
        assert all("503" in a.error and a.first - a.sent < 1 for a in answers), answers
        assert _replicas(bed, namespace) == 0
    bed.until(lambda: not bed.items("pods", namespace, "smallmodel.dev/role=server"), 90, "pods gone")


def _long_answers(bed: Bed, namespace: str) -> tuple[float, list[str]]:
    """Streams for longer than the model may be idle; the Deployment keeps its replica all the while.

    The engine has one slot and the callers queue for it, so that at each moment one of them is in flight.
    """
    key, address = bed.key("bot", namespace), bed.gateway()
    host, began = f"bot.{namespace}.svc.cluster.local", time.monotonic()
    answering = threading.Event()  # it may have fallen asleep before the first request, and wakes for that

    def ask() -> list[str]:
        ends = []
        while time.monotonic() - began < ANSWERING_SECONDS:
            ends.append(_stream(address, host, key, answering))
        return ends

    with ThreadPoolExecutor(QUEUED) as pool:
        asked = [pool.submit(ask) for _ in range(QUEUED)]
        while not all(a.done() for a in asked):
            awake = not answering.is_set() or _replicas(bed, namespace) == 1
            # The gateway has passed the last answer on, and this process, on a busy machine, has yet to read it.
            assert awake or not wait(asked, READ_SECONDS).not_done, "put to sleep while it answered"
            time.sleep(0.5)
        return time.monotonic() - began, [end for a in asked for end in a.result()]


def _stream(address: str, host: str, key: str, answering: threading.Event) -> str:
    """The end of one answer as long as the context."""
    connection = http.client.HTTPConnection(address, timeout=120)
    body = {"model": "bot", "prompt": "Once", "max_tokens": 23000, "stream": True, "ignore_eos": True}
    headers = {"Host": host, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        answering.set()
        text = answer.read().decode(errors="replace")
        assert answer.status == 200, text
        return text[-700:]
    finally:
        connection.close()


@pytest.mark.long
def test_swap_without_room(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    half = _more_than_half(bed)
    spec: dict[str, Any] = {
        "compute": {"resources": {"requests": {"memory": f"{half}Mi"}, "limits": {"memory": f"{half}Mi"}}},
        "scaling": {"coldStart": {"maxWaitSeconds": 60, "maxQueuedRequests": 300}},
    }
    bed.apply(model("bot", namespace, weights["first"], **spec))
    bed.ready("bot", namespace)
    who = caller(bed, "bot", namespace)
    with bed.load("bot", namespace, keep=True) as load:
        bed.apply(model("bot", namespace, weights["second"], **spec))
        condition = bed.until(lambda: bed.condition("bot", namespace, "NoRoomForSurge"), 90, "NoRoomForSurge")
        answers = who.burst(HELD)
        live = bed.ready("bot", namespace)
    load.check()
    assert not lost(answers), lost(answers)[:5]
    assert condition["status"] == "True"
    assert "MiB of memory are missing" in condition["message"]
    assert live["status"]["weights"]["digest"] == weights["second"].rpartition("@")[2]
    waits = sorted(a.first - a.sent for a in answers)
    print(f"\nswap in place: {HELD} held, median {waits[HELD // 2]:.1f} s, longest {waits[-1]:.1f} s; {load.answered} "
          f"requests of steady load; {condition['message']}")  # fmt: skip
    assert waits[-1] > 1, "nothing was held: the burst missed the swap"
    bed.until(lambda: _surge(bed, namespace) == 1, 90, "strategy back")
    bed.until(lambda: not bed.condition("bot", namespace, "NoRoomForSurge"), 90, "condition gone")


def _surge(bed: Bed, namespace: str) -> int:
    return int(bed.get("deployment", "bot", namespace)["spec"]["strategy"]["rollingUpdate"]["maxSurge"])


def _more_than_half(bed: Bed) -> int:
    """MiB of which a second one has no room on the node."""
    [node] = bed.items("nodes", "default")
    return int(node["status"]["allocatable"]["memory"].removesuffix("Ki")) // 1024 * 6 // 10
