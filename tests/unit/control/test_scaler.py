"""The controllers of all models run beside the passes, and poke those that have something new to hear."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest
from tests.fakes.clock import Clock, until
from tests.unit.control.test_objective import GOAL, ONE_SLOT
from tests.unit.control.test_pool import HELD, IDLE, node, pod, tenant

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.control.objective import Subject
from smallmodel_operator.control.pool import Site
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
        self.asked = 0
        self.scaler = Scaler(self._ask, self.poked.append, clock)
        self.scaler.observe = self._observe

    async def _ask(self, models: Collection[ModelKey]) -> dict[ModelKey, Traffic]:
        self.asked += 1
        if self.broken:
            raise OSError("no way")
        return dict.fromkeys(models, self.traffic)

    def _observe(self, _: ModelKey, said: Scaled | None, attained: float | None) -> None:
        self.seen.append((said.replicas if said else None, attained))

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.forward(5)
            await self.scaler.look()


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


async def test_gateways_are_asked_once_for_all_models(world: World) -> None:
    for name in ("a", "b", "c"):
        world.scaler.follow(("support", name), SUBJECT)
    await world.look(2)
    assert world.asked == 2
    assert sorted(world.poked) == [("support", name) for name in ("a", "b", "c")]


async def test_one_controller_that_fails_keeps_no_other_from_its_word(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.scaler.follow(("support", "broken"), replace(SUBJECT, profile=None))  # type: ignore[arg-type]
    world.scaler.follow(BOT, SUBJECT)
    await world.look()
    assert world.scaler.said(("support", "broken")) is None
    assert world.scaler.said(BOT) is not None


# -- the pool --------------------------------------------------------------------------------------------------

LAW, CRM = ("law", "bot"), ("crm", "bot")


class Pool(World):
    """A node with room for one replica; what the gateways say of each model is in `says`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.says: dict[ModelKey, Traffic] = {}
        self.sites = 0
        self.readable = True
        self.running: list[ModelKey] = [LAW]
        self.scaler.site = self._site

    async def _ask(self, models: Collection[ModelKey]) -> dict[ModelKey, Traffic]:
        return {m: self.says.get(m, IDLE) for m in models}

    async def _site(self) -> Site | None:
        self.sites += 1
        return Site([node(cpu="1")], [], [(m, pod()) for m in self.running]) if self.readable else None


async def test_while_nobody_wants_more_than_there_is_no_node_is_looked_at() -> None:
    world = Pool(Clock())
    world.scaler.follow(LAW, None, tenant())
    await world.look(10)
    assert (world.sites, world.poked, world.scaler.granted(LAW)) == (0, [], None)


async def test_an_idle_model_is_told_to_yield_and_both_are_poked_once() -> None:
    world = Pool(Clock())
    world.scaler.follow(LAW, None, tenant())
    world.scaler.follow(CRM, None, tenant(1, 0))
    world.says[CRM] = HELD
    await world.look(5)
    told = world.scaler.granted(LAW)
    assert told is not None
    assert (told.replicas, told.idle) == (0, True)
    assert sorted(world.poked) == [CRM, LAW]
    world.scaler.follow(LAW, None, None)  # it sleeps
    world.running = [CRM]
    world.scaler.follow(CRM, None, tenant(1, 1))
    await world.look()
    assert (world.scaler.granted(LAW), world.scaler.granted(CRM)) == (None, None)


async def test_what_was_granted_ends_with_the_room_that_is_there_again() -> None:
    world = Pool(Clock())
    world.says = {LAW: replace(HELD), CRM: HELD}
    world.scaler.follow(LAW, None, tenant())
    world.scaler.follow(CRM, None, tenant(1, 0))
    await world.look()
    assert (told := world.scaler.granted(CRM)) is not None
    assert "law/bot" in told.why
    world.running = []
    world.scaler.follow(LAW, None, None)
    await world.look()
    assert world.scaler.granted(CRM) is None
    assert world.poked == [CRM, CRM]


@pytest.mark.parametrize("way", ["unreadable", "broken"])
async def test_without_a_look_at_the_nodes_nothing_changes(way: str) -> None:
    world = Pool(Clock())
    world.scaler.follow(LAW, None, tenant())
    world.scaler.follow(CRM, None, tenant(1, 0))
    world.says[CRM] = HELD
    if way == "broken":
        world.running = [LAW]
        world.scaler.site = lambda: _raise()
    world.readable = False
    await world.look(3)
    assert (world.scaler.granted(LAW), world.scaler.granted(CRM), world.poked) == (None, None, [])


async def _raise() -> Site | None:
    raise ValueError("no quantity")


async def test_a_model_that_starts_is_looked_at_before_the_next_tick() -> None:
    world = Pool(Clock())
    world.says[CRM] = HELD
    running = asyncio.create_task(world.scaler.run())
    world.scaler.follow(LAW, None, tenant())
    await asyncio.sleep(0)
    world.scaler.follow(CRM, None, tenant(1, 0))
    await until(lambda: world.scaler.granted(LAW), 4)
    running.cancel()
    assert world.seen == [], "controllers have their own time"


@pytest.mark.parametrize(
    ("runs", "waited", "turn"), [(900.0, 400.0, True), (900.0, 200.0, False), (60.0, 400.0, False), (0.0, 0.0, False)]
)
async def test_an_operator_that_restarts_knows_who_waited_and_who_has_had_a_turn(
    runs: float, waited: float, turn: bool
) -> None:
    world = Pool(Clock())
    world.says = {LAW: replace(HELD), CRM: HELD}
    world.scaler.follow(LAW, None, tenant(lasted=runs))
    world.scaler.follow(CRM, None, tenant(0, 0, lasted=waited))
    world.scaler.follow(CRM, None, tenant(0, 0))  # the first pass has written another condition by now
    await world.look()
    told = [world.scaler.granted(model) for model in (LAW, CRM)]
    assert [granted is not None and not granted.replicas for granted in told] == [turn, not turn]
