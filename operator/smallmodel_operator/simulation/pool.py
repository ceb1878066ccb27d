"""All replicas of one model behind the gateway, and what it counts. Times in seconds from the trace's beginning."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile
from smallmodel_operator.autoscaling.prompts import NOTHING, bin_of
from smallmodel_operator.simulation.replica import NEVER, Replica, Speeds
from smallmodel_operator.simulation.trace import Trace

DICE: Final = 20230916
"""The gateway draws two replicas and takes the one with fewer requests, as its Envoy does; every run draws alike."""


@dataclass
class Pool:
    """What happens between two looks of a policy."""

    trace: Trace
    profile: EngineProfile
    objective_seconds: float
    start_seconds: float
    replicas: int
    first_tokens: list[float] = field(default_factory=list)
    inter_token: float = 0.0
    end_to_end: float = 0.0
    """Further bounds, in seconds; 0: not asked, as `objective_seconds`."""

    def __post_init__(self) -> None:
        self.speeds = Speeds(self.profile)
        self.now = 0.0
        self.ready = [Replica(self.speeds, 0.0, 0.0) for _ in range(self.replicas)]
        self.starting: deque[Replica] = deque()
        self.drained_seconds = 0.0
        self.draining: set[Replica] = set()
        self.held: deque[int] = deque()
        self.events: list[tuple[float, int, Replica]] = []
        self.next = 0
        self.in_flight = 0
        self.area, self.area_at = 0.0, 0.0
        self.prompt_tokens = self.answered = self.good = self.ended = 0
        self.generated = self.decode_tokens = 0
        self.prompts = list(NOTHING)
        self.refusing, self.refused = False, 0
        self.decode_seconds = 0.0
        self.first_tokens = [NEVER] * len(self.trace.at)
        self.ends = [NEVER] * len(self.trace.at)
        self.paced, self.finished = [0, 0], [0, 0]
        self.written = list(NOTHING)
        self.random = Random(DICE).random  # noqa: S311 - a simulation
        self.measured_start: float | None = None

    @property
    def done(self) -> bool:
        return self.next >= len(self.trace.at) and not self.in_flight

    @property
    def count(self) -> int:
        return len(self.ready) + len(self.starting)

    def scale(self, target: int) -> None:
        """Start replicas, or let go: those that start first, then those with the fewest requests."""
        while self.count < target:
            self.starting.append(Replica(self.speeds, self.now, self.now + self.start_seconds))
        while self.count > target:
            if self.starting:
                self.drained_seconds += self.now - self.starting.pop().born
                continue
            victim = min(self.ready, key=lambda r: (r.load, -r.number))
            self.ready.remove(victim)
            victim.draining = True
            if victim.load:
                self.draining.add(victim)
            else:
                self.drained_seconds += self.now - victim.born

    def replica_seconds(self) -> float:
        alive = (*self.ready, *self.starting, *self.draining)
        return self.drained_seconds + sum(self.now - r.born for r in alive)

    def forward(self, until: float) -> None:
        """Everything up to `until`, or to the end of the last answer."""
        at, events = self.trace.at, self.events
        while True:
            arrival = at[self.next] if self.next < len(at) else NEVER
            start = self.starting[0].ready_at if self.starting else NEVER
            event = events[0][0] if events else NEVER
            first = min(arrival, start, event)
            if first > until or (first == NEVER and not self.in_flight):
                break
            self.now = first
            if event == first:
                self._step(*heappop(events))
            elif start == first:
                self._started(self.starting.popleft())
            else:
                self._arrived()
            if self.done:
                return
        self.now = until

    def look(self) -> Observation:
        self._integrate()
        counters = Counters(
            self.next,
            self.prompt_tokens,
            self.answered,
            self.good,
            self.ended,
            self.generated,
            self.decode_seconds,
            self.decode_tokens,
            self.area,
            tuple(self.prompts),
            tuple(self.written),
            (self.paced[0], self.paced[1]),
            (self.finished[0], self.finished[1]),
        )
        waiting = len(self.held) + sum(len(r.queue) for r in self.ready)
        return Observation(
            self.now, len(self.ready), len(self.starting), counters, self.in_flight, waiting, self.measured_start
        )

    def _integrate(self) -> None:
        self.area += self.in_flight * (self.now - self.area_at)
        self.area_at = self.now

    def _arrived(self) -> None:
        self._integrate()
        request = self.next
        self.next += 1
        if self.refusing:
            self.refused += 1
            return
        self.in_flight += 1
        prompt = self.trace.prompt[request]
        self.prompt_tokens += prompt
        self.prompts[bin_of(prompt)] += 1
        if self.ready:
            self._route(request)
        else:
            self.held.append(request)

    def _route(self, request: int) -> None:
        ready = self.ready
        chosen = ready[int(self.random() * len(ready))]
        other = ready[int(self.random() * len(ready))]
        if other.load < chosen.load:
            chosen = other
        if chosen.take(self.now, request, self.trace.prompt[request], self.trace.generated[request]):
            heappush(self.events, (chosen.next_at, chosen.number, chosen))

    def _started(self, replica: Replica) -> None:
        self.measured_start = self.now - replica.born
        replica.since = self.now
        self.ready.append(replica)
        while self.held:
            self._route(self.held.popleft())

    def _step(self, at: float, _number: int, replica: Replica) -> None:
        if at != replica.next_at:
            return  # planned anew since
        first, when, ended = replica.step(at)
        if first >= 0:
            self.first_tokens[first] = when
            self.answered += 1
            self.good += when - self.trace.at[first] <= self.objective_seconds
        if ended >= 0:
            self._ended(ended, replica)
        if replica.next_at < NEVER:
            heappush(self.events, (replica.next_at, replica.number, replica))

    def _ended(self, request: int, replica: Replica) -> None:
        self._integrate()
        self.in_flight -= 1
        self.ended += 1
        self.ends[request] = self.now
        generated = self.trace.generated[request]
        self.generated += generated
        self.written[bin_of(generated)] += 1
        self.finished[0] += 1
        self.finished[1] += self.now - self.trace.at[request] <= self.end_to_end
        if generated > 1:
            took = self.now - self.first_tokens[request]
            self.decode_seconds += took
            self.decode_tokens += generated - 1
            self.paced[0] += 1
            self.paced[1] += took <= self.inter_token * (generated - 1)
        if replica.draining and not replica.load:
            self.draining.discard(replica)
            self.drained_seconds += self.now - replica.born
