"""One pool, many models: who gets the room."""

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.room import Claim, Priority, Room, share

CORE = Room(1.0)


def claim(name: str, priority: Priority, wanted: int, current: int = 0, **more: object) -> Claim:
    gains = more.pop("gains", (4.0, 2.0, 1.0, 0.5))
    return Claim(name, priority, more.pop("replica", CORE), current, more.pop("floor", 0), wanted, gains, **more)  # type: ignore[arg-type]


def counts(room: Room, *claims: Claim) -> dict[str, int]:
    return {name: grant.replicas for name, grant in share(room, claims).items()}


def test_with_room_for_all_everybody_gets_what_it_wants() -> None:
    found = share(Room(10), [claim("a", Priority.BATCH, 3), claim("b", Priority.CRITICAL, 4)])
    assert {n: g.replicas for n, g in found.items()} == {"a": 3, "b": 4}
    assert found["a"].why == "3, as wanted"


def test_critical_goes_before_standard_before_batch() -> None:
    every = [claim(p.name, p, 4) for p in reversed(Priority)]
    assert counts(Room(6), *every) == {"CRITICAL": 4, "STANDARD": 2, "BATCH": 0}


def test_why_names_who_holds_the_room() -> None:
    found = share(Room(4), [claim("crm/bot", Priority.CRITICAL, 4), claim("law/bot", Priority.BATCH, 2)])
    assert found["law/bot"].why == "0 of 2: the pool is full; it is held by crm/bot (Critical) 100 %"


def test_floors_are_kept_before_others_grow() -> None:
    assert counts(Room(4), claim("a", Priority.CRITICAL, 4), claim("b", Priority.BATCH, 1, floor=1)) == {"a": 3, "b": 1}


def test_among_equals_a_replica_goes_where_it_avoids_most() -> None:
    busy = claim("busy", Priority.STANDARD, 4, gains=(9.0, 8.0, 7.0, 6.0))
    calm = claim("calm", Priority.STANDARD, 4, gains=(2.0, 0.1, 0.1, 0.1))
    assert counts(Room(4), busy, calm) == {"busy": 4, "calm": 0}
    assert counts(Room(5), busy, calm) == {"busy": 4, "calm": 1}


def test_a_replica_counts_by_the_largest_of_its_shares() -> None:
    big = claim("big", Priority.STANDARD, 2, gains=(5.0, 5.0), replica=Room(1, 6e9))
    small = claim("small", Priority.STANDARD, 2, gains=(3.0, 3.0), replica=Room(1, 1e9))
    assert counts(Room(8, 8e9), big, small) == {"small": 2, "big": 1}
    assert counts(Room(8, 7e9), big, small) == {"small": 2, "big": 0}


def test_idle_models_yield() -> None:
    idle = claim("idle", Priority.CRITICAL, 2, current=2, idle=True)
    assert counts(Room(3), idle, claim("busy", Priority.BATCH, 2)) == {"idle": 1, "busy": 2}
    assert counts(Room(4), idle, claim("busy", Priority.BATCH, 2)) == {"idle": 2, "busy": 2}


def test_what_runs_stays_unless_another_gains_clearly_more() -> None:
    runs = claim("runs", Priority.STANDARD, 1, current=1, gains=(1.0,))
    assert counts(Room(1), runs, claim("new", Priority.STANDARD, 1, gains=(1.2,))) == {"runs": 1, "new": 0}
    assert counts(Room(1), runs, claim("new", Priority.STANDARD, 1, gains=(1.4,))) == {"runs": 0, "new": 1}


def test_who_had_nothing_for_long_gets_one_but_not_from_critical_models() -> None:
    starved = claim("batch", Priority.BATCH, 3, starved_seconds=400)
    assert counts(Room(3), claim("s", Priority.STANDARD, 4), starved) == {"s": 2, "batch": 1}
    assert counts(Room(3), claim("c", Priority.CRITICAL, 4), starved) == {"c": 3, "batch": 0}


claims = st.lists(
    st.builds(
        lambda priority, wanted, current, floor, cpu, idle: (priority, wanted, current, floor, cpu, idle),
        st.sampled_from(Priority),
        st.integers(0, 8),
        st.integers(0, 8),
        st.integers(0, 2),
        st.sampled_from((0.5, 1.0, 2.0)),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(claims, st.floats(0, 40))
def test_it_always_fits_and_nobody_gets_more_than_it_wants(rows: list[tuple], cpu: float) -> None:  # type: ignore[type-arg]
    made = [
        Claim(f"m{i}", p, Room(c), current, floor, max(wanted, floor), (3.0, 1.0), idle)
        for i, (p, wanted, current, floor, c, idle) in enumerate(rows)
    ]
    found = share(Room(cpu), made)
    assert sum(found[c.name].replicas * c.replica.cpu for c in made) <= cpu + 1e-6
    assert all(0 <= found[c.name].replicas <= c.wanted for c in made)
    assert all(found[c.name].why for c in made)
