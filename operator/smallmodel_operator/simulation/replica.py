"""One replica of the engine: slots, batched decode, one lane for prompts. Times in seconds.

All sequences of a batch go forward together, one token each an iteration. So a replica has one clock that counts
tokens, and a sequence ends when the clock has gone on by its length: no iteration needs an event of its own.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import Final

from smallmodel_operator.autoscaling.profile import EngineProfile

NEVER: Final = float("inf")


class Speeds:
    """Tokens a second of each sequence, by how many there are, with the lane idle and busy."""

    __slots__ = ("idle", "iteration", "laned", "prompt_seconds", "slots")

    def __init__(self, profile: EngineProfile) -> None:
        self.slots = profile.slots
        self.iteration = [profile.iteration_seconds(n) for n in range(profile.slots + 1)]
        self.idle = [1 / t for t in self.iteration]
        self.laned = [max(1e-3, 1 - profile.prefill_slowdown) * r for r in self.idle]
        self.prompt_seconds = 1 / profile.prefill_tokens_per_second


class Replica:
    """What it holds: `queue` waits for lane and slot, `lane` is read, `decoding` is answered."""

    __slots__ = (
        "born",
        "clock",
        "coming",
        "decoding",
        "draining",
        "lane",
        "lane_end",
        "load",
        "next_at",
        "number",
        "queue",
        "rate",
        "ready_at",
        "since",
        "speeds",
    )
    numbers = count()

    def __init__(self, speeds: Speeds, born: float, ready_at: float) -> None:
        self.number = next(self.numbers)
        self.speeds = speeds
        self.born, self.ready_at = born, ready_at
        self.queue: deque[tuple[int, float, int]] = deque()
        self.decoding: list[tuple[float, int]] = []
        self.lane, self.coming = -1, 0
        self.lane_end = self.next_at = NEVER
        self.clock, self.since, self.rate = 0.0, ready_at, speeds.idle[0]
        self.load = 0
        self.draining = False

    def take(self, now: float, request: int, prompt: int, generated: int) -> bool:
        """A request comes; whether the replica's next event changed."""
        self.load += 1
        self.queue.append((request, prompt * self.speeds.prompt_seconds, generated))
        if self.lane >= 0 or len(self.decoding) >= self.speeds.slots:
            return False
        self._forward(now)
        self._begin(now)
        self._plan(now)
        return True

    def step(self, now: float) -> tuple[int, float, int]:
        """Its next event: (request, when its first token comes or -1.0, request that ended or -1)."""
        self._forward(now)
        first, at, ended = -1, -1.0, -1
        if self.lane_end <= now:
            first, self.lane, self.lane_end = self.lane, -1, NEVER
            heappush(self.decoding, (self.clock + self.coming, first))
            self._begin(now)
            batch = len(self.decoding)
            at = now + 1 / (self.speeds.laned if self.lane >= 0 else self.speeds.idle)[batch]
        else:
            ended = heappop(self.decoding)[1]
            self.load -= 1
            if self.lane < 0:
                self._begin(now)
        self._plan(now)
        return first, at, ended

    def _forward(self, now: float) -> None:
        self.clock += (now - self.since) * self.rate
        self.since = now

    def _begin(self, now: float) -> None:
        if self.queue and len(self.decoding) < self.speeds.slots:
            self.lane, seconds, self.coming = self.queue.popleft()
            self.lane_end = now + seconds

    def _plan(self, now: float) -> None:
        batch = len(self.decoding)
        self.rate = (self.speeds.laned if self.lane >= 0 else self.speeds.idle)[batch]
        ends = now + max(0.0, self.decoding[0][0] - self.clock) / self.rate if batch else NEVER
        self.next_at = min(ends, self.lane_end)
