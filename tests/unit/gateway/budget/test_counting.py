"""Counting at gateways that share registers in memory: what goes wrong around them, and what a restart finds."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.clock import Clock

from smallmodel_operator.budget import register as shared
from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.journal import Settled
from smallmodel_operator.budget.need import Asked, Needs, Refused, Why
from smallmodel_operator.budget.register import Register, Share
from smallmodel_operator.budget.window import Window
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.gateway.budget.counting import IDLE_SECONDS, QUIET_SECONDS, Counting
from smallmodel_operator.gateway.budget.journal import Journal

TODAY = Counter("desk/front", Unit.REQUESTS, Window("2026-11-22"))
MONTH = Counter("desk/front", Unit.TOKENS, Window("2026-11"), "sa:crm/app")


class Shared:
    """Registers that answer at once, or not at all."""

    def __init__(self) -> None:
        self.content: dict[str, Register] = {}
        self.away = False
        self.writes = 0

    def of(self, counter: Counter) -> dict[str, Share]:
        found: dict[str, Share] = {}
        for register in self.content.values():
            found |= register.counters.get(counter, {})
        return found

    async def read(self, name: str) -> Register:
        if self.away:
            raise Away("the API server is away")
        return self.content.get(name, Register())

    async def change(self, name: str, change: Callable[[Register], Register]) -> Register:
        after = change(await self.read(name))
        self.writes += after != self.content.get(name, Register())
        self.content[name] = after
        await asyncio.sleep(0)
        return after


class Site:
    """Gateways of one cluster, each with its folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock, self.shared = folder, clock, Shared()
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.journals: list[Journal] = []

    def start(self, name: str = "gateway-0", folder: str = "") -> Counting:
        self.journals.append(Journal(self.folder / (folder or name)))
        self.journals[-1].open()
        return Counting(name, self.journals[-1], self.shared, lambda: self.now, self.clock)

    def kill(self) -> None:
        """All of them: their locks and threads go, and nothing else is done."""
        for journal in self.journals:
            journal.close()
        self.journals.clear()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Clock())
    yield made
    made.kill()


def needs(limit: int = 100, tokens: int = 0) -> Needs:
    return {TODAY: Asked(1, limit)} | ({MONTH: Asked(tokens, 1000)} if tokens else {})


async def use(counting: Counting, journal: Journal, request: str, tokens: int | None = 0) -> None:
    """A request that is let go and ends."""
    assert await counting.reserve(request, needs(tokens=100)) is None
    await journal.keep(Settled(((request, {Unit.REQUESTS: 1, Unit.TOKENS: tokens}),)))


async def test_all_of_a_limit_can_be_used_and_no_more(site: Site) -> None:
    gateways = [site.start(f"gateway-{n}") for n in range(3)]
    told = await asyncio.gather(*(gateways[n % 3].reserve(f"r{n}", needs(limit=20)) for n in range(60)))
    let_go = told.count(None)
    assert let_go <= 20
    for number in range(60, 200):  # what one holds and another is short of goes round
        site.clock.forward(QUIET_SECONDS)
        for gateway in gateways:
            await gateway.sync()
        let_go += await gateways[number % 3].reserve(f"r{number}", needs(limit=20)) is None
    assert let_go == 20
    assert sum(share.granted for share in site.shared.of(TODAY).values()) == 20
    refused = await gateways[0].reserve("last", needs(limit=20))
    assert refused == Refused(Why.RESERVED, TODAY, 20), "nothing has ended yet"
    assert refused.until == datetime(2026, 11, 23, tzinfo=UTC)
    for gateway, journal in zip(gateways, site.journals, strict=True):
        ended = tuple((name, {Unit.REQUESTS: 1}) for name in gateway.purse.reservations)
        await journal.keep(Settled(ended))
        await gateway.sync()
    site.clock.forward(QUIET_SECONDS)
    refused = await gateways[0].reserve("last", needs(limit=20))
    assert refused == Refused(Why.EXHAUSTED, TODAY, 20)
    site.now += timedelta(days=1)
    tomorrow = Counter("desk/front", Unit.REQUESTS, Window("2026-11-23"))
    assert await gateways[0].reserve("tomorrow", {tomorrow: Asked(1, 20)}) is None


