"""What several gateways counted, as one count that only grows. Pure.

A gateway that began anew, or is seen for the first time, counts from there on: what it counted before belongs to no
span that was looked at. One that is gone is dropped. One that is there and silent makes everything unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add as add_up
from operator import sub

from smallmodel_operator.autoscaling.observation import Counters
from smallmodel_operator.autoscaling.prompts import NOTHING
from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.core.traffic import Counts, GatewayReport, Judged, Traffic


@dataclass(frozen=True, slots=True)
class Seen:
    """The last word of one gateway. `came`: requests that ended, are in flight or held; it never shrinks, for a
    request that has just ended is in flight no more and not counted yet."""

    counts: Counts
    came: int


@dataclass(frozen=True, slots=True)
class Tally:
    """`total` of all gateways since the first look."""

    gateways: Mapping[str, Seen] = field(default_factory=dict)
    total: Counters = field(default_factory=Counters)


def add(tally: Tally, traffic: Traffic, bounds: Bounds) -> tuple[Tally, Counters | None]:
    """With one more look at what is counted against these bounds; None: not every gateway says it.

    Gateways on their way out count while they speak: nothing new goes there, so their silence hides nothing.
    """
    leaving = tuple(r for r in traffic.leaving if r.fresh and _counted(r, bounds))
    if not traffic.reports or not all(r.fresh and _counted(r, bounds) for r in traffic.reports):
        return tally, None
    now: dict[str, Seen] = {}
    total = tally.total
    for report in (*traffic.reports, *leaving):
        assert report.counts is not None
        before, counts = tally.gateways.get(report.gateway), report.counts
        came = counts.ended + report.in_flight + report.held
        if before is not None and _goes_on(before.counts, counts):
            came = max(came, before.came)
            total = _with(total, before.counts, counts, came - before.came)
        now[report.gateway] = Seen(counts, came)
    return Tally(now, total), total


def _counted(report: GatewayReport, bounds: Bounds) -> bool:
    counts = report.counts
    return counts is not None and all(
        abs(judged.seconds - bound) < 1e-6 for judged, bound in zip(counts.judged, bounds, strict=True)
    )


def _goes_on(before: Counts, now: Counts) -> bool:
    same = before.epoch == now.epoch and len(before.prompts) == len(now.prompts)
    judged = all(n.counted >= b.counted for n, b in zip(now.judged, before.judged, strict=True))
    return same and judged and now.ended >= before.ended and now.whole >= before.whole


def _with(total: Counters, before: Counts, now: Counts, came: int) -> Counters:
    return Counters(  # not `replace`, which takes twice as long, for each model at each look
        arrivals=total.arrivals + came,
        prompt_tokens=total.prompt_tokens + now.prompt_tokens - before.prompt_tokens,
        answered=total.answered + now.counted - before.counted,
        good=total.good + now.good - before.good,
        ended=total.ended + now.whole - before.whole,
        generated_tokens=total.generated_tokens + now.generated_tokens - before.generated_tokens,
        decode_seconds=total.decode_seconds + max(0.0, now.decode_seconds - before.decode_seconds),
        decode_tokens=total.decode_tokens + now.decode_tokens - before.decode_tokens,
        request_seconds=total.request_seconds,
        prompts=_bins(total.prompts, before.prompts, now.prompts),
        written=_bins(total.written, before.written, now.written),
        inter_token=_judged(total.inter_token, before.inter_token, now.inter_token),
        end_to_end=_judged(total.end_to_end, before.end_to_end, now.end_to_end),
    )


def _bins(total: tuple[float, ...], before: tuple[int, ...], now: tuple[int, ...]) -> tuple[float, ...]:
    if now == before:
        return total
    return tuple(map(add_up, total, map(sub, now or NOTHING, before or NOTHING)))


def _judged(total: tuple[int, int], before: Judged, now: Judged) -> tuple[int, int]:
    return total[0] + now.counted - before.counted, total[1] + now.good - before.good
