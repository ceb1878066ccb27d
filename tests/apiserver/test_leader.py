"""Two operators, one Lease: only one writes, a stopped one sends nothing when it wakes, a killed one is succeeded."""

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.apiserver.conftest import Spawn, apply, eventually
from tests.apiserver.objects import model, stands

from smallmodel_operator.api.names import LABEL_MODEL
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.runtime.operator import LOST_LEASE

Audit = Callable[[str], list[dict[str, Any]]]


async def leads(api: Client, namespace: str, identity: str, timeout: float = 30) -> None:
    async def check() -> None:
        lease = await api.get("Lease", "smallmodel-operator", namespace)
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == identity

    await eventually(check, timeout)


async def serves(api: Client, namespace: str, *names: str, timeout: float = 120) -> None:
    async def check() -> None:
        for name in names:
            stands(await api.get("SmallModel", name, namespace), Ready="Serving")

    await eventually(check, timeout, every=0.3)


@pytest.mark.parametrize("seconds", [20, pytest.param(60, marks=pytest.mark.long)])
async def test_a_stopped_leader_writes_nothing_when_it_wakes(
    api: Client, namespace: str, spawn: Spawn, audit: Audit, seconds: int
) -> None:
    first = await spawn("a")
    await leads(api, namespace, "a", timeout=120)  # a program that begins on a machine that is full
    second = await spawn("b")
    await apply(api, model(namespace, "before"))
    await serves(api, namespace, "before")
    assert audit(first.user)
    assert not audit(second.user), "a follower only watches the Lease"

    await asyncio.gather(*(apply(api, model(namespace, f"burst-{i}")) for i in range(10)))
    first.signal(signal.SIGSTOP)  # in the middle of its work
    stopped = datetime.now(UTC)
    await asyncio.sleep(seconds)
    await leads(api, namespace, "b")
    await serves(api, namespace, "before", *(f"burst-{i}" for i in range(10)))
    first.signal(signal.SIGCONT)
    assert await first.ended(60) == LOST_LEASE
    await asyncio.sleep(1)
    late = [e for e in audit(first.user) if _seconds_after(stopped, e["requestReceivedTimestamp"]) > 1]
    # The stop may come between the last look at the fence and the call that sends: one request, of an old version then.
    assert [e for e in late if e["responseStatus"]["code"] < 400] == [], f"stopped at {stopped}, it wrote after that"
    assert len(late) <= 1, f"stopped at {stopped}, it tried to write after its lease had run out"

    again = await spawn("a")  # as the kubelet does it
    await apply(api, model(namespace, "after"))
    await serves(api, namespace, "after")
    assert again.returncode is None
    known = {e["auditID"] for e in late}  # of the first life: both have one user
    later = [e for e in audit(again.user) if _seconds_after(stopped, e["requestReceivedTimestamp"]) > 1]
    assert [e for e in later if e["auditID"] not in known] == [], "it stands by"
    assert not [e for e in audit(second.user) if e["responseStatus"]["code"] == 403]


def _seconds_after(since: datetime, stamp: str) -> float:
    return (datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00") - since).total_seconds()


async def test_a_leader_killed_in_the_middle_is_succeeded(
    api: Client, namespace: str, spawn: Spawn, audit: Audit
) -> None:
    names = [f"bot-{i:02}" for i in range(20)]
    first = await spawn("a")
    await leads(api, namespace, "a", timeout=120)  # a program that begins on a machine that is full
    await spawn("b")
    await asyncio.gather(*(apply(api, model(namespace, name)) for name in names))

    async def some() -> None:
        assert len(await api.list("Deployment", namespace)) >= 3

    await eventually(some, every=0.02)
    first.signal(signal.SIGKILL)
    killed_at = len(await api.list("Deployment", namespace))
    await first.ended(10)
    await serves(api, namespace, *names, timeout=60)
    for kind in ("Deployment", "Service", "NetworkPolicy"):
        made = await api.list(kind, namespace, labelSelector=LABEL_MODEL)
        wanted = [*names, *(f"{name}-pods" for name in names if kind == "Service")]
        assert sorted(o["metadata"]["name"] for o in made) == sorted(wanted)
        assert all(len(o["metadata"]["ownerReferences"]) == 1 for o in made)
        if kind == "Deployment":
            assert {o["metadata"]["generation"] for o in made} == {1}, "none was written twice with another content"
    assert 3 <= killed_at <= 20
    pods = await api.list("Pod", namespace, labelSelector=f"{LABEL_MODEL},smallmodel.dev/role=server")
    assert len(pods) == len(names)
