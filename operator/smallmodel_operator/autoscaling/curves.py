"""The share of late answers by load, as curves that are reckoned once for each size of a pool. Pure."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

OVERLOAD_SLOPE: Final = 2.0
"""Beyond capacity every request misses, and the backlog grows: counted as more than one miss each, so that a replica
more always helps."""
ALIKE: Final = (1, 2, 4, 8)
"""Pools of other sizes are taken for the nearest smaller of these: what the second draw gains hardly grows beyond."""
KEPT: Final = 4096
"""Engines whose curves are kept, and tables: a thousand models with several bounds each ask for theirs at each tick."""

Points = Sequence[tuple[float, float]]
"""(requests a second and replica, log of missed share), growing in both; beyond the last one nothing is carried."""


class Curves:
    """Of one engine, the same requests and one bound. `points`: gives the curve of a pool of so many replicas."""

    __slots__ = ("_logs", "_points", "capacity", "loads")

    def __init__(self, points: Callable[[int], Points]) -> None:
        first = points(ALIKE[0])
        self.loads = tuple(load for load, _ in first)
        self.capacity = self.loads[-1]
        """Requests a second that one replica carries at most within the bound."""
        self._points = points
        self._logs = {ALIKE[0]: tuple(log for _, log in first)}

    def missed(self, arrivals: float, replicas: float) -> float:
        """Missed share at `arrivals` a second over all replicas; above 1 beyond what they carry within the bound."""
        rate = arrivals / replicas
        if rate >= self.capacity:
            return 1 + OVERLOAD_SLOPE * (rate / self.capacity - 1)
        logs = self._of(replicas)
        above = bisect_left(self.loads, rate)
        if above == 0:
            return math.exp(logs[0])
        x0, x1, y0, y1 = self.loads[above - 1], self.loads[above], logs[above - 1], logs[above]
        return math.exp(y0 + (y1 - y0) * (rate - x0) / (x1 - x0))

    def fewest(self, arrivals: float, target: float, low: float, high: float, halvings: int) -> float:
        """Of `low` to `high` replicas, the fewest that miss no more than the target, by so many halvings. As `missed`
        says it, in one piece: each model asks so at each look."""
        loads, capacity, exp, sqrt = self.loads, self.capacity, math.exp, math.sqrt
        for _ in range(halvings):
            middle = sqrt(low * high)
            rate = arrivals / middle
            if rate >= capacity:
                late = 1 + OVERLOAD_SLOPE * (rate / capacity - 1)
            else:
                logs = self._of(middle)
                above = bisect_left(loads, rate) or 1
                x0, y0 = loads[above - 1], logs[above - 1]
                late = exp(y0 + (logs[above] - y0) * (rate - x0) / (loads[above] - x0)) if rate > x0 else exp(y0)
            if late > target:
                low = middle
            else:
                high = middle
        return high

    def _of(self, replicas: float) -> tuple[float, ...]:
        size = 8 if replicas >= 8 else 4 if replicas >= 4 else 2 if replicas >= 2 else 1
        if size not in self._logs:
            self._logs[size] = tuple(log for _, log in self._points(size))
        return self._logs[size]
