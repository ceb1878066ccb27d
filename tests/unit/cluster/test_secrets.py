"""Secrets are written on a difference only, never a stranger's, and read by name."""

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
        self.secrets = Secrets(api.client(), clock)

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
