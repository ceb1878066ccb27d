"""A minute of load on two gateways while one part after the other is killed: nothing a living gateway took is lost."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp
import pytest
from tests.cluster.burst import Answer, Caller, caller
from tests.cluster.conftest import GATEWAYS, Bed, model
from tests.cluster.load import Background
from tests.cluster.test_faults import _kill_operator

SYSTEM = "smallmodel-system"
BACK_SECONDS = 30.0
"""A gateway whose Envoy was killed takes connections again within this time: the kubelet starts it anew at once, and
waits 10 s, then 20 s, where that happened in the last ten minutes already."""
PASSED_ON_SECONDS = 1.0
"""How long after its deletion a pod may still be given requests."""


@dataclass(slots=True)
class Steady(Background):
    """`clients` at each gateway ask one after the other over connections they keep."""

    who: Caller
    clients: int = 3
    answers: list[Answer] = field(default_factory=list)

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(g) for g in self.who.gateways for _ in range(self.clients)))

    async def _client(self, gateway: str) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            while not self._end.is_set():
                self.answers.append(await self.who.ask(session, gateway))
                await asyncio.sleep(0.05)


@pytest.mark.long
def test_a_minute_of_kills(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(model("bot", namespace, weights["first"], replicas=2))
    bed.ready("bot", namespace)
    agents, envoys = _gateways(bed, "agent"), _gateways(bed, "envoy")
    first, second = sorted(agents)
    dead = bed.items("pods", namespace, "smallmodel.dev/role=server")[0]["status"]["podIP"]
    began, when = time.time(), {}
    with Steady(caller(bed, "bot", namespace)) as load:
        _at(began, 6)
        [victim] = [p for p in bed.items("pods", namespace) if p["status"].get("podIP") == dead]
        bed.kubectl("-n", namespace, "delete", "pod", victim["metadata"]["name"], "--force", "--grace-period=0")
        when["model pod"] = time.time()
        _at(began, 18)
        when["agent"] = _kill(bed, agents[first])
        _at(began, 28)
        when["Envoy"] = _kill(bed, envoys[second])
        _at(began, 40)
        _kill_operator(bed)
        when["operator"] = time.time()
        _at(began, 48)
        bed.node.plane.kill("kube-apiserver")
        when["API server"] = time.time()
        _at(began, 60)
    bed.node.plane.start()
    good = [a for a in load.answers if not a.error]
    cut = [a for a in load.answers if a.error and _was_killed(a, second, when["Envoy"])]
    bad = [a for a in load.answers if a.error and a not in cut]
    assert not bad, [f"{a.gateway} at {a.sent - began:.1f} s for {a.first - a.sent:.1f} s: {a.error}" for a in bad[:5]]
    for gateway in (first, second):
        assert max(a.sent for a in good if a.gateway == gateway) > began + 58, "it answers to the end"
    refused = [a for a in cut if "Refused" in a.error]
    back = max((a.first for a in cut), default=when["Envoy"]) - when["Envoy"]
    to_dead = _given_to(bed, dead, began)
    late = [at for at in to_dead if at > when["model pod"] + PASSED_ON_SECONDS]
    assert to_dead, "the pod was never asked: nothing is proven"
    assert not late, f"{len(late)} requests, the last {late[-1] - when['model pod']:.1f} s after its deletion"
    worst = max(a.first - a.sent for a in good)
    print(f"\n{len(good)} answered, {len(cut) - len(refused)} cut off with the killed Envoy, {len(refused)} refused "
          f"until it was back {back:.1f} s later; longest wait {worst:.2f} s; last request to the deleted pod "
          f"{max(to_dead) - when['model pod']:+.2f} s; {({k: round(v - began) for k, v in when.items()})}")  # fmt: skip


SILENT_SECONDS = 5.0
"""A node that stopped answering has lost its endpoints by then."""


def test_a_node_that_fell_silent_loses_its_endpoints(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    """Kubernetes still says Ready: packets between the gateways and one of two pods are dropped, and nothing else."""
    bed.apply(model("bot", namespace, weights["first"], replicas=2))
    bed.ready("bot", namespace)
    silent = bed.items("pods", namespace, "smallmodel.dev/role=server")[0]["status"]["podIP"]
    began = time.time()
    with Steady(caller(bed, "bot", namespace)) as load:
        _at(began, 4)
        with _dropped(bed, silent):
            fell = time.time()
            _at(fell, 20)
    assert not [a.error for a in load.answers if a.error], "each was asked of the other pod before its first byte"
    after = [a.first - a.sent for a in load.answers if a.sent > fell + SILENT_SECONDS]
    assert len(after) > 50
    reached = [at for at in _given_to(bed, silent, began) if at < fell]
    assert reached, "the pod was never asked: nothing is proven"
    worst = max(a.first - a.sent for a in load.answers)
    assert max(after) < 1.0, "a second is what a try to connect may take: none is made any more"
    print(
        f"\n{len(load.answers)} answered; longest wait {worst:.2f} s, after {SILENT_SECONDS:.0f} s {max(after):.2f} s"
    )


@contextlib.contextmanager
def _dropped(bed: Bed, address: str) -> Iterator[None]:
    """Packets the node's bridge passes between pods, to and from one of them, vanish."""
    rules = "".join(f"    ip {way} {address} drop\n" for way in ("saddr", "daddr"))
    chain = f"  chain passed {{\n    type filter hook forward priority -10;\n{rules}  }}\n"
    table = f"table bridge slm-silent {{\n{chain}}}\n"
    subprocess.run([*bed.node.prefix, "nft", "-f", "-"], input=table, check=True, capture_output=True, text=True)
    try:
        yield
    finally:
        subprocess.run([*bed.node.prefix, "nft", "delete", "table", "bridge", "slm-silent"], check=True)


def _at(began: float, seconds: float) -> None:
    time.sleep(max(0.0, began + seconds - time.time()))


def _gateways(bed: Bed, container: str) -> dict[str, str]:
    """Container id of one container of each gateway pod, by the pod's address."""
    found = {}
    for pod in bed.items("pods", SYSTEM, GATEWAYS):
        status = pod["status"]
        states = [*status["containerStatuses"], *status["initContainerStatuses"]]
        [own] = [s["containerID"] for s in states if s["name"] == container]
        found[status["podIP"]] = own.removeprefix("containerd://")
    return found


def _kill(bed: Bed, container: str) -> float:
    """SIGKILL from the node; when it was sent."""
    at = time.time()
    bed.node.ctr("tasks", "kill", "-s", "SIGKILL", container)
    return at


def _was_killed(answer: Answer, gateway: str, at: float) -> bool:
    """A connection that broke with the killed Envoy, or none could be made while it was away. A status is no excuse."""
    broken = not answer.error[:3].isdigit()
    return broken and answer.gateway == gateway and answer.first >= at and answer.sent < at + BACK_SECONDS


def _given_to(bed: Bed, address: str, since: float) -> list[float]:
    """When requests were last sent on to a pod, out of the gateways' access logs."""
    time.sleep(1.5)  # Envoy writes its lines twice a second
    found = []
    # The log, those it was rotated to, and the agent's note on how far it read: the note names no address.
    for log in (bed.node.folder / "volumes").glob("*/access.log*"):
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if (entry.get("slm.upstream.address") or "").startswith(f"{address}:"):
                at = datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()
                found.append(at + (entry["slm.hold_us"] or 0) / 1e6)
    return sorted(at for at in found if at >= since)
