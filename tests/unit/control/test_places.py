"""How long what was read of nodes counts."""

from typing import Any, cast

import pytest
from tests.fakes.clock import Clock

from smallmodel_operator.cluster.children import Children
from smallmodel_operator.cluster.spend import Occupancy
from smallmodel_operator.control.places import KEPT_SECONDS, READ_SECONDS, Places

NODE = {"metadata": {"name": "n"}}


class Cluster:
    """Nodes and others' pods; `broken` is raised, `others_allowed` is the right to list pods."""

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.others_allowed = True
        self.asked = 0

    async def nodes(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self.broken:
            raise self.broken
        return [NODE]

    async def others(self) -> list[dict[str, Any]] | None:
        return [] if self.others_allowed else None


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def places(cluster: Cluster, clock: Clock) -> Places:
    return Places(cast(Occupancy, cluster), Children(), clock)


async def test_nodes_are_read_seldom(places: Places, cluster: Cluster, clock: Clock) -> None:
    for _ in range(3):
        assert (await places.look()) is not None
    assert cluster.asked == 1
    clock.forward(READ_SECONDS + 1)
    await places.look()
    assert cluster.asked == 2


async def test_what_was_read_counts_while_reading_fails_and_not_for_ever(
    places: Places, cluster: Cluster, clock: Clock
) -> None:
    site = await places.look()
    assert site is not None
    cluster.broken = TimeoutError("away")
    clock.forward(READ_SECONDS + 1)
    kept = await places.look()
    assert kept is not None
    assert kept.nodes == site.nodes
    clock.forward(KEPT_SECONDS)
    assert await places.look() is None
    cluster.broken = None
    clock.forward(READ_SECONDS + 1)
    assert await places.look() is not None


async def test_who_may_not_read_knows_nothing(places: Places, cluster: Cluster) -> None:
    cluster.others_allowed = False
    assert await places.look() is None
