"""Whatever is asked of the queue of held requests: nothing lost, never above its bounds, turns are kept."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smallmodel_operator.gateway.activate.queue import Limits, Outcome, Queue, Ticket

TARGETS = st.sampled_from(["a/one", "a/two", "b/one"])
NAMESPACES = st.sampled_from(["a", "b", "c", "d"])


class HeldRequests(RuleBasedStateMachine):
    """A model of the queue that only knows who is in and how each one ended."""

    @initialize(requests=st.integers(1, 12), size=st.integers(0, 40), bound=st.integers(1, 8))
    def begin(self, requests: int, size: int, bound: int) -> None:
        self.queue = Queue(Limits(requests=requests, bytes=size))
        self.limits, self.bound, self.now = Limits(requests, size), bound, 0.0
        self.inside: dict[int, Ticket] = {}
        self.sizes: dict[int, int] = {}
        self.ended: Counter[int] = Counter()
        self.admitted = 0

    def out(self, *tickets: Ticket) -> None:
        for ticket in tickets:
            assert ticket.id in self.inside, "it had ended before, or was never admitted"
            del self.inside[ticket.id]
            self.ended[ticket.id] += 1

    @rule(
        model=TARGETS,
        namespace=NAMESPACES,
        size=st.integers(0, 30),
        wait=st.floats(0, 20),
        elsewhere=st.integers(0, 4),
        rest=st.floats(0, 3),
    )
    def admit(self, model: str, namespace: str, size: int, wait: float, elsewhere: int, rest: float) -> None:
        before = Counter(t.namespace for t in self.inside.values() if t.target == model)
        total = sum(before.values())
        answer = self.queue.admit(
            model,
            namespace,
            size,
            self.now,
            wait=wait,
            bound=self.bound,
            elsewhere=elsewhere,
            earliest=self.now + rest,
        )
        if answer.ticket is None:
            assert answer.cause in (Outcome.QUEUE_FULL, Outcome.GATEWAY_FULL)
            assert not answer.displaced, "nobody leaves for one that is not let in"
            if answer.cause is Outcome.QUEUE_FULL:
                assert total + elsewhere >= self.bound
                assert before[namespace] >= max(before.values(), default=0) - 1, "who holds less goes before"
            return
        for victim, cause in answer.displaced:
            assert victim.namespace != namespace
            if cause is Outcome.QUEUE_FULL:
                newest = max(i for i, t in self.inside.items() if (t.target, t.namespace) == (model, victim.namespace))
                assert victim.id == newest
                assert before[victim.namespace] == max(before.values())
        self.out(*(t for t, _ in answer.displaced))
        self.inside[answer.ticket.id], self.sizes[answer.ticket.id] = answer.ticket, size
        self.admitted += 1
        after = self.queue.count(model)
        assert after + elsewhere <= self.bound or after <= total, "an overshoot of others never grows"

    @rule(data=st.data(), size=st.integers(0, 50))
    def grow(self, data: st.DataObject, size: int) -> None:
        if self.inside:
            number = data.draw(st.sampled_from(sorted(self.inside)))
            if self.queue.grew(number, size) is not None:
                self.out(self.inside[number])
            else:
                self.sizes[number] = max(size, self.sizes[number])

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.admitted + 2))
        known = self.inside.get(number)
        assert self.queue.leave(number) is (known is not None)
        if known is not None:
            self.out(known)

    @rule(model=TARGETS, most=st.integers(1, 6))
    def take(self, model: str, most: int) -> None:
        due = [t for t in self.inside.values() if t.target == model and t.earliest <= self.now]
        taken = self.queue.take(model, most, self.now)
        assert len(taken) == min(most, len(due))
        self.out(*taken)
        had, got = Counter(t.namespace for t in due), Counter(t.namespace for t in taken)
        for namespace, count in had.items():
            fair = max(got.values(), default=0) - 1
            assert got[namespace] >= min(count, fair), "one namespace had two turns while another waited"
            first = sorted(t.id for t in due if t.namespace == namespace)[: got[namespace]]
            assert sorted(t.id for t in taken if t.namespace == namespace) == first

    @rule(model=TARGETS, seconds=st.floats(0, 10))
    def expire(self, model: str, seconds: float) -> None:
        self.now += seconds
        late = {t.id for t in self.inside.values() if t.target == model and t.deadline <= self.now}
        gone = self.queue.expired(model, self.now)
        assert {t.id for t in gone} == late
        self.out(*gone)

    @rule(model=TARGETS)
    def clear(self, model: str) -> None:
        self.out(*self.queue.clear(model))
        assert self.queue.count(model) == 0

    @invariant()
    def nothing_lost_and_bounds_kept(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert len(self.queue) == len(self.inside)
        assert len(self.ended) + len(self.inside) == self.admitted
        assert all(times == 1 for times in self.ended.values())
        assert self.queue.counts() == Counter(t.target for t in self.inside.values())
        assert self.queue.bytes == sum(self.sizes[i] for i in self.inside)
        assert self.queue.bytes <= self.limits.bytes
        assert len(self.queue) <= self.limits.requests


HeldRequests.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHeldRequests: Any = HeldRequests.TestCase


@given(st.lists(NAMESPACES, max_size=60), st.integers(1, 20))
def test_at_the_bound_shares_even_out(arrivals: list[str], bound: int) -> None:
    """Whoever comes in whatever order: who asked for more than it got holds no less than anyone else, but one."""
    queue = Queue()
    held: dict[int, str] = {}
    for namespace in arrivals:
        answer = queue.admit("a/one", namespace, 0, 0.0, wait=1, bound=bound)
        for ticket, _ in answer.displaced:
            del held[ticket.id]
        if answer.ticket:
            held[answer.ticket.id] = namespace
        assert len(held) <= bound
    assert len(held) == min(bound, len(arrivals))
    asked, got = Counter(arrivals), Counter(held.values())
    for namespace, wanted in asked.items():
        if got[namespace] < wanted:
            assert got[namespace] >= max(got.values()) - 1
