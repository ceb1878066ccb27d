"""Other autoscalers, after their published rules and with their default constants. Seconds throughout.

Sources: Kubernetes 1.36 `pkg/controller/podautoscaler/{replica_calculator,horizontal}.go`; Knative serving
`pkg/autoscaler/scaling/autoscaler.go`; KubeAI `internal/modelautoscaler/autoscaler.go`. Each sees what it measures
without delay, which is kinder than their pipelines are.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from smallmodel_operator.autoscaling.observation import Observation


class Policy(Protocol):
    """Asked every `every` seconds for the number of replicas it wants; limits are kept by who asks."""

    every: float

    def decide(self, look: Observation) -> int: ...


@dataclass
class Fixed:
    """As many as at the beginning."""

    replicas: int
    every: float = 3600.0

    def decide(self, look: Observation) -> int:
        return self.replicas


HPA_TOLERANCE: Final = 0.1
HPA_DOWN_WINDOW: Final = 300.0
HPA_UP_PODS: Final = 4


@dataclass
class Hpa:
    """HorizontalPodAutoscaler on a Pods metric: requests in flight, or waiting, for each pod."""

    target: float
    queue: bool
    least: int
    most: int
    every: float = 15.0
    recommended: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, look: Observation) -> int:
        current = look.ready + look.starting
        if not self.recommended:
            self.recommended.append((look.at - self.every, current))
        wanted = min(max(self._wanted(look, current), self.least), self.most)
        self.recommended.append((look.at, wanted))
        while self.recommended[0][0] < look.at - HPA_DOWN_WINDOW:
            self.recommended.popleft()
        if wanted < current:
            wanted = min(current, max(n for _, n in self.recommended))
        return min(wanted, max(2 * current, current + HPA_UP_PODS))

    def _wanted(self, look: Observation, current: int) -> int:
        if not look.ready:
            return current
        used = float(look.waiting if self.queue else look.in_flight)
        ratio = used / look.ready / self.target
        if not (look.starting and ratio > 1):
            return current if abs(ratio - 1) <= HPA_TOLERANCE else math.ceil(round(ratio * look.ready, 9))
        # Pods that are not ready yet count as idle, so that a slow start does not add ever more.
        again = used / current / self.target
        if abs(again - 1) <= HPA_TOLERANCE or again < 1:
            return current
        return max(current, math.ceil(round(again * current, 9)))


KPA_STABLE: Final = 60.0
KPA_PANIC: Final = 6.0
KPA_PANIC_AT: Final = 2.0
KPA_DOWN_RATE: Final = 2.0
KPA_UP_RATE: Final = 1000.0


@dataclass
class Knative:
    """The pod autoscaler on concurrency: a stable window, and a short one for panic, in which it never goes down."""

    target: float
    every: float = 2.0
    seen: deque[tuple[float, float]] = field(default_factory=lambda: deque([(0.0, 0.0)]))
    panic_at: float | None = None
    panic_pods: int = 0
    began: bool = False

    def decide(self, look: Observation) -> int:
        assert look.counters
        self.seen.append((look.at, look.counters.request_seconds))
        while len(self.seen) > 2 and self.seen[1][0] <= look.at - KPA_STABLE:
            self.seen.popleft()
        ready = max(1, look.ready)
        if not self.began:
            self.began = True
            if look.ready > 1:
                self.panic_at, self.panic_pods = look.at, look.ready
        low, high = math.floor(ready / KPA_DOWN_RATE), math.ceil(KPA_UP_RATE * ready)
        panic = math.ceil(self._mean(KPA_PANIC) / self.target)
        stable = min(max(math.ceil(self._mean(KPA_STABLE) / self.target), low), high)
        over = panic / ready >= KPA_PANIC_AT
        panic = min(max(panic, low), high)
        if over:
            self.panic_at = look.at
        elif self.panic_at is not None and self.panic_at + KPA_STABLE < look.at:
            self.panic_at, self.panic_pods = None, 0
        if self.panic_at is None:
            return stable
        self.panic_pods = max(stable, panic, self.panic_pods)
        return self.panic_pods

    def _mean(self, window: float) -> float:
        now, area = self.seen[-1]
        since, before = self.seen[0]
        for at, value in reversed(self.seen):
            since, before = at, value
            if at <= now - window:
                break
        return (area - before) / (now - since) if now > since else 0.0


KUBEAI_SAMPLES: Final = 60
KUBEAI_DOWN_DECISIONS: Final = 3


@dataclass
class KubeAi:
    """The mean of active requests over ten minutes; three decisions in a row to go down."""

    target: float
    every: float = 10.0
    samples: deque[int] = field(default_factory=lambda: deque([0] * KUBEAI_SAMPLES, maxlen=KUBEAI_SAMPLES))
    downs: int = 0

    def decide(self, look: Observation) -> int:
        self.samples.append(look.in_flight)
        current = look.ready + look.starting
        wanted = math.ceil(sum(self.samples) / KUBEAI_SAMPLES / self.target)
        if wanted >= current:
            self.downs = 0
            return wanted
        self.downs += 1
        return wanted if self.downs >= KUBEAI_DOWN_DECISIONS else current