async def test_blocks_spare_the_api_server(site: Site) -> None:
    gateway = site.start()
    for number in range(500):
        assert await gateway.reserve(f"r{number}", needs(limit=1000)) is None
    assert site.shared.writes < 15
    site.shared.writes = 0
    asked = await asyncio.gather(*(gateway.reserve(f"s{n}", {MONTH: Asked(10, 1000)}) for n in range(50)))
    assert asked == [None] * 50
    assert site.shared.writes == 2, "who waits is counted with who asks"


async def test_a_flood_at_the_limit_asks_once_a_second(site: Site) -> None:
    gateway = site.start()
    assert await gateway.reserve("r", needs(limit=1)) is None
    site.shared.writes = 0
    for number in range(100):
        assert await gateway.reserve(f"r{number}", needs(limit=1)) is not None
    assert site.shared.writes == 1
    site.clock.forward(QUIET_SECONDS)
    assert await gateway.reserve("again", needs(limit=2)) is None, "the limit was raised"


async def test_all_counters_or_none(site: Site) -> None:
    gateway = site.start()
    assert await gateway.reserve("r", {TODAY: Asked(1, 10), MONTH: Asked(600, 1000)}) is None
    refused = await gateway.reserve("s", {TODAY: Asked(1, 10), MONTH: Asked(600, 1000)})
    assert refused == Refused(Why.RESERVED, MONTH, 1000)
    assert gateway.purse.parts[TODAY].reserved == 1
    assert await gateway.reserve("t", {MONTH: Asked(1001, 1000)}) == Refused(Why.TOO_LARGE, MONTH, 1000)


async def test_a_restart_finds_what_it_held_and_what_runs(site: Site) -> None:
    gateway = site.start()
    await use(gateway, site.journals[-1], "ended", tokens=7)
    assert await gateway.reserve("running", needs(tokens=100)) is None
    held = {counter: (part.granted, part.used, part.reserved) for counter, part in gateway.purse}
    assert held[MONTH][1:] == (7, 100)
    site.kill()
    site.shared.away = True
    again = site.start()
    assert {counter: (part.granted, part.used, part.reserved) for counter, part in again.purse} == held
    # What was granted may be used up, whoever is away; then it is over.
    free = again.purse.free(TODAY)
    assert free > 0
    for number in range(free):
        assert await again.reserve(f"r{number}", needs()) is None
    assert await again.reserve("beyond", needs()) == Refused(Why.UNREACHABLE)
    assert "away" in again.problem
    site.shared.away = False
    assert await again.reserve("beyond", needs()) == Refused(Why.UNREACHABLE), "asked a moment ago"
    site.clock.forward(QUIET_SECONDS)
    assert await again.reserve("beyond", needs()) is None
    assert again.problem == ""


async def test_a_gateway_that_never_asked_lets_nothing_go_while_the_counter_is_away(site: Site) -> None:
    site.shared.away = True
    assert await site.start().reserve("r", needs()) == Refused(Why.UNREACHABLE)


async def test_what_is_idle_is_given_back(site: Site) -> None:
    gateway = site.start()
    await use(gateway, site.journals[-1], "r", tokens=30)
    await gateway.sync()
    assert site.shared.of(MONTH)["gateway-0"].granted > 30
    assert site.shared.of(MONTH)["gateway-0"].used == 30
    site.clock.forward(IDLE_SECONDS)
    await gateway.sync()
    assert site.shared.of(MONTH)["gateway-0"] == Share(granted=30, used=30)
    site.shared.writes = 0
    await gateway.sync()
    assert site.shared.writes == 0, "at rest nothing is written"


async def test_a_graceful_end_gives_back_what_is_free(site: Site) -> None:
    gateway = site.start()
    running = asyncio.create_task(gateway.run())
    assert await gateway.reserve("r", needs()) is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert site.shared.of(TODAY)["gateway-0"].granted == 1


async def test_more_than_was_reserved_is_paid_first(site: Site) -> None:
    """By an engine that counts otherwise than was thought: nothing of it is lost, be it beyond the limit."""
    gateway = site.start()
    await use(gateway, site.journals[-1], "r", tokens=1100)
    await gateway.sync()
    assert site.shared.of(MONTH)["gateway-0"] == Share(granted=1100, used=1100)
    assert await gateway.reserve("s", needs(tokens=1)) == Refused(Why.EXHAUSTED, MONTH, 1000)


