"""Whatever gateways, clocks and networks do: budgets are never overshot, and what was used is neither lost nor made up.

A model of the world around the pure core: an API server that takes a write on the version it was made of, now or later;
gateways that are killed between any two steps and have their disk, or lose it; an Envoy that goes on without its agent.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smallmodel_operator.budget import journal, register, text
from smallmodel_operator.budget.counter import Counter, Unit, counter_of
from smallmodel_operator.budget.journal import Granted, Kept, Reserved, Settled
from smallmodel_operator.budget.price import Price
from smallmodel_operator.budget.purse import Part, Reservation
from smallmodel_operator.budget.register import Register, Share, Superseded, Wish
from smallmodel_operator.budget.window import Period, Window, window, window_of

GATEWAYS = ("gateway-0", "gateway-1", "gateway-2")
START = datetime(2026, 11, 30, 20, tzinfo=UTC)
"""Four hours before a day and a month end."""
ROUTE = "desk/front"


@dataclass
class Request:
    """One that Envoy let go, with what was reserved for it."""

    id: str
    amounts: dict[Counter, int]
    prompt: int
    generated: int


@dataclass
class Gateway:
    """`disk`, `running` and `log` outlive its process; `kept` and `seen` do not."""

    disk: bytes
    kept: Kept
    begun: bool = False
    seen: tuple[int, Register] | None = None
    running: list[Request] = field(default_factory=list)
    log: list[tuple[str, dict[Unit, int | None]]] = field(default_factory=list)

    def write(self, entry: journal.Entry) -> None:
        journal.apply(self.kept, entry)
        self.disk += journal.line(entry)


class Budgets(RuleBasedStateMachine):
    @initialize(requests=st.integers(1, 40), tokens=st.integers(1, 3000), money=st.integers(1, 10**9))
    def begin(self, requests: int, tokens: int, money: int) -> None:
        self.limits = {Unit.REQUESTS: requests, Unit.TOKENS: tokens, Unit.MONEY: money * 10**6}
        self.price = Price(150_000, 600_000, "EUR")
        self.now, self.version, self.register = START, 1, Register()
        self.gateways: dict[str, Gateway] = {}
        self.later: list[tuple[int, Register]] = []
        """Writes nobody heard of, that may still arrive."""
        self.used: dict[Counter, int] = {}
        """The truth: by requests that have ended."""
        self.last = self.journals = 0
        self.whole = True
        """No disk was lost yet."""
        for name in GATEWAYS:
            self.replaced(name)

    def replaced(self, name: str) -> None:
        self.journals += 1
        kept = Kept(f"journal-{self.journals}")
        self.gateways[name] = Gateway(journal.whole(kept), kept)

    def counter(self, unit: Unit) -> Counter:
        period = Period.DAY if unit is Unit.REQUESTS else Period.MONTH
        caller, currency = "sa:crm/app" if unit is Unit.TOKENS else "", "EUR" if unit is Unit.MONEY else ""
        return Counter(ROUTE, unit, window(period, self.now), caller, currency)

    # -- the network -------------------------------------------------------------------------------------------

    def arrive(self, version: int, content: Register) -> bool:
        if version != self.version:
            return False
        assert text.read(text.write(content)) == content
        self.version, self.register = version + 1, content
        return True

    def send(self, gateway: Gateway, content: Register, fate: str) -> bool:
        """True: it is known to have been made."""
        assert gateway.seen is not None
        version, gateway.seen = gateway.seen[0], None
        if fate == "late":
            self.later.append((version, content))
        if fate not in ("heard", "unheard"):
            return False
        made = self.arrive(version, content)
        if made and fate == "heard":
            gateway.seen = (self.version, content)
        return made and fate == "heard"

    @rule(data=st.data())
    @precondition(lambda self: self.later)
    def arrives_late(self, data: st.DataObject) -> None:
        self.arrive(*self.later.pop(data.draw(st.integers(0, len(self.later) - 1))))

    # -- gateways ----------------------------------------------------------------------------------------------

    names = st.sampled_from(GATEWAYS)
    fates = st.sampled_from(["heard", "heard", "heard", "unheard", "late", "dropped"])

    @rule(name=names, fate=fates)
    def look(self, name: str, fate: str) -> None:
        gateway = self.gateways[name]
        gateway.seen = (self.version, self.register)
        if not gateway.begun:
            gateway.begun = self.send(gateway, register.take_over(self.register, name, gateway.kept.journal), fate)

    def exchange(self, name: str, wishes: dict[Counter, Wish], fate: str) -> None:
        gateway = self.gateways[name]
        if gateway.seen is None or not gateway.begun:
            return
        content = register.exchange(gateway.seen[1], name, gateway.kept.journal, wishes, self.now)
        if self.send(gateway, content, fate):
            gateway.write(Granted({c: content.counters[c][name].granted for c in wishes if c in content.counters}))

    def wish(self, name: str, counter: Counter, *, least: int = 0, most: int = 0) -> Wish:
        part = self.gateways[name].kept.purse.parts.get(counter, Part())
        held = max(part.granted, part.used + part.reserved)
        return Wish(held, part.used, least, most, self.limits[counter.unit])

    @rule(name=names, unit=st.sampled_from(Unit), least=st.integers(1, 300), more=st.integers(0, 300), fate=fates)
    def ask(self, name: str, unit: Unit, least: int, more: int, fate: str) -> None:
        counter, each = self.counter(unit), self.price.generated if unit is Unit.MONEY else 1
        self.exchange(name, {counter: self.wish(name, counter, least=each * least, most=each * (least + more))}, fate)

    @rule(prompt=st.integers(0, 10**6), generated=st.integers(0, 10**6))
    def another_price(self, prompt: int, generated: int) -> None:
        """What is under way costs what it cost when it went."""
        self.price = Price(prompt, generated, "EUR")

    @rule(name=names, fate=fates)
    def give_back(self, name: str, fate: str) -> None:
        """With what it was granted by a write of which it never heard."""
        purse = self.gateways[name].kept.purse
        counters = {*purse.parts, *(c for c, shares in self.register.counters.items() if name in shares)}
        self.gateways[name].write(Granted(purse.spare(counters)))
        self.exchange(name, {counter: self.wish(name, counter) for counter in counters}, fate)

    @rule(
        name=names, prompt=st.integers(0, 200), generated=st.integers(0, 200), killed=st.booleans(), out=st.booleans()
    )
    def request(self, name: str, prompt: int, generated: int, killed: bool, out: bool) -> None:
        """`out`: it leaves, so it costs money."""
        gateway, self.last = self.gateways[name], self.last + 1
        need = {self.counter(Unit.REQUESTS): 1, self.counter(Unit.TOKENS): prompt + generated}
        need |= {self.counter(Unit.MONEY): self.price.of(prompt, generated)} if out else {}
        if gateway.kept.purse.missing(need):
            return
        price = self.price if out else None
        gateway.write(Reserved(f"r{self.last}", Reservation(self.now.timestamp(), need, price)))
        if killed:  # Envoy has no answer, refuses, and says so in its log
            gateway.log.append((f"r{self.last}", {}))
            self.crash(name, 0)
        else:
            gateway.running.append(Request(f"r{self.last}", need, prompt, generated))

    @rule(name=names, data=st.data(), known=st.booleans())
    def ends(self, name: str, data: st.DataObject, known: bool) -> None:
        gateway = self.gateways[name]
        if not gateway.running:
            return
        request = gateway.running.pop(data.draw(st.integers(0, len(gateway.running) - 1)))
        used: dict[Unit, int | None] = {}
        read, written = (data.draw(st.integers(0, most)) for most in (request.prompt, request.generated))
        # By the price that the gateway kept, whatever was crashed and changed since.
        price = gateway.kept.purse.price(request.id)
        said = {Unit.REQUESTS: 1, Unit.TOKENS: read + written, Unit.MONEY: price.of(read, written) if price else 0}
        for counter, amount in request.amounts.items():
            real = said[counter.unit] if known else amount
            assert real <= amount, "what was reserved is a bound"
            self.used[counter] = self.used.get(counter, 0) + real
            used[counter.unit] = real if known else None
        gateway.log.append((request.id, used))

    @rule(name=names, again=st.booleans())
    def settle(self, name: str, again: bool) -> None:
        """`again`: it was killed before it kept how far it had read, so the lines come once more."""
        gateway = self.gateways[name]
        lines = tuple(gateway.log)
        gateway.write(Settled(lines))
        if not again:
            gateway.log.clear()

    @rule(name=names, torn=st.integers(0, 30))
    def crash(self, name: str, torn: int) -> None:
        gateway = self.gateways[name]
        disk = gateway.disk + journal.line(Granted({self.counter(Unit.TOKENS): 10**6}))[:torn]
        kept = journal.replay(disk)
        assert kept == gateway.kept
        again = Gateway(journal.whole(kept), kept, running=gateway.running, log=gateway.log)
        assert journal.replay(again.disk) == kept
        self.gateways[name] = again

    @rule(name=names, data=st.data())
    def lose_the_disk(self, name: str, data: st.DataObject) -> None:
        """With its node: nobody will ever know what its last requests used."""
        while self.gateways[name].running:
            self.ends(name, data, True)
        self.replaced(name)
        self.whole = False

    @rule(hours=st.floats(0, 30))
    def time_passes(self, hours: float) -> None:
        self.now = min(self.now + timedelta(hours=hours), START + timedelta(hours=40))

    # -- what must hold ----------------------------------------------------------------------------------------

    def all_counters(self) -> set[Counter]:
        held = {c for g in self.gateways.values() for c in g.kept.purse.parts}
        return {*self.used, *self.register.counters, *held}

    @invariant()
    def nothing_beyond_the_limit(self) -> None:
        for counter in self.all_counters():
            limit = self.limits[counter.unit]
            assert self.register.taken(counter) <= limit
            running = sum(r.amounts.get(counter, 0) for g in self.gateways.values() for r in g.running)
            assert self.used.get(counter, 0) + running <= limit

    @invariant()
    def nobody_holds_more_than_the_register_says(self) -> None:
        for name, gateway in self.gateways.items():
            for counter, part in gateway.kept.purse:
                assert part.free >= 0
                if not register.old(counter, self.now):
                    share = self.register.counters.get(counter, {}).get(name, Share())
                    assert part.granted <= share.granted

    @invariant()
    def nothing_lost_and_nothing_made_up(self) -> None:
        """What has ended is settled or in a log; with a disk that is lost it counts as lost, and whatever else with
        it."""
        for counter in self.all_counters():
            settled = sum(g.kept.purse.parts.get(counter, Part()).used for g in self.gateways.values())
            known = settled + sum(self.in_log(g, counter) for g in self.gateways.values())
            if self.whole:
                assert known == self.used.get(counter, 0)
            else:
                assert known <= self.used.get(counter, 0)

    def in_log(self, gateway: Gateway, counter: Counter) -> int:
        """Used by what has ended and is not settled."""
        found = 0
        for request, used in gateway.log:
            for reservation in gateway.kept.purse.reservations.get(request, ()):
                amount, real = reservation.amounts.get(counter, 0), used.get(counter.unit, 0)
                found += amount if real is None else real if counter in reservation.amounts else 0
        return found

    def teardown(self) -> None:
        """When all has come to rest, the register has the truth."""
        if not hasattr(self, "gateways"):
            return
        self.later.clear()
        for name, gateway in self.gateways.items():
            for request in list(gateway.running):
                gateway.running.remove(request)
                for counter, amount in request.amounts.items():
                    self.used[counter] = self.used.get(counter, 0) + amount
                gateway.log.append((request.id, {Unit.REQUESTS: 1, Unit.TOKENS: None, Unit.MONEY: None}))
            self.settle(name, False)
            for _ in range(2):
                self.look(name, "heard")
            self.give_back(name, "heard")
        for counter, real in self.used.items():
            if register.old(counter, self.now):
                continue
            said = self.register.used(counter)
            assert said == self.register.taken(counter), "what is free was given back"
            assert said == real if self.whole else real <= said <= self.limits[counter.unit]


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(stateful_step_count=60)

CLOCKS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(now=CLOCKS, period=st.sampled_from(Period))
def test_windows_follow_each_other_without_a_gap(now: datetime, period: Period) -> None:
    found = window(period, now)
    assert found.begin <= now < found.end
    assert window_of(str(found)) == found
    assert found.period is period
    after, before = window(period, found.end), window(period, found.begin - timedelta(microseconds=1))
    assert after.begin == found.end
    assert before.end == found.begin
    assert before.name < found.name < after.name


@given(left=st.integers(0, 10**6), least=st.integers(1, 10**4), more=st.integers(0, 10**4), gateways=st.integers(1, 9))
def test_a_block_is_enough_or_nothing_and_small_where_little_is_left(
    left: int, least: int, more: int, gateways: int
) -> None:
    counter = Counter(ROUTE, Unit.TOKENS, Window("2026-11"))
    others = {f"g{n}": f"j{n}" for n in range(gateways)}
    before = Register(others, {counter: {"g0": Share(3, 2, lost=4), "g1": Share(granted=5, lost=2)}})
    wish = Wish(granted=3, used=2, least=least, most=least + more, limit=14 + left)
    share = register.exchange(before, "g0", "j0", {counter: wish}, START).counters[counter]["g0"]
    got = share.granted - 3
    if left < least:
        assert got == 0
        assert share.short > START.timestamp()
    else:
        assert least <= got <= min(left, max(least + more, left // (4 * gateways)))
        assert not share.short


def test_one_process_of_a_gateway_takes_over_from_another() -> None:
    counter = Counter(ROUTE, Unit.REQUESTS, Window("2026-11-22"))
    wish = {counter: Wish(granted=4, used=1, least=2, most=2, limit=100)}
    before = Register({"gateway-0": "old"}, {counter: {"gateway-0": Share(4, 1), "gateway-1": Share(5, 5)}})
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    after = register.take_over(before, "gateway-0", "new")
    assert after.counters[counter] == {"gateway-0": Share(lost=4), "gateway-1": Share(5, 5)}
    assert (after.taken(counter), after.used(counter)) == (9, 9)
    assert register.take_over(after, "gateway-0", "new") == after
    with pytest.raises(Superseded, match="gateway-0"):
        register.exchange(after, "gateway-0", "old", wish, now)


WORDS: Any = st.text(st.characters(exclude_characters=" ", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(caller=WORDS, unit=st.sampled_from(Unit), now=CLOCKS, period=st.sampled_from(Period))
def test_a_counter_is_read_as_it_was_written(caller: str, unit: Unit, now: datetime, period: Period) -> None:
    currency = "EUR" if unit is Unit.MONEY else ""
    for who in (caller, ""):
        one = Counter(ROUTE, unit, window(period, now), who, currency)
        assert counter_of(str(one)) == one


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_journal_are_refused_in_words(data: bytes) -> None:
    good = journal.whole(Kept("j"))
    for tried in (data, good + data, good + b'{"granted":[["' + data + b'",1]]}\n'):
        with suppress(ValueError):
            journal.replay(tried)


@given(st.text(max_size=200))
def test_a_text_that_is_no_register_is_refused_in_words(data: str) -> None:
    for tried in (data, f'{{"holders":{{}},"counters":{{{data}}}}}'):
        with suppress(ValueError):
            assert not text.read(tried).counters
