"""What a model in a full pool is told: news only where its replicas, or who holds the room, are others."""

from dataclasses import replace

from smallmodel_operator.autoscaling.room import Claim, Grant, Priority, Room
from smallmodel_operator.control.standing import HELD_SECONDS, SAY_SECONDS, PoolStanding, told

CLAIM = Claim("law/bot", Priority.STANDARD, Room(1.0), 1, 1, 2, (1.0,))
SHORT = Grant(
    1, "1 of 2: the pool is full; it is held by crm/bot (Standard) 30 %", full=True, holders=("crm/bot",), parts=(0.3,)
)
ENOUGH = Grant(1, "1, as wanted")
HOLD = frozenset(("law/bot", "crm/bot", "hr/bot"))


def test_a_wish_that_comes_and_goes_is_no_news() -> None:
    short = told(PoolStanding(), CLAIM, SHORT, 2, 0.0, HOLD)
    assert short.granted is not None
    for now in range(5, 600, 5):
        needs = 1 + now // 5 % 2
        grant = SHORT if needs == 2 else ENOUGH
        again = told(short, replace(CLAIM, wanted=needs), grant, 2, float(now), HOLD)
        assert again.granted == short.granted
    assert told(short, replace(CLAIM, wanted=1), ENOUGH, 1, 600.0, HOLD).granted is None, (
        "it is not wished for any more"
    )


def test_what_it_was_said_to_want_beyond_its_need_is_not_taken() -> None:
    """Nobody looked for room for it."""
    found = told(PoolStanding(), replace(CLAIM, wanted=1), ENOUGH, 3, 0.0, HOLD).granted
    assert found is not None
    assert (found.replicas, found.full) == (1, False)
    short = told(PoolStanding(), CLAIM, SHORT, 3, 0.0, HOLD)
    more = told(short, CLAIM, Grant(2, "2, as wanted"), 3, 5.0, HOLD).granted
    assert more is not None
    assert (more.replicas, more.full) == (2, False)


def test_others_among_the_largest_are_news_seldom_while_all_who_were_named_hold_some() -> None:
    short = told(PoolStanding(), CLAIM, SHORT, 2, 0.0, HOLD)
    why = "1 of 2: the pool is full; it is held by hr/bot (Batch) 51 %"
    other = replace(SHORT, why=why, holders=("hr/bot",), parts=(0.51,))
    assert told(short, CLAIM, other, 2, HELD_SECONDS - 1, HOLD).granted == short.granted
    assert told(short, CLAIM, other, 2, HELD_SECONDS, HOLD).holders == ("hr/bot",)
    alike = replace(other, parts=(0.49,))
    assert told(short, CLAIM, alike, 2, 10 * HELD_SECONDS, HOLD).granted == short.granted, "no news among equals"
    gone = HOLD - {"crm/bot"}
    assert told(short, CLAIM, other, 2, SAY_SECONDS - 1, gone).granted == short.granted
    assert told(short, CLAIM, alike, 2, SAY_SECONDS, gone).holders == ("hr/bot",), "who is named has left"


def test_a_replica_that_has_gone_leaves_the_sentence_as_it_is() -> None:
    short = told(PoolStanding(), replace(CLAIM, current=2), SHORT, 2, 0.0, HOLD)
    left = told(short, CLAIM, replace(SHORT, why=f"{SHORT.why} and 2 others"), 2, 5.0, HOLD).granted
    assert left is not None
    assert (left.running, left.why) == (1, SHORT.why)