async def test_a_lost_disk_loses_no_use(site: Site) -> None:
    gateway = site.start()
    await use(gateway, site.journals[-1], "r", tokens=30)
    granted = site.shared.of(MONTH)["gateway-0"].granted
    site.kill()
    again = site.start(folder="new claim")
    assert await again.reserve("s", needs(tokens=10)) is None
    share = site.shared.of(MONTH)["gateway-0"]
    assert share.lost == granted
    assert share.taken <= 1000
    site.kill()
    # The old claim comes back: what it holds is counted as lost already, so it begins anew.
    back = site.start()
    await back.sync()
    assert not back.purse.parts
    assert await back.reserve("t", needs(tokens=10)) is None
    share = site.shared.of(MONTH)["gateway-0"]
    assert share.taken <= 1000
    assert back.purse.parts[MONTH].used == 0


async def test_of_two_processes_the_older_lets_nothing_more_go(site: Site) -> None:
    old = site.start()
    assert await old.reserve("r", needs()) is None
    new = site.start(folder="elsewhere")
    assert await new.reserve("s", needs()) is None
    await old.sync()
    assert old.purse.free(TODAY) > 0
    assert await old.reserve("t", needs()) == Refused(Why.UNREACHABLE)
    assert "another process" in old.problem


async def test_a_register_that_was_removed_is_put_back(site: Site) -> None:
    one, two = site.start("gateway-0"), site.start("gateway-1")
    await use(one, site.journals[0], "r", tokens=30)
    await use(two, site.journals[1], "s", tokens=40)
    site.shared.content.clear()
    await one.sync()
    await two.sync()
    assert {name: share.used for name, share in site.shared.of(MONTH).items()} == {"gateway-0": 30, "gateway-1": 40}
    assert all(share.granted >= share.used for share in site.shared.of(MONTH).values())


async def test_a_disk_that_cannot_be_written_lets_nothing_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, journal = site.start(), site.journals[0]
    await use(gateway, journal, "r", tokens=30)
    free = gateway.purse.free(TODAY)

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(journal, "_append", full)
        broken.setattr(journal, "_replace", full)
        for number in range(3):
            assert await gateway.reserve(f"full{number}", needs()) == Refused(Why.NOT_KEPT)
        assert "No space left" in journal.problem
    assert gateway.purse.free(TODAY) == free, "nothing stays reserved for who did not go"
    assert await gateway.reserve("s", needs()) is None
    assert journal.problem == ""
    site.kill()
    assert set(site.start().purse.reservations) == {"s"}


async def test_who_does_not_wait_for_the_answer_has_nothing_reserved(site: Site) -> None:
    gateway = site.start()
    await use(gateway, site.journals[-1], "r")
    asked = asyncio.create_task(gateway.reserve("s", needs()))
    await asyncio.sleep(0)
    assert "s" in gateway.purse.reservations
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert not gateway.purse.reservations


async def test_a_request_that_will_never_be_in_the_log_counts_in_full(site: Site) -> None:
    gateway = site.start()
    assert await gateway.reserve("r", needs(tokens=100)) is None
    before = site.now.timestamp()
    assert await gateway.write_off(before) == 0
    assert await gateway.write_off(before + 1) == 1
    assert await gateway.write_off(before + 1) == 0
    part = gateway.purse.parts[MONTH]
    assert (part.used, part.reserved) == (100, 0)


async def test_windows_that_are_over_are_forgotten(site: Site) -> None:
    gateway = site.start()
    await use(gateway, site.journals[-1], "r", tokens=30)
    await gateway.sync()
    site.now += timedelta(days=1) + shared.KEPT
    await gateway.sync()
    assert [counter for counter, _ in gateway.purse] == [MONTH]
    site.now += timedelta(days=40)
    await gateway.sync()
    assert not gateway.purse.parts
    await gateway.reserve("s", {Counter("desk/front", Unit.REQUESTS, Window("2027-01-02")): Asked(1, 10)})
    assert not site.shared.of(TODAY)
    assert not site.shared.of(MONTH)
