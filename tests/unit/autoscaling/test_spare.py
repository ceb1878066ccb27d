"""Room that a Batch model comes back to: only what has lasted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.room import Claim, Grant, Priority, Room
from smallmodel_operator.autoscaling.spare import LASTS_SECONDS, RETURN_SECONDS, Spare, settle

CLAIM = Claim("a", Priority.BATCH, Room(1.0), 2, 0, 4, (4.0, 3.0, 2.0, 1.0))
YIELDED = Spare(0.0)


def taken(spare: Spare, claim: Claim, looks: list[int], every: float = 5.0) -> list[int]:
    """Replicas it has after each look at so much room."""
    found, now = [], 0.0
    for room in looks:
        now += every
        spare, grant = settle(spare, claim, Grant(room, f"{room}"), now)
        claim = replace(claim, current=grant.replicas)
        found.append(grant.replicas)
    return found


def test_who_left_room_comes_back_once_it_has_lasted() -> None:
    assert taken(YIELDED, CLAIM, [3] * 14) == [2] * 12 + [3] * 2


def test_so_much_as_has_lasted() -> None:
    assert taken(YIELDED, CLAIM, [4, *[3] * 5, *[4] * 7]) == [2] * 12 + [3]


def test_room_that_goes_again_costs_nobody_a_start() -> None:
    assert taken(YIELDED, CLAIM, [3] * 11 + [2] + [3] * 11) == [2] * 23


def test_it_leaves_at_once() -> None:
    assert taken(Spare(), CLAIM, [1, 0, 1]) == [1, 0, 1]


def test_why_is_said_while_it_waits() -> None:
    _, grant = settle(YIELDED, CLAIM, Grant(3, "3 of 4"), 5.0)
    assert grant.full
    assert grant.why == "2 of 4: it left room lately, and comes back to what is free for 60 s"


@pytest.mark.parametrize(
    ("spare", "claim"),
    [
        (Spare(), CLAIM),
        (Spare(-RETURN_SECONDS), CLAIM),
        (YIELDED, replace(CLAIM, priority=Priority.STANDARD)),
        (YIELDED, replace(CLAIM, priority=Priority.CRITICAL)),
        (YIELDED, replace(CLAIM, current=0)),
    ],
    ids=["never left any", "long ago", "standard", "critical", "has nothing"],
)
def test_all_others_take_what_there_is(spare: Spare, claim: Claim) -> None:
    assert settle(spare, claim, Grant(3, "3"), 5.0)[1] == Grant(3, "3")


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
    st.integers(0, 6),
    st.sampled_from(list(Priority)),
    st.floats(1.0, 90.0),
)
def test_nobody_takes_more_than_there_is_or_waits_for_ever(
    looks: list[int], current: int, priority: Priority, every: float
) -> None:
    claim = replace(CLAIM, current=current, wanted=6, priority=priority)
    assert all(has <= max(room, 0) for has, room in zip(taken(Spare(), claim, looks, every), looks, strict=True))
    lasting = taken(Spare(), claim, looks + [looks[-1]] * (int(LASTS_SECONDS / every) + 2), every)
    assert lasting[-1] == looks[-1]
