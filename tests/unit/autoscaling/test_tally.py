"""Counts of several gateways become one that only grows."""

from dataclasses import replace

import pytest

from smallmodel_operator.autoscaling.prompts import NOTHING
from smallmodel_operator.autoscaling.tally import Tally, add
from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.core.traffic import Counts, GatewayReport, Judged, Traffic

BOUND = 0.5
PROMPTS = tuple(int(n) for n in NOTHING)


def counts(ended: int, epoch: str = "a", good: int | None = None) -> Counts:
    filled = (*PROMPTS[:9], ended, *PROMPTS[10:])
    return Counts(
        epoch, BOUND, ended, ended, ended if good is None else good, ended, 40 * ended, 30 * ended, 0.3 * ended,
        29 * ended, filled,
    )  # fmt: skip


def report(name: str, ended: int, in_flight: int = 0, held: int = 0, epoch: str = "a", age: float = 0) -> GatewayReport:
    return GatewayReport(name, age, True, in_flight, held, counts=counts(ended, epoch))


def after(*looks: Traffic) -> tuple[int, int, int]:
    """Arrivals, ended and good of the whole after some looks."""
    tally = Tally()
    for look in looks:
        tally, _ = add(tally, look, Bounds(BOUND))
    return tally.total.arrivals, tally.total.ended, tally.total.good


def test_what_was_before_the_first_look_belongs_to_no_span() -> None:
    assert after(Traffic((report("g", 100, 7),))) == (0, 0, 0)


def test_two_gateways_add_up() -> None:
    first = Traffic((report("g", 10), report("h", 20)))
    assert after(first, Traffic((report("g", 13, 2), report("h", 24)))) == (9, 7, 7)


def test_a_request_that_just_ended_is_not_lost_from_what_came() -> None:
    """In flight no more, and not in the log yet."""
    looks = [Traffic((report("g", ended, flying),)) for ended, flying in ((0, 0), (0, 3), (0, 1), (2, 1), (3, 0))]
    assert [after(*looks[: n + 1])[0] for n in range(5)] == [0, 3, 3, 3, 3]


def test_held_requests_came() -> None:
    assert after(Traffic((report("g", 0),)), Traffic((report("g", 0, 0, 5),)))[0] == 5


def test_an_agent_that_began_anew_counts_from_there_on() -> None:
    looks = (report("g", 10), report("g", 20), report("g", 3, epoch="b"), report("g", 8, epoch="b"))
    assert after(*(Traffic((r,)) for r in looks)) == (15, 15, 15)


def test_a_gateway_that_is_gone_is_dropped_and_comes_back_as_new() -> None:
    both = Traffic((report("g", 10), report("h", 10)))
    alone, again = Traffic((report("g", 12),)), Traffic((report("g", 12), report("h", 50)))
    assert after(both, alone, again) == (2, 2, 2)


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(),
        Traffic((report("g", 5), report("h", 5, age=60))),
        Traffic((report("g", 5), replace(report("h", 5), counts=None))),
        Traffic((replace(report("g", 5), counts=replace(counts(5), bound=0.7)),)),
        Traffic((replace(report("g", 5), counts=replace(counts(5), end_to_end=Judged(4.0))),)),
    ],
    ids=["no gateway", "a silent one", "one that does not count yet", "against another bound", "against one more"],
)
def test_what_not_every_gateway_says_is_not_known(traffic: Traffic) -> None:
    begun, _ = add(Tally(), Traffic((report("g", 1), report("h", 1))), Bounds(BOUND))
    assert add(begun, traffic, Bounds(BOUND)) == (begun, None)


def test_a_gateway_on_its_way_out_counts_while_it_speaks_and_hides_nothing_when_silent() -> None:
    first = Traffic((report("g", 10), report("h", 10)))
    assert after(first, Traffic((report("g", 11),), (report("h", 14),)))[1] == 5
    assert after(first, Traffic((report("g", 11),), (report("h", 14, age=60),)))[1] == 1


def test_every_bound_adds_up_for_itself() -> None:
    bounds = Bounds(0.0, 0.06, 4.0)

    def look(counted: int, good: int) -> Traffic:
        judged = {"inter_token": Judged(0.06, counted, good), "end_to_end": Judged(4.0, 2 * counted, counted)}
        told = replace(counts(counted), bound=0.0, written=counts(counted).prompts, **judged)
        return Traffic(tuple(replace(report(name, counted), counts=told) for name in "gh"))

    tally, _ = add(Tally(), look(5, 4), bounds)
    _, seen = add(tally, look(8, 6), bounds)
    assert seen is not None
    assert seen.judged(bounds) == ((6, 4), (12, 6))
    assert sum(seen.written) == seen.written[9] == 6
