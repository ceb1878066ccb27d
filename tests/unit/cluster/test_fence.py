"""No write leaves the process once its permission ended."""

import asyncio

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock

from smallmodel_operator.cluster.fence import Fence, NotLeader


def test_a_new_fence_is_closed() -> None:
    with pytest.raises(NotLeader):
        Fence().check()


def test_it_opens_until_the_given_time(clock: Clock) -> None:
    fence = Fence(clock)
    fence.extend(clock() + 10)
    clock.forward(9.9)
    fence.check()
    clock.forward(0.2)
    with pytest.raises(NotLeader, match="must not write"):
        fence.check()


def test_closing_is_at_once(clock: Clock) -> None:
    fence = Fence(clock)
    fence.extend(clock() + 10)
    fence.close()
    with pytest.raises(NotLeader):
        fence.check()


def test_without_election_it_never_closes() -> None:
    fence = Fence.open()
    assert fence.remaining == float("inf")
    fence.check()


async def test_nothing_is_sent_after_a_stop_of_a_minute(api: FakeApiServer, clock: Clock) -> None:
    """A stopped process wakes up, its clock has jumped: whatever it wanted to write stays here."""
    fence = Fence(clock)
    client = api.client(fence)
    fence.extend(clock() + 13)
    await client.apply(objects.deployment(), force=True)
    clock.forward(60)
    before = len(api.sent)
    uid = "u"
    for write in (
        client.apply(objects.deployment(), force=True),
        client.create(objects.deployment("b")),
        client.replace(objects.deployment()),
        client.merge("Deployment", "bot", "support", {}),
        client.delete("Deployment", "bot", "support", uid),
    ):
        with pytest.raises(NotLeader):
            await write
    assert len(api.sent) == before
    assert await client.get("Deployment", "bot", "support"), "reading is always allowed"


async def test_kopfs_session_has_the_same_fence(api: FakeApiServer, clock: Clock) -> None:
    client = api.client(Fence(clock))
    async with client.new_session() as session:
        with pytest.raises(NotLeader):
            await session.patch(f"{api.host}/apis/apps/v1/namespaces/a/deployments/x", json={})
        async with session.get(f"{api.host}/apis/apps/v1/namespaces/a/deployments") as answer:
            assert answer.status == 200
    assert [s.method for s in api.sent] == ["GET"]


@pytest.mark.parametrize("passed", [0, 1, 2])
async def test_a_fence_that_closes_on_the_way_out_still_holds(api: FakeApiServer, passed: int) -> None:
    """Before the request, when it has its connection, as its bytes leave: a stop may fall between any two."""

    class Closing(Fence):
        left = passed

        def check(self) -> None:
            if self.left <= 0:
                raise NotLeader("closed")
            self.left -= 1

    client = api.client(Closing())
    async with asyncio.timeout(5):
        with pytest.raises(NotLeader):
            await client.apply(objects.deployment(), force=True)
    assert api.sent == []
