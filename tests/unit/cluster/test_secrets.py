"""Secrets are written on a difference only, never a stranger's, and read by name."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cluster.secrets import GIVEN_SECONDS, READ_SECONDS, Secrets
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.pod import owner_reference

MODEL = ("support", "bot")


def secret(value: str = "one") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bot-client", "namespace": "support", "labels": {"smallmodel.dev/model": "bot"}},
        "type": "Opaque",
        "data": {"OPENAI_API_KEY": base64.b64encode(value.encode()).decode()},
    }


class World:
    def __init__(self, api: FakeApiServer, clock: Clock) -> None:
        self.api, self.clock = api, clock
        self.secrets = Secrets(api.client(), clock, self.sleep)
        self.poked: list[tuple[str, str]] = []
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        """Time passes as fast as it can; the watch ends after a while."""
        self.slept += 1
        if self.slept > READ_SECONDS:
            raise asyncio.CancelledError
        self.clock.forward(seconds)

    async def a_minute(self) -> list[str]:
        """Watch for a minute; the names that were read."""
        self.api.sent.clear()
        self.slept = 0
        with pytest.raises(asyncio.CancelledError):
            await self.secrets.watch(self.poked.append)
        assert not self.api.writes, "looking writes nothing"
        return [sent.path.rpartition("/")[2] for sent in self.api.sent]

    async def publish(self, value: str = "one", *, fresh: bool = False) -> list[str]:
        """Publish, and say which methods that took."""
        self.api.sent.clear()
        await self.secrets.publish(MODEL, objects.UID, [secret(value)], fresh=fresh)
        return [sent.method for sent in self.api.sent]

    def live(self) -> dict[str, Any]:
        found = self.api.get("Secret", "bot-client")
        assert found is not None
        return dict(found)


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[World]:
    async with FakeApiServer() as api:
        yield World(api, clock)


async def test_a_new_model_costs_one_request(world: World) -> None:
    assert await world.publish(fresh=True) == ["POST"]
    assert await world.publish() == []
    assert world.live()["metadata"]["ownerReferences"][0]["uid"] == objects.UID


async def test_after_a_restart_it_is_looked_at_and_left(world: World) -> None:
    await world.publish(fresh=True)
    again = World(world.api, world.clock)
    assert await again.publish() == ["GET"]


async def test_an_edit_by_hand_is_undone_within_a_minute(world: World) -> None:
    await world.publish(fresh=True)
    edited = world.live()
    edited["data"] = {"OPENAI_API_KEY": "eA==", "added": "eA=="}
    world.api.put(edited)
    world.clock.forward(READ_SECONDS + 1)
    assert await world.publish() == ["GET", "PATCH"]
    assert world.live()["data"] == secret()["data"]


async def test_a_deleted_one_comes_back(world: World) -> None:
    await world.publish(fresh=True)
    del world.api.objects[("Secret", "support", "bot-client")]
    world.clock.forward(READ_SECONDS + 1)
    assert await world.publish() == ["GET", "POST"]


async def test_a_deleted_one_of_a_settled_model_is_noticed_in_a_minute_and_made_again_the_same(world: World) -> None:
    await world.publish(fresh=True)
    before = world.live()
    del world.api.objects[("Secret", "support", "bot-client")]
    assert set(await world.a_minute()) == {"bot-client"}
    assert world.poked[0] == MODEL
    world.api.sent.clear()
    (note,) = await world.secrets.publish(MODEL, objects.UID, [secret()], fresh=False)
    assert [sent.method for sent in world.api.sent] == ["GET", "POST"], "the pass it woke waits for nothing"
    assert (note.reason, "'bot-client'" in note.message) == ("SecretRestored", True)
    assert world.live()["data"] == before["data"]
    assert secret()["data"]["OPENAI_API_KEY"] not in note.message
    world.poked.clear()
    await world.a_minute()
    assert world.poked == []


async def test_an_edited_one_of_a_settled_model_is_noticed_in_a_minute(world: World) -> None:
    await world.publish(fresh=True)
    world.api.put({**world.live(), "data": {"OPENAI_API_KEY": "eA=="}})
    await world.a_minute()
    assert world.poked[0] == MODEL
    assert await world.publish() == ["GET", "PATCH"]


async def test_watching_costs_one_read_a_minute_and_saves_passes_theirs(world: World) -> None:
    await world.publish(fresh=True)
    assert await world.a_minute() == ["bot-client"]
    assert await world.publish() == []
    assert world.poked == []


async def test_an_outage_wakes_nobody_and_ends_no_watch(world: World) -> None:
    await world.publish(fresh=True)
    world.api.refuse("GET", "secrets", 500, "InternalError", "etcd")
    assert await world.a_minute() == ["bot-client"]
    assert world.poked == []


async def test_one_that_is_forgotten_is_watched_no_more(world: World) -> None:
    await world.publish(fresh=True)
    world.secrets.forget(MODEL)
    assert await world.a_minute() == []


async def test_reads_are_spread_over_the_minute(world: World) -> None:
    for number in range(300):
        named = secret()
        named["metadata"]["name"] = f"bot-{number}"
        await world.secrets.publish(MODEL, objects.UID, [named], fresh=True)
    seconds = [len(world.secrets.due(second)) for second in range(READ_SECONDS)]
    assert sum(seconds) == 300, "each once"
    assert max(seconds) < 20, "and never many at once"


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_strangers_secret_is_left_untouched(world: World, fresh: bool) -> None:
    stranger = {**secret("theirs"), "metadata": {"name": "bot-client", "namespace": "support", "uid": "x"}}
    world.api.put(stranger)
    with pytest.raises(Refused) as refused:
        await world.publish(fresh=fresh)
    assert refused.value.reason is Reason.NAME_TAKEN
    assert world.live()["data"] == stranger["data"]


async def test_one_whose_owner_was_another_model_of_that_name_is_a_strangers(world: World) -> None:
    old = {**secret(), "metadata": {**secret()["metadata"], "ownerReferences": [owner_reference("bot", "other")]}}
    world.api.put(old)
    with pytest.raises(Refused):
        await world.publish()


async def test_passes_in_a_row_read_a_users_secret_once_and_a_missing_one_each_time(world: World) -> None:
    world.api.put(secret("theirs"))
    for _ in range(3):
        found = await world.secrets.read(MODEL, ["bot-client", "missing"])
    assert found["missing"] is None
    assert [s.path.rpartition("/")[2] for s in world.api.sent] == ["bot-client", "missing", "missing", "missing"]
    world.clock.forward(GIVEN_SECONDS)
    world.api.put(secret("other"))
    assert (await world.secrets.read(MODEL, ["bot-client"]))["bot-client"] == world.live()
