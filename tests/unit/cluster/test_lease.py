"""Two candidates, one leader; a leader that was stopped never writes again."""

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock, until

from smallmodel_operator.cluster import lease as module
from smallmodel_operator.cluster.fence import Fence, NotLeader, boottime
from smallmodel_operator.cluster.lease import Lease

Candidate = Callable[[str], tuple[Lease, Fence, Clock]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_EVERY", 0.02)
    monkeypatch.setattr(module, "RENEW_EVERY", 0.02)


@pytest.fixture
def candidate(api: FakeApiServer) -> Candidate:
    """A process of its own: its client, its fence, its clock."""

    def make(identity: str) -> tuple[Lease, Fence, Clock]:
        clock = Clock()
        fence = Fence(clock)
        return Lease(api.client(fence), "smallmodel-system", "smallmodel-operator", identity, clock), fence, clock

    return make


def holder(api: FakeApiServer) -> str:
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    return live["spec"]["holderIdentity"] if live else ""


async def test_the_first_leads_and_may_write(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, _ = candidate("a")
    assert fence.remaining < 0
    await lease.acquire()
    assert holder(api) == "a"
    assert 0 < fence.remaining <= module.DURATION - module.MARGIN


async def test_the_second_waits_and_may_not_write(api: FakeApiServer, candidate: Candidate) -> None:
    first, _, _ = candidate("a")
    second, fence, _ = candidate("b")
    await first.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await second.acquire()
    assert holder(api) == "a"
    assert fence.remaining < 0


async def test_it_takes_over_once_the_lease_expired_by_its_own_clock(api: FakeApiServer, candidate: Candidate) -> None:
    first, _, _ = candidate("a")
    second, fence, clock = candidate("b")
    await first.acquire()
    assert await second._try() == "a", "seen for the first time: its age is unknown"
    clock.forward(module.DURATION - 1)
    assert await second._try() == "a"
    clock.forward(2)
    await second.acquire()
    assert holder(api) == "b"
    assert fence.remaining > 0
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    assert live is not None
    assert live["spec"]["leaseTransitions"] == 1


async def test_a_renewed_lease_is_never_taken(api: FakeApiServer, candidate: Candidate) -> None:
    first, _, clock_a = candidate("a")
    second, _, clock_b = candidate("b")
    await first.acquire()
    for _ in range(5):
        assert await second._try() == "a"
        clock_a.forward(10)
        clock_b.forward(10)
        assert await first._try() == "a"
    assert holder(api) == "a"


async def test_a_wall_clock_that_lies_does_not_matter(api: FakeApiServer, candidate: Candidate) -> None:
    """Expiry counts from when the record was seen to change, not from the time written in it."""
    first, _, _ = candidate("a")
    await first.acquire()
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    assert live is not None
    live["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    second, _, _ = candidate("b")
    assert await second._try() == "a"
    assert await second._try() == "a"


async def test_a_stopped_leader_sends_nothing_after_its_lease_ran_out(api: FakeApiServer, candidate: Candidate) -> None:
    stopped, fence, clock = candidate("a")
    other, _, other_clock = candidate("b")
    await stopped.acquire()
    assert await other._try() == "a"
    clock.forward(60)
    other_clock.forward(60)
    await other.acquire()
    before = len(api.sent)
    with pytest.raises(NotLeader):
        await stopped._client.apply(objects.deployment(), force=True)
    assert len(api.sent) == before
    await stopped.hold()
    assert fence.remaining < 0
    assert holder(api) == "b"
    assert [s for s in api.sent[before:] if s.write] == [], "it does not even renew: its time is over"


async def test_the_fence_closes_before_another_may_lead(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, clock = candidate("a")
    await lease.acquire()
    clock.forward(module.DURATION - module.MARGIN + 0.1)
    with pytest.raises(NotLeader):
        fence.check()
    assert module.MARGIN > 0


async def test_renewals_keep_the_fence_open(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, clock = candidate("a")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    for _ in range(4):
        clock.forward(8)
        writes = len(api.writes)
        await until(lambda writes=writes: len(api.writes) > writes and fence.remaining > 9)
    assert not holding.done()
    holding.cancel()


async def test_hold_ends_and_closes_when_another_took_the_lease(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, _ = candidate("a")
    await lease.acquire()
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    assert live is not None
    api.put({**live, "spec": {**live["spec"], "holderIdentity": "b"}})
    async with asyncio.timeout(5):
        await lease.hold()
    assert fence.remaining < 0
    assert holder(api) == "b"


async def test_an_outage_shorter_than_the_lease_is_survived(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, clock = candidate("a")
    await lease.acquire()
    api.refuse("PUT", "leases", 500, "InternalError", "etcd is away", times=3)
    holding = asyncio.create_task(lease.hold())
    clock.forward(6)
    await until(lambda: fence.remaining > 12)
    assert not holding.done()
    holding.cancel()


async def test_in_a_long_outage_the_fence_closes_and_opens_again_with_the_lease(
    api: FakeApiServer, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_EVERY", 0.01)
    lease, fence, clock = candidate("a")
    await lease.acquire()
    api.down = True
    holding = asyncio.create_task(lease.hold())
    clock.forward(module.DURATION + 60)
    with pytest.raises(NotLeader):
        fence.check()
    await asyncio.sleep(0.1)
    assert not holding.done()
    api.down = False
    await until(lambda: fence.remaining > 0)
    assert not holding.done()
    holding.cancel()


async def test_what_another_gave_up_is_not_taken_by_renewing(api: FakeApiServer, candidate: Candidate) -> None:
    """Another process led in between: what this one knows is old."""
    lease, fence, _ = candidate("a")
    await lease.acquire()
    live = api.get("Lease", "smallmodel-operator", "smallmodel-system")
    assert live is not None
    api.put({**live, "spec": {**live["spec"], "holderIdentity": ""}})
    async with asyncio.timeout(5):
        await lease.hold()
    assert fence.remaining < 0
    assert holder(api) == ""


async def test_permission_counts_from_when_the_renewal_was_sent(api: FakeApiServer, candidate: Candidate) -> None:
    """An answer that took 5 s must not give 5 s more than the server granted."""
    lease, fence, clock = candidate("a")
    api.gate.clear()
    trying = asyncio.create_task(lease._try())
    await until(lambda: api.sent)
    clock.forward(5)
    api.gate.set()
    assert await trying == "a"
    assert fence.remaining == pytest.approx(module.DURATION - module.MARGIN - 5)


async def test_of_two_that_race_one_wins(api: FakeApiServer, candidate: Candidate) -> None:
    one, fence_one, _ = candidate("a")
    two, fence_two, _ = candidate("b")
    holders = await asyncio.gather(one._try(), two._try())
    assert sum(f.remaining > 0 for f in (fence_one, fence_two)) == 1
    assert holder(api) in holders


async def test_a_lease_given_up_is_free_at_once(api: FakeApiServer, candidate: Candidate) -> None:
    first, fence, _ = candidate("a")
    second, _, _ = candidate("b")
    await first.acquire()
    await first.release()
    assert fence.remaining < 0
    assert holder(api) == ""
    assert await second._try() == "b"


async def test_releasing_what_another_holds_changes_nothing(api: FakeApiServer, candidate: Candidate) -> None:
    first, _, _ = candidate("a")
    second, _, _ = candidate("b")
    await first.acquire()
    before = len(api.writes)
    await second.release()
    assert holder(api) == "a"
    assert len(api.writes) == before


async def test_releasing_during_an_outage_is_no_error(api: FakeApiServer, candidate: Candidate) -> None:
    lease, fence, _ = candidate("a")
    await lease.acquire()
    api.down = True
    await lease.release()
    assert fence.remaining < 0


@pytest.mark.parametrize("trouble", [ValueError("a page for an answer"), KeyError("spec"), OSError("no token")])
async def test_whatever_a_renewal_meets_it_is_tried_again(
    api: FakeApiServer, candidate: Candidate, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    lease, fence, _ = candidate("a")
    await lease.acquire()
    really, met = Lease._take, []

    async def take(self: Lease, renew: bool) -> str:
        if len(met) < 3:
            met.append(1)
            raise trouble
        return await really(self, renew)

    monkeypatch.setattr(Lease, "_take", take)
    fence.close()
    async with lease.held() as lost:
        await until(lambda: fence.remaining > 0)
        assert not lost.done()
    assert len(met) == 3


async def test_a_holding_thread_that_dies_is_a_lost_lease(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Lease) -> None:
        raise MemoryError("no more")

    lease, fence, _ = candidate("a")
    await lease.acquire()
    assert lease.alive
    monkeypatch.setattr(Lease, "hold", broken)
    async with lease.held() as lost, asyncio.timeout(5):
        await lost
        await until(lambda: not lease.alive)
        assert fence.remaining < 0
    assert "no more" in caplog.text


async def test_while_the_thread_holds_it_is_alive(candidate: Candidate) -> None:
    lease, fence, _ = candidate("a")
    await lease.acquire()
    async with lease.held():
        assert lease.alive
        assert fence.remaining > 0


def test_the_fence_counts_the_sleep_of_the_machine() -> None:
    assert Fence()._clock is boottime
    assert boottime() >= time.monotonic() - 1
