"""Replicas that follow what Prometheus scrapes: the controller, the translation and the fake server together."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.clock import Clock
from tests.fakes.prometheus import FakePrometheus, Target
from tests.unit.cluster.test_scraped_signals import Server
from tests.unit.control.test_objective import GOAL, ONE_SLOT

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.autoscaling.prompts import bin_of
from smallmodel_operator.cluster.scraped_signals import ScrapedSignals
from smallmodel_operator.control import objective
from smallmodel_operator.control.objective import Held, Subject
from smallmodel_operator.core.scaling import Scaled

BOT = ("support", "bot")
INTERVAL = 15


class World:
    """Two gateways, scraped each 15 s at different times, with a model that answers 30 tokens to 100."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fake = FakePrometheus({"g-0": Target(age=1000.0), "g-1": Target(age=1000.0)})
        self.server = Server(self.fake)
        self.held, self.of = Held(), Subject("uid", GOAL, ONE_SLOT, 0.26, 1, 1, 1, 2.0)
        self.ended, self.good, self.seconds = [0, 0], [0, 0], 0
        self.epoch = "1763000000000.0"
        self.moves: list[int] = []
        self.scraping = {"g-0", "g-1"}
        self.start_operator()

    def start_operator(self) -> None:
        """Anew: of what was before it knows what the Deployment says."""
        self.signals = ScrapedSignals(self.server, lambda: {"g-0": True, "g-1": True}, INTERVAL, {}, self.clock)
        self.held = Held()

    def _said(self, number: int, in_flight: int) -> dict[str, Any]:
        ended = self.ended[number]
        counts = {
            "epoch": self.epoch, "firstTokenSeconds": GOAL.bounds.first_token, "ended": ended, "counted": ended,
            "good": self.good[number], "whole": ended, "promptTokens": 100 * ended, "generatedTokens": 30 * ended,
            "decodeSeconds": 1.45 * ended, "decodeTokens": 29 * ended,
            "prompts": {str(bin_of(100)): ended} if ended else {},
            "written": {str(bin_of(30)): ended} if ended else {},
            "interToken": {"seconds": 0.0, "counted": 0, "good": 0},
            "endToEnd": {"seconds": 0.0, "counted": 0, "good": 0},
        }  # fmt: skip
        return {"inFlight": in_flight, "held": 0, "objective": counts}

    def _scrape(self, in_flight: int) -> None:
        for number, (name, target) in enumerate(sorted(self.fake.targets.items())):
            target.age += 1
            if name in self.scraping and (self.seconds + 7 * number) % INTERVAL == 0:
                target.age, target.models = 0.2, {"support/bot": self._said(number, in_flight)}

    async def tick(self, ended: int = 0, good: int | None = None, in_flight: int = 0) -> Scaled | None:
        """Five seconds, in which each gateway ends so many requests, and one look."""
        for second in range(5):
            self.seconds += 1
            self.clock.forward(1)
            self.fake.now += 1
            if second == 2:
                self.ended = [n + ended for n in self.ended]
                self.good = [n + (ended if good is None else good) for n in self.good]
            self._scrape(in_flight)
        await self.signals.ask()
        self.held = objective.tick(self.held, self.of, await self.signals.traffic(BOT), self.clock())
        said = self.held.said
        if said is not None and said.replicas != self.of.replicas:
            self.moves.append(said.replicas)
            self.of = replace(self.of, replicas=said.replicas, ready=said.replicas)
        return said

    async def run(self, ticks: int, ended: int = 0, **more: Any) -> Scaled:
        for _ in range(ticks):
            said = await self.tick(ended, **more)
        assert said is not None
        return said

    async def burst(self, ticks: int = 24) -> Scaled:
        return await self.run(ticks, 3, good=1, in_flight=2)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.signals.close()


