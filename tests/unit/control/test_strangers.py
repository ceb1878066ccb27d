"""A second writer of replicas is set back once, and then left alone and named."""

from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.clock import Clock

from smallmodel_operator.cluster.children import last_writer
from smallmodel_operator.control.strangers import AGAIN_SECONDS, RESTORED, Strangers
from smallmodel_operator.core.plan import Note
from smallmodel_operator.core.scaling import Stranger

BOT = ("support", "bot")
HPA = "horizontal-pod-autoscaler"


class World:
    """A Deployment that somebody writes; each write is a generation more."""

    def __init__(self) -> None:
        self.clock, self.generation, self.asked, self.by = Clock(), 1, 0, HPA
        self.strangers = Strangers(self._who, self.clock)
        self.replicas = 1

    async def _who(self, *_: str) -> str:
        self.asked += 1
        return self.by

    def write(self, replicas: int) -> None:
        self.replicas, self.generation = replicas, self.generation + 1

    async def look(self, wrote: int | None = 1) -> tuple[Stranger | None, Note | None]:
        live = {**objects.deployment(generation=self.generation), "spec": {"replicas": self.replicas}}
        return await self.strangers.look(BOT, live, wrote)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_we_wrote_and_a_wake_is_nobody_elses(world: World) -> None:
    assert await world.look() == (None, None)
    world.replicas = 0
    assert await world.look(0) == (None, None)
    world.write(1)
    assert await world.look(0) == (None, None)
    assert world.asked == 0, "and costs the API server nothing"


async def test_once_is_set_back_with_an_event_that_names_it(world: World) -> None:
    world.write(5)
    stranger, note = await world.look()
    assert stranger is None
    assert note is not None
    assert note.reason == RESTORED
    assert "set to 5 by horizontal-pod-autoscaler" in note.message
    assert await world.look() == (None, None), "seen again it is no second write"
    world.write(1)
    assert await world.look() == (None, None), "set back"


async def test_twice_is_left_alone_until_it_stops(world: World) -> None:
    for number in (5, 6):
        world.write(number)
        found = await world.look()
        world.write(1)
        await world.look()
        world.clock.forward(100)
        world.write(number)
        found = await world.look()
    assert found == (Stranger(HPA, 6), None)
    world.clock.forward(AGAIN_SECONDS / 2)
    world.write(7)
    assert await world.look() == (Stranger(HPA, 7), None), "it goes on"
    world.clock.forward(AGAIN_SECONDS / 2 + 1)
    assert await world.look() == (Stranger(HPA, 7), None)
    world.clock.forward(AGAIN_SECONDS)
    stranger, note = await world.look()
    assert (stranger, note is not None) == (None, True), "it stopped: the operator decides again"


async def test_seldom_is_each_time_once(world: World) -> None:
    for _ in range(3):
        world.write(5)
        assert (await world.look())[0] is None
        world.write(1)
        await world.look()
        world.clock.forward(AGAIN_SECONDS + 1)


async def test_without_a_write_of_our_own_nothing_is_anybodys(world: World) -> None:
    world.write(5)
    assert await world.look(None) == (None, None)
    assert await world.strangers.look(BOT, None, 1) == (None, None)


def _entry(manager: str, at: str, **spec: Any) -> dict[str, Any]:
    return {"manager": manager, "time": at, "fieldsV1": {"f:spec": spec}}


def test_the_last_writer_of_a_field() -> None:
    fields = [
        _entry("smallmodel-operator", "2026-01-01T00:00:02Z", **{"f:template": {}}),
        _entry("kubectl", "2026-01-01T00:00:01Z", **{"f:replicas": {}}),
        _entry(HPA, "2026-01-01T00:00:03Z", **{"f:replicas": {}}),
        {"manager": "kubelet", "time": "2026-01-01T00:00:09Z"},
    ]
    assert last_writer({"metadata": {"managedFields": fields}}, "replicas") == HPA
    assert last_writer({"metadata": {}}, "replicas") == ""
    assert last_writer(None, "replicas") == ""
