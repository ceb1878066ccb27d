"""Replicas by way of Prometheus: what is not known is said, nothing is asked too often, and nobody waits."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.clock import Clock, until
from tests.fakes.prometheus import FakePrometheus, Target
from tests.unit.cluster.test_scraped import said

from smallmodel_operator.cluster import scraped_signals as module
from smallmodel_operator.cluster.breaker import FAILURES, LAST_PAUSE
from smallmodel_operator.cluster.scraped import NoAnswer, Vector
from smallmodel_operator.cluster.scraped_signals import SLACK_SECONDS, WANTED_SECONDS, ScrapedSignals
from smallmodel_operator.core.traffic import Traffic

BOT = ("support", "bot")
INTERVAL = 15.0


class Server:
    """In place of the connection: the fake's answers without the wire."""

    url = "http://prometheus:9090"

    def __init__(self, fake: FakePrometheus) -> None:
        self.fake, self.why, self.closed = fake, "", False
        self.wait: threading.Event | None = None

    def query(self, text: str, at: float | None = None) -> Vector:
        if self.wait is not None:
            self.wait.wait(20)
        if self.why:
            self.fake.asked.append(text)
            raise NoAnswer(self.why)
        return self.fake.answer(text)

    def close(self) -> None:
        self.closed = True


class World:
    """Two gateways that Prometheus scrapes each 15 seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        models = {"support/bot": said(ended=4, counted=4, good=4)}
        self.fake = FakePrometheus({"g-0": Target(dict(models), age=3.0), "g-1": Target(dict(models), age=9.0)})
        self.server = Server(self.fake)
        self.gateways = {"g-0": True, "g-1": True}
        self.signals = ScrapedSignals(self.server, lambda: self.gateways, INTERVAL, {}, self.clock)

    def pass_(self, seconds: float, *scraped: str) -> None:
        """Time passes; these gateways were scraped just now."""
        self.clock.forward(seconds)
        self.fake.now += seconds
        for name, target in self.fake.targets.items():
            target.age = 0.5 if name in scraped else target.age + seconds

    async def ask(self) -> Traffic:
        await self.signals.ask()
        return await self.signals.traffic(BOT)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    if made.server.wait is not None:
        made.server.wait.set()
    made.signals.close()


async def test_a_look_is_what_both_gateways_were_scraped_to_say(world: World) -> None:
    traffic = await world.ask()
    assert traffic.complete
    assert (traffic.source, traffic.problem) == ("Prometheus", "")
    assert [(r.gateway, r.age, r.in_flight, r.held) for r in traffic.reports] == [("g-0", 3, 2, 1), ("g-1", 9, 2, 1)]
    assert all(r.counts is not None and r.counts.ended == 4 for r in traffic.reports)
    assert traffic.at == world.clock() - 6, "between the two scrapes"


async def test_before_the_first_answer_nothing_is_known(world: World) -> None:
    traffic = await world.signals.traffic(BOT)
    assert not traffic.complete
    assert traffic.at is None


async def test_a_look_comes_when_every_gateway_was_scraped_again(world: World) -> None:
    first = await world.ask()
    world.pass_(6, "g-0")
    assert (await world.ask()).at == first.at, "half of it is new"
    world.pass_(6, "g-1")
    world.fake.targets["g-0"].models["support/bot"] = said(ended=9, counted=9, good=9)
    second = await world.ask()
    assert first.at is not None
    assert second.at is not None
    assert second.at > first.at
    assert second.reports[0].counts is not None
    assert second.reports[0].counts.ended == 9


async def test_while_nothing_is_new_one_short_question_is_asked(world: World) -> None:
    await world.ask()
    asked = len(world.fake.asked)
    assert asked == 3, "for all models together"
    await world.ask()
    assert len(world.fake.asked) == asked + 1


async def test_a_thousand_models_cost_no_more_questions_than_one(world: World) -> None:
    for target in world.fake.targets.values():
        target.models |= {f"team/m{n}": said() for n in range(1000)}
    await world.ask()
    assert len(world.fake.asked) == 3
    assert (await world.signals.traffic(("team", "m999"))).complete


@pytest.mark.parametrize("why", ["no connection", "it answers status 503", "no answer within 5 s"])
async def test_prometheus_is_down(world: World, why: str) -> None:
    await world.ask()
    world.server.why = why
    world.pass_(2 * INTERVAL + SLACK_SECONDS - 10)
    assert (await world.ask()).complete, "the last look still says something about now"
    world.pass_(10)
    traffic = await world.ask()
    assert not traffic.complete
    assert traffic.problem == f"Prometheus at http://prometheus:9090 says nothing: {why}"
    world.server.why = ""
    world.pass_(LAST_PAUSE, "g-0", "g-1")
    traffic = await world.ask()
    assert traffic.complete
    assert traffic.problem == ""


async def test_who_fails_again_and_again_is_asked_seldom(world: World) -> None:
    world.server.why = "no connection"
    for _ in range(240):
        await world.signals.ask()
        world.pass_(2.5)
    assert FAILURES < len(world.fake.asked) < FAILURES + 4 + 600 / LAST_PAUSE


async def test_prometheus_is_empty(world: World) -> None:
    world.fake.targets = {}
    traffic = await world.ask()
    assert not traffic.complete
    assert "has no scrape of g-0, g-1 within 45 s: it has to scrape port 10091" in traffic.problem


async def test_one_gateway_is_not_scraped_any_more(world: World) -> None:
    await world.ask()
    gone = world.fake.targets.pop("g-1")
    world.pass_(INTERVAL, "g-0")
    assert (await world.ask()).complete, "for a while its last word holds"
    world.pass_(2 * INTERVAL + SLACK_SECONDS - INTERVAL, "g-0")
    traffic = await world.ask()
    assert not traffic.complete
    assert "has no scrape of g-1 within 45 s" in traffic.problem or "of g-0, g-1" in traffic.problem
    world.fake.targets["g-1"] = replace(gone, age=1.0)
    assert (await world.ask()).complete


async def test_stale_series_are_no_news_and_then_unknown(world: World) -> None:
    """Prometheus answers for minutes with what it scraped last of a pod that is gone."""
    await world.ask()
    for _ in range(20):
        world.pass_(5)
        traffic = await world.ask()
    assert not traffic.complete
    assert traffic.reports[0].age > 100


async def test_a_new_gateway_is_unknown_until_it_is_scraped(world: World) -> None:
    await world.ask()
    world.gateways["g-2"] = True
    traffic = await world.ask()
    assert not traffic.complete
    assert "of g-2 within" in traffic.problem
    world.fake.targets["g-2"] = Target({"support/bot": said()})
    world.pass_(5, "g-0", "g-1", "g-2")
    assert (await world.ask()).complete


async def test_who_is_gone_is_dropped_and_who_leaves_counts_while_it_speaks(world: World) -> None:
    world.gateways["g-1"] = False
    traffic = await world.ask()
    assert [r.gateway for r in traffic.leaving] == ["g-1"]
    del world.gateways["g-1"]
    traffic = await world.signals.traffic(BOT)
    assert not traffic.leaving
    assert traffic.complete


async def test_no_gateway_is_no_traffic_known(world: World) -> None:
    world.gateways.clear()
    traffic = await world.ask()
    assert not traffic.complete
    assert traffic.problem == "no gateway is ready"


async def test_two_clusters_in_one_prometheus_are_told_apart_by_labels_or_not_at_all(world: World) -> None:
    north = world.server.query

    def both(text: str, at: float | None = None) -> Vector:
        other = FakePrometheus({"g-0": Target(age=1.0, instance="10.1.0.9:10091")}, now=world.fake.now)
        return [*north(text), *other.answer(text)]

    world.server.query = both  # type: ignore[method-assign]
    traffic = await world.ask()
    assert not traffic.complete
    assert "several gateways of the name g-0: say in `prometheus.matchLabels`" in traffic.problem


async def test_a_model_that_lacks_a_series_is_unknown_and_the_others_are_not(world: World) -> None:
    world.fake.targets["g-1"].models["crm/bot"] = said()
    world.fake.targets["g-0"].models["crm/bot"] = said(prompts={"99": 1})
    assert (await world.ask()).problem == ""
    traffic = await world.signals.traffic(("crm", "bot"))
    assert traffic.problem == "Prometheus at http://prometheus:9090 has not all series of crm/bot from g-0"
    assert traffic.reports[0].counts is None


async def test_prometheus_clock_that_jumps_ahead_makes_unknown_and_then_known_again(world: World) -> None:
    await world.ask()
    world.fake.now += 3600  # scrapes before it are an hour old now
    for target in world.fake.targets.values():
        target.age += 3600
    world.pass_(50)
    assert not (await world.ask()).complete
    world.pass_(5, "g-0", "g-1")
    traffic = await world.ask()
    assert traffic.complete
    assert traffic.at == world.clock() - 0.5, "on our clock nothing jumped"


async def test_prometheus_clock_that_is_set_back_does_not_pass_for_news(world: World) -> None:
    first = await world.ask()
    world.fake.now -= 3600
    for target in world.fake.targets.values():
        target.age -= 3600
    world.pass_(5)
    assert (await world.ask()).at == first.at
    world.pass_(60)
    assert not (await world.ask()).complete


async def test_nobody_waits_for_prometheus(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_SECONDS", 0.05)
    world.server.wait = threading.Event()
    await world.signals.ask()
    for _ in range(3):
        async with asyncio.timeout(5):
            traffic = await world.signals.traffic(BOT)
        await world.signals.ask()
    assert traffic.problem.endswith("says nothing: no answer within 0.05 s")
    assert world.fake.asked == [], "one question is under way; no other is put behind it"


async def test_where_no_model_has_an_objective_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.001)
    follower = asyncio.create_task(world.signals.follow())
    await asyncio.sleep(0.05)
    assert world.fake.asked == []
    await world.signals.traffic(BOT)
    await until(lambda: world.fake.asked)
    world.clock.forward(WANTED_SECONDS + 1)
    await asyncio.sleep(0.05)
    asked = len(world.fake.asked)
    await asyncio.sleep(0.05)
    assert len(world.fake.asked) == asked
    follower.cancel()


@pytest.mark.parametrize("lie", [{"age": "NaN"}])
async def test_a_scrape_without_a_time_is_none(world: World, lie: dict[str, Any]) -> None:
    plain = world.fake.answer

    def lying(query: str) -> list[dict[str, Any]]:
        found = plain(query)
        found[0]["value"][1] = lie["age"]
        return found

    world.fake.answer = lying  # type: ignore[method-assign]
    traffic = await world.ask()
    assert not traffic.complete
    assert "has no scrape of g-0" in traffic.problem