async def test_load_adds_replicas_and_its_end_takes_them_away(world: World) -> None:
    assert (await world.run(20)).known
    high = await world.burst()
    assert high.replicas > 1
    assert "requests/s planned for" in high.why
    assert (await world.run(400)).replicas == 1
    downs = [b < a for a, b in zip([1, *world.moves], world.moves, strict=False)]
    assert downs == sorted(downs), f"up, then down, and no to and fro: {world.moves}"


async def test_between_two_scrapes_nothing_new_is_made_up(world: World) -> None:
    """Three looks at one scrape would see a burst and two pauses."""
    await world.run(20, 1)
    counters = []
    for _ in range(12):
        await world.tick(1)
        counters.append(world.held.state.counters_at)
    assert len(set(counters)) == 4
    assert world.held.said is not None
    assert world.held.said.known


async def test_prometheus_that_dies_in_a_burst_takes_nothing_away(world: World) -> None:
    await world.run(20)
    high = (await world.burst()).replicas
    world.server.why, moves = "no connection", list(world.moves)
    said = await world.run(200)
    assert (said.replicas, said.known, world.moves) == (high, False, moves)
    report = objective._active(said, False)
    assert report.reason is Reason.SIGNALS_MISSING
    assert "Prometheus at http://prometheus:9090 says nothing: no connection" in report.message
    world.server.why = ""
    said = await world.run(20, 3, good=2, in_flight=2)
    assert said.known
    assert said.replicas >= high, "it goes on where it was"
    assert objective._active(said, False).message.endswith("by what Prometheus has scraped of the gateways.")


@pytest.mark.parametrize("lost", [{"g-1"}, {"g-0", "g-1"}])
async def test_a_gateway_that_is_not_scraped_takes_nothing_away(world: World, lost: set[str]) -> None:
    await world.run(20)
    high = (await world.burst()).replicas
    world.scraping -= lost
    said = await world.run(200)
    assert (said.replicas, said.known) == (high, False)
    assert f"no scrape of {', '.join(sorted(lost))}" in said.missing or "no scrape of g-0, g-1" in said.missing
    world.scraping |= lost
    assert (await world.run(40)).known


@pytest.mark.parametrize("lie", ["NaN", "-1", "+Inf"])
async def test_a_lie_takes_nothing_away(world: World, lie: str) -> None:
    await world.run(20)
    high = (await world.burst()).replicas
    world.fake.change = {"smallmodel_gateway_objective_ended_total": lie}
    said = await world.run(200)
    assert (said.replicas, said.known) == (high, False)
    assert "has not all series of support/bot" in said.missing


async def test_an_operator_that_starts_in_a_burst_does_not_flap(world: World) -> None:
    await world.run(20)
    high = (await world.burst(40)).replicas
    moves = list(world.moves)
    world.signals.close()
    world.start_operator()
    said = await world.run(24, 3, good=3, in_flight=high)
    assert said.known
    assert all(n >= high for n in world.moves[len(moves) :]), f"{moves}, then {world.moves}"


async def test_a_gateway_that_counts_anew_takes_nothing_away(world: World) -> None:
    """Its counters begin at zero: what it lost is no pause."""
    await world.run(20)
    high = (await world.burst(40)).replicas
    before = len(world.moves)
    world.epoch, world.ended, world.good = "1763000900000.0", [0, 0], [0, 0]
    said = await world.run(24, 3, good=3, in_flight=2)
    assert said.known
    assert said.replicas >= high - 1
    assert sum(b < a for a, b in zip(world.moves[before - 1 :], world.moves[before:], strict=False)) <= 1


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_prometheus_clock_that_jumps_in_a_burst_takes_nothing_away(world: World, jump: float) -> None:
    await world.run(20)
    high = (await world.burst()).replicas
    world.fake.now += jump
    for target in world.fake.targets.values():
        target.age += jump  # its old samples keep the time they have
    low = high
    for _ in range(12):
        said = await world.tick(3, good=2, in_flight=2)
        assert said is not None
        low = min(low, said.replicas)
    assert low >= high
