"""What is slow and not gone, under load: the API outside, and the API server whose registers count budgets."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gateway.counted import Counted
from tests.gateway.outward import Outward, outward, route
from tests.gateway.test_budgets_outside import counting
from tests.gateway.test_instead import resting
from tests.gateway.under_load import ASKED, Load, joined

from smallmodel_operator.boundary.declared import Silence
from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.window import Period
from smallmodel_operator.gateway.budget.asking import WAIT_SECONDS

SECRET = ASKED["sensitive"][0].encode()
LEAVES = {"named": ["outside"], "ruled": ["outside"], "sensitive": ["inside"], "inside": ["inside"]}
OF_WHAT_LEAVES = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 10_000, local=True)
OF_ALL = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 10_000)
COUNTED = {"counted": ("Hello", "support"), "counted inside": ("Hello", "support/small")}


def sensitive(way: Outward) -> list[bytes]:
    return [asked.body for asked in way.outside.asked if SECRET in asked.body]


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with outward(tmp_path_factory.mktemp("o"), Silence(stream=1, answer=1)) as running:
        yield running


def test_an_outside_that_is_late_and_still_in_time_is_waited_for(way: Outward) -> None:
    """Nobody inside waits with it."""
    way.outside.does["fake_silent"] = 0.5
    with Load(way) as load:
        assert load.more(3) == LEAVES
        inside, outside = len(load.seen["inside"]), len(load.seen["ruled"])
    assert inside > 3 * outside, "those inside went on meanwhile"
    assert not sensitive(way)
    assert joined(way)["unmatched"] == 0


def test_an_outside_that_is_too_late_is_answered_inside_by_the_same_request(way: Outward) -> None:
    way.outside.does["fake_silent"] = 30.0
    with Load(way) as load:
        load.settled("named", "504 timeout")
        load.settled("ruled", "inside")
        before = len(way.outside.asked)
        seen = load.more(4)
        assert seen == {"named": ["504 timeout"], "ruled": ["inside"], "sensitive": ["inside"], "inside": ["inside"]}
        assert len(way.outside.asked) > before, "who names it still asks there"
        answer = way.ask()
        assert (answer.status, answer.headers["x-slm-degraded"]) == (200, "outside-failing")
        way.outside.does["fake_silent"] = 0.0
        with resting(way, often=0.02):
            load.settled("ruled", "outside")
            assert load.more(3) == LEAVES
    assert not sensitive(way)
    assert joined(way)["unmatched"] == 0, "what came back in left by a decision, too"


def test_an_answer_that_trickles_is_waited_for_once_it_has_begun(way: Outward) -> None:
    """Each pause is longer than nothing may be said at first: that is another bound."""
    answer = way.ask(stream=True, fake_stream=3, fake_pause=1.5)
    assert (answer.status, answer.body.count(b"data:")) == (200, 3)
    assert "x-slm-degraded" not in answer.headers
    assert joined(way)["unmatched"] == 0


# -- the counter -----------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(way: Outward) -> Iterator[Counted]:
    state = way.gateway.state
    routes = (route("desk"), OF_WHAT_LEAVES), (route("support"), OF_ALL)
    with_budgets = {r.path: replace(r, budgets=(limit,)) for r, limit in routes}
    way.gateway.apply(replace(state, routes={**state.routes, **with_budgets}))
    found = counting(way, Path(way.gateway.site.data))
    way.gateway._eventually(lambda: found.budgets.counting is not None, "it counts")
    yield found
    found.end()


def slow(counted: Counted, seconds: float) -> None:
    def set_() -> None:
        counted.api.delay = seconds

    counted.gateway._on_loop(set_)


def answered(load: Load, *kinds: str) -> int:
    """How many of these kinds were let through."""
    return sum(outcome in ("inside", "outside") for kind in kinds for outcome in load.seen[kind])


def test_a_counter_that_is_late_and_still_in_time_changes_nothing(way: Outward, counted: Counted) -> None:
    slow(counted, WAIT_SECONDS / 4)
    with Load(way, {**ASKED, **COUNTED}) as load:
        load.settled("named", "outside")
        assert load.more(4) == LEAVES | {"counted": ["outside"], "counted inside": ["inside"]}
    assert not sensitive(way)


def test_a_counter_that_is_too_late_keeps_inside_or_refuses_until_it_has_counted(
    way: Outward, counted: Counted
) -> None:
    """What it grants too late is for the next ones; nothing is spent twice, and nothing that was spent is lost."""
    slow(counted, WAIT_SECONDS + 0.4)
    with Load(way, {**ASKED, **COUNTED}) as load:
        load.until(lambda: all(len(load.seen[kind]) > 12 for kind in (*ASKED, *COUNTED)))
        slow(counted, 0.0)
        load.settled("named", "outside")
        load.settled("counted inside", "inside")
    assert set(load.seen["named"]) <= {"outside", "403 kept_inside"}
    assert load.seen["named"][0] == "403 kept_inside", "the first could not be counted"
    assert set(load.seen["ruled"]) <= {"outside", "inside"}
    assert set(load.seen["sensitive"]) == set(load.seen["inside"]) == {"inside"}
    for kind in COUNTED:
        assert set(load.seen[kind]) <= {"inside", "outside", "503 unavailable"}
        assert load.seen[kind][0] == "503 unavailable"
    assert not sensitive(way)
    assert counted.part(OF_ALL, "support").used == answered(load, *COUNTED)
    left = sum(load.seen[kind].count("outside") for kind in ASKED)
    assert left <= counted.part(OF_WHAT_LEAVES, "desk").used <= answered(load, *ASKED), "inside it counts where it can"
