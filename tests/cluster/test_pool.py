"""Many models on a node that holds a few of them: whoever is asked has the room, and no request is lost."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from tests.cluster.burst import caller, lost
from tests.cluster.conftest import Bed, model
from tests.cluster.load import Background

from smallmodel_operator.cli.explain import lines
from smallmodel_operator.core.units import quantity
from smallmodel_operator.cost.share import requests_of

DEPARTMENTS, SEATS, ROUNDS, CALLERS = 20, 6, 2, 3
WAIT_SECONDS = 180
SERVERS = "smallmodel.dev/role=server"


def _seat(bed: Bed, seats: int) -> str:
    """A request for cores that the node holds so many times, and not once more."""
    nodes = json.loads(bed.kubectl("get", "nodes", "-o", "json"))["items"]
    pods = json.loads(bed.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    running = [p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    free = sum(quantity(n["status"]["allocatable"]["cpu"]) for n in nodes)
    free -= sum(requests_of(p).get("cpu", quantity("0")) for p in running)
    return f"{int(free * 1000 / seats)}m"


def _department(
    name: str, namespace: str, uri: str, cpu: str, wait: int = WAIT_SECONDS, **scaling: Any
) -> dict[str, Any]:
    cold = {"maxWaitSeconds": wait, "maxQueuedRequests": 50}
    return model(
        name, namespace, uri,
        compute={"resources": {"requests": {"cpu": cpu}}},
        scaling={"minReplicas": 0, "idleSeconds": 900, "coldStart": cold, **scaling},
    )  # fmt: skip


def _placed(bed: Bed, namespace: str) -> int:
    """Replicas on a node that are to stay; one that ends may have left its room already."""
    pods = bed.items("pods", namespace, SERVERS)
    return sum(1 for p in pods if p["spec"].get("nodeName") and not p["metadata"].get("deletionTimestamp"))


def _ready(bed: Bed, namespace: str, names: list[str]) -> bool:
    return all(bed.condition(n, namespace, "Ready").get("status") == "True" for n in names)


def _explained(bed: Bed, name: str, namespace: str) -> str:
    """What `slm explain` prints."""
    return "\n".join(lines(bed.get("smallmodel", name, namespace)))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_departments_on_a_node_for_six(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    cpu = _seat(bed, SEATS)
    names = [f"department-{n:02}" for n in range(DEPARTMENTS)]
    for name in names:
        bed.apply(_department(name, namespace, weights["first"], cpu))
    began = time.monotonic()
    bed.until(lambda: _ready(bed, namespace, names), 300, "everybody served or asleep")
    print(f"\n{DEPARTMENTS} models, {SEATS} seats of {cpu}: all Ready after {time.monotonic() - began:.0f} s")
    callers = {name: caller(bed, name, namespace) for name in names}
    most, began = 0, time.monotonic()
    with ThreadPoolExecutor(CALLERS) as crowd:
        asked = [crowd.submit(callers[name].burst, 1, WAIT_SECONDS + 20) for _ in range(ROUNDS) for name in names]
        while not all(a.done() for a in asked):
            most = max(most, _placed(bed, namespace))
            time.sleep(0.5)
    answers = [answer for a in asked for answer in a.result()]
    took = sorted(a.first - a.sent for a in answers)
    print(f"{len(answers)} requests in {time.monotonic() - began:.0f} s, at most {most} pods at once; first bytes "
          f"after {took[0]:.1f} to {took[-1]:.1f} s, the middle one {took[len(took) // 2]:.1f} s")  # fmt: skip
    assert not lost(answers), lost(answers)
    assert len(answers) == ROUNDS * DEPARTMENTS
    assert most < DEPARTMENTS, "else there was room for all, and nothing was shared"
    why = [_explained(bed, name, namespace) for name in names]
    assert any("idle, it yields" in text for text in why), why


@dataclass(slots=True)
class Streams(Background):
    """One caller of each model that asks for one long stream after the other."""

    gateway: str
    callers: dict[str, dict[str, str]]
    answered: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """503 with Retry-After."""

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=200)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._client(session, name) for name in self.callers))

    async def _client(self, session: aiohttp.ClientSession, name: str) -> None:
        url = f"http://{self.gateway}/v1/completions"
        body = {"model": name, "prompt": "Once", "max_tokens": 400, "stream": True, "ignore_eos": True}
        while not self._end.is_set():
            try:
                async with session.post(url, json=body, headers=self.callers[name]) as answer:
                    text = await answer.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.failures.append(f"{name}: {error!r}")
                continue
            if answer.status == 200 and text.rstrip().endswith(b"data: [DONE]"):
                self.answered[name] = self.answered.get(name, 0) + 1
            elif answer.status == 503 and "Retry-After" in answer.headers:
                self.late.append(f"{name}: {text.decode()}")
            else:
                self.failures.append(f"{name}: {answer.status} {text[-200:]!r}")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_critical_model_has_the_room_of_a_busy_batch_model(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    cpu = _seat(bed, 1)
    for name, priority in (("night", "Batch"), ("rescue", "Critical")):
        more = {"priority": priority, "idleSeconds": 20}
        bed.apply(_department(name, namespace, weights["first"], cpu, wait=25, **more))
    bed.until(lambda: _ready(bed, namespace, ["night", "rescue"]), 120, "one serves, one is asleep")
    who = {name: _headers(bed, name, namespace) for name in ("night", "rescue")}
    with Streams(bed.gateway(), {"night": who["night"]}) as batch:
        bed.until(lambda: batch.answered.get("night", 0) >= 2, 120, "the Batch model answers")
        began = time.monotonic()
        with Streams(bed.gateway(), {"rescue": who["rescue"]}) as critical:
            bed.until(lambda: critical.answered.get("rescue", 0), 120, "the Critical model answers")
            print(f"\nCritical answered after {time.monotonic() - began:.1f} s, the first wait included")
            holder = f"{namespace}/rescue (Critical)"
            said = bed.until(lambda: _held_by(bed, holder, namespace), 60, "PoolFull, and by whom")
            bed.until(lambda: batch.late, 90, "503 with Retry-After")
        bed.until(
            lambda: bed.condition("night", namespace, "Ready").get("reason") == "Serving", 120, "the room is free"
        )
        before = batch.answered["night"]
        bed.until(lambda: batch.answered["night"] > before, 120, "the Batch model answers again")
    print(said, *batch.late[:1], sep="\n")
    assert "the nodes are full and other models hold the room" in batch.late[0]
    assert "rescue" not in batch.late[0], "who asks need not know who else is there"
    assert not batch.failures, batch.failures
    assert not critical.failures, critical.failures


def _held_by(bed: Bed, holder: str, namespace: str) -> str:
    """What `slm explain night` prints once its condition names the holder."""
    active, said = bed.condition("night", namespace, "ScalingActive"), _explained(bed, "night", namespace)
    return said if active.get("reason") == "PoolFull" and holder in said else ""


def _headers(bed: Bed, name: str, namespace: str) -> dict[str, str]:
    host = f"{name}.{namespace}.svc.cluster.local"
    return {"Host": host, "Authorization": f"Bearer {bed.key(name, namespace)}"}
