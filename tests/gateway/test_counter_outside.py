"""Who counts cannot be reached or says nothing, under load: what leaves stays, and what needs no count is answered."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.gateway.counted import Counted
from tests.gateway.outward import Outward, outward, route
from tests.gateway.test_budgets_outside import counting
from tests.gateway.under_load import ASKED, Load, leaves

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.window import Period

OF_WHAT_LEAVES = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 200, local=True)
OF_ALL = Limit(Per.ROUTE, Period.MONTH, Unit.REQUESTS, 200)
ALL_COUNTED = {"counted": ("Hello", "support"), "counted inside": ("Hello", "support/small")}
STAYS = {"named": ["403 kept_inside"], "ruled": ["inside"], "sensitive": ["inside"], "inside": ["inside"]}


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with outward(tmp_path_factory.mktemp("o")) as running:
        state = running.gateway.state
        routes = (route("desk"), OF_WHAT_LEAVES), (route("support"), OF_ALL)
        counted = {r.path: replace(r, budgets=(limit,)) for r, limit in routes}
        running.gateway.apply(replace(state, routes={**state.routes, **counted}))
        yield running


@pytest.fixture
def counted(way: Outward) -> Iterator[Counted]:
    found = counting(way, Path(way.gateway.site.data))
    way.gateway._eventually(lambda: found.budgets.counting is not None, "it counts")
    yield found
    found.end()


def cut(api: FakeApiServer) -> None:
    api.down = True


def silent(api: FakeApiServer) -> None:
    api.gate.clear()


def heal(api: FakeApiServer) -> None:
    api.down = False
    api.gate.set()


@pytest.mark.parametrize("fault", [cut, silent])
def test_what_cannot_be_counted_stays_and_comes_back(
    way: Outward, counted: Counted, fault: Callable[[FakeApiServer], None]
) -> None:
    """What was granted before is used up first; it is never more than the budget."""
    with Load(way) as load:
        assert leaves(load.more(2))
        way.gateway._on_loop(fault, counted.api)
        load.settled("named", *STAYS["named"])
        load.settled("ruled", *STAYS["ruled"])
        before = way.outside.bytes
        assert load.more(4) == STAYS
        assert way.outside.bytes == before
        way.gateway._on_loop(heal, counted.api)
        load.settled("named", "outside")
    assert len(way.outside.asked) <= OF_WHAT_LEAVES.most
    assert not [asked for asked in way.outside.asked if ASKED["sensitive"][0].encode() in asked.body]


@pytest.mark.parametrize("fault", [cut, silent])
def test_where_nothing_was_granted_nothing_leaves_and_what_counts_all_is_refused(
    way: Outward, counted: Counted, fault: Callable[[FakeApiServer], None]
) -> None:
    way.gateway._on_loop(fault, counted.api)
    with Load(way, {**ASKED, **ALL_COUNTED, "uncounted": ("Hello", "named")}) as load:
        refused = {key: ["503 unavailable"] for key in ALL_COUNTED}
        assert load.more(3) == STAYS | refused | {"uncounted": ["inside"]}
    assert way.outside.bytes == 0
    way.gateway._on_loop(heal, counted.api)
    way.gateway._eventually(lambda: way.ask(max_tokens=9).json["served_by"] == "outside", "it leaves again")
