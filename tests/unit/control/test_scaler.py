"""The controllers of all models run beside the passes, and poke those that have something new to hear."""

from dataclasses import replace

import pytest
from tests.fakes.clock import Clock
from tests.unit.control.test_objective import GOAL, ONE_SLOT

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control.objective import Subject
from smallmodel_operator.control.scaler import Scaler
from smallmodel_operator.core.scaling import Scaled
from smallmodel_operator.core.traffic import Counts, GatewayReport, Traffic

BOT = ("support", "bot")
SUBJECT = Subject("uid", GOAL, ONE_SLOT, 0.26, 1, 1, 1)


class World:
    """Gateways that say what a test lets them, and who is poked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.poked: list[ModelKey] = []
        self.seen: list[tuple[int | None, float | None]] = []
        self.traffic = Traffic((GatewayReport("g", 0.1, True, counts=Counts("a", GOAL.seconds)),))
        self.broken = False
        self.scaler = Scaler(self._ask, self.poked.append, clock)
        self.scaler.observe = self._observe

    async def _ask(self, _: ModelKey) -> Traffic:
        if self.broken:
            raise OSError("no way")
        return self.traffic

    def _observe(self, _: ModelKey, said: Scaled | None, attained: float | None) -> None:
        self.seen.append((said.replicas if said else None, attained))

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.forward(5)
            await self.scaler.look(BOT)


@pytest.fixture
def world() -> World:
    return World(Clock())


async def test_a_model_is_poked_when_its_controller_has_something_new_to_say(world: World) -> None:
    await world.look()
    assert world.scaler.said(BOT) is None
    world.scaler.follow(BOT, SUBJECT)
    await world.look(20)
    assert world.poked == [BOT], "the first word, and then nothing new"
    assert world.scaler.said(BOT) is not None
    assert len(world.seen) == 20, "metrics move with every look"


async def test_what_was_said_is_forgotten_with_sleep_and_with_another_wish(world: World) -> None:
    world.scaler.follow(BOT, SUBJECT)
    await world.look()
    world.scaler.follow(BOT, None)
    assert (world.scaler.said(BOT), world.seen[-1]) == (None, (None, None))
    world.scaler.follow(BOT, SUBJECT)
    await world.look()
    world.scaler.follow(BOT, replace(SUBJECT, replicas=2, ready=1))
    assert world.scaler.said(BOT) is not None, "the same wish"
    world.scaler.follow(BOT, replace(SUBJECT, objective=replace(GOAL, seconds=2.0)))
    assert world.scaler.said(BOT) is None


async def test_a_controller_that_fails_keeps_what_was_said(world: World) -> None:
    world.scaler.follow(BOT, SUBJECT)
    await world.look()
    said, world.broken = world.scaler.said(BOT), True
    await world.look(3)
    assert world.scaler.said(BOT) is said
    world.broken = False
    await world.look()
    assert len(world.seen) == 2
