"""One pool, many models: who gets the room."""

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.autoscaling.room import Claim, Priority, Room, share

CORE = Room(1.0)


def claim(name: str, priority: Priority, wanted: int, current: int = 0, **more: object) -> Claim:
    gains = more.pop("gains", (4.0, 2.0, 1.0, 0.5))
    return Claim(name, priority, more.pop("replica", CORE), current, more.pop("floor", 0), wanted, gains, **more)  # type: ignore[arg-type]


def counts(room: Room, *claims: Claim) -> dict[str, int]:
    return {name: grant.replicas for name, grant in share({"node": room}, claims).items()}


def spread(nodes: dict[str, float], *claims: Claim) -> dict[str, int]:
    rooms = {name: Room(cpu) for name, cpu in nodes.items()}
    return {name: grant.replicas for name, grant in share(rooms, claims).items()}


def test_with_room_for_all_everybody_gets_what_it_wants() -> None:
    found = share({"node": Room(10)}, [claim("a", Priority.BATCH, 3), claim("b", Priority.CRITICAL, 4)])
    assert {n: g.replicas for n, g in found.items()} == {"a": 3, "b": 4}
    assert found["a"].why == "3, as wanted"


def test_critical_goes_before_standard_before_batch() -> None:
    every = [claim(p.name, p, 4) for p in reversed(Priority)]
    assert counts(Room(6), *every) == {"CRITICAL": 4, "STANDARD": 2, "BATCH": 0}


def test_why_names_who_holds_the_room() -> None:
    found = share({"node": Room(4)}, [claim("crm/bot", Priority.CRITICAL, 4), claim("law/bot", Priority.BATCH, 2)])
    assert found["law/bot"].why == "0 of 2: the pool is full; it is held by crm/bot (Critical) 100 %"


def test_why_counts_those_it_does_not_name_and_never_the_model_itself() -> None:
    holders = [claim(f"crm/{n}", Priority.CRITICAL, 1) for n in range(5)]
    found = share(
        {"node": Room(6)}, [*holders, claim("law/bot", Priority.BATCH, 2), claim("law/tip", Priority.BATCH, 1)]
    )
    most = "crm/0 (Critical) 17 %, crm/1 (Critical) 17 %, crm/2 (Critical) 17 %"
    assert found["law/bot"].why == f"1 of 2: the pool is full; it is held by {most} and 2 others"
    assert found["law/tip"].why == f"0 of 1: the pool is full; it is held by {most} and 3 others"


def test_room_that_is_too_small_for_one_is_still_there_for_who_takes_less() -> None:
    large = claim("large", Priority.CRITICAL, 3, replica=Room(2.0))
    assert counts(Room(5), large, claim("small", Priority.BATCH, 3)) == {"large": 2, "small": 1}


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


def test_idle_models_yield_to_their_own_priority_and_higher_ones() -> None:
    idle = claim("idle", Priority.STANDARD, 2, current=2, idle=True)
    for busy, kept in ((Priority.CRITICAL, 1), (Priority.STANDARD, 1), (Priority.BATCH, 2)):
        assert counts(Room(3), idle, claim("busy", busy, 2)) == {"idle": kept, "busy": 3 - kept}
        assert counts(Room(4), idle, claim("busy", busy, 2)) == {"idle": 2, "busy": 2}


def test_who_is_idle_the_longest_yields_first() -> None:
    rows = [claim(f"idle-{n}", Priority.STANDARD, 1, current=1, idle=True, idle_seconds=n) for n in (9, 70, 30)]
    found = counts(Room(3), *rows, claim("busy", Priority.STANDARD, 1))
    assert found == {"idle-9": 1, "idle-30": 1, "idle-70": 0, "busy": 1}


def test_batch_yields_before_an_idle_model_of_a_higher_priority_once_it_had_its_turn() -> None:
    idle = claim("idle", Priority.STANDARD, 1, current=1, idle=True)
    for seconds, kept in ((10, {"idle": 0, "batch": 1}), (700, {"idle": 1, "batch": 0})):
        batch = claim("batch", Priority.BATCH, 1, current=1, had_seconds=seconds)
        assert counts(Room(2), idle, batch, claim("busy", Priority.CRITICAL, 1)) == {"busy": 1, **kept}


def test_an_idle_model_has_what_it_wants_where_nobody_else_does() -> None:
    idle = claim("idle", Priority.BATCH, 3, current=1, idle=True)
    assert share({"node": Room(3)}, [idle])["idle"].full is False
    assert counts(Room(3), idle, claim("busy", Priority.STANDARD, 1)) == {"idle": 2, "busy": 1}


def test_a_replica_needs_one_node_with_room_for_it() -> None:
    big = claim("big", Priority.STANDARD, 2, replica=Room(2))
    assert spread({"a": 3, "b": 3}, big) == {"big": 2}
    assert spread({"a": 1.5, "b": 1.5, "c": 3}, big) == {"big": 1}, "three free cores on two nodes hold no third one"


def test_a_replica_comes_only_where_it_may() -> None:
    tied = claim("tied", Priority.STANDARD, 2, may_use=frozenset({"a"}))
    assert spread({"a": 1, "b": 9}, tied) == {"tied": 1}
    nowhere = claim("nowhere", Priority.STANDARD, 1, may_use=frozenset())
    assert share({"a": Room(9)}, [nowhere])["nowhere"].why == "0 of 1: no node is open to it"


def test_what_runs_is_counted_where_it_runs() -> None:
    """A new replica goes to the node that is free; nobody has to leave the other one for it."""
    runs = claim("runs", Priority.BATCH, 1, current=1, on=("a",))
    found = share({"a": Room(1), "b": Room(1)}, [runs, claim("new", Priority.CRITICAL, 1)])
    assert {n: g.replicas for n, g in found.items()} == {"runs": 1, "new": 1}
    assert found["new"].yielding == ()


def test_of_several_nodes_that_one_is_cleared_whose_models_yield_first() -> None:
    idle = claim("idle", Priority.STANDARD, 1, current=1, idle=True, on=("a",))
    batch = claim("batch", Priority.BATCH, 1, current=1, on=("b",))
    asked = claim("asked", Priority.STANDARD, 1, current=1, on=("c",))
    rooms = {"a": Room(1), "b": Room(1), "c": Room(1)}
    found = share(rooms, [idle, batch, asked, claim("new", Priority.CRITICAL, 1)])
    assert {n: g.replicas for n, g in found.items()} == {"new": 1, "asked": 1, "idle": 1, "batch": 0}
    assert found["new"].yielding == ("batch",)


def test_room_that_somebody_has_to_leave_first_is_said() -> None:
    idle = claim("law/bot", Priority.STANDARD, 1, current=1, idle=True, on=("a",))
    found = share({"a": Room(1)}, [idle, claim("crm/bot", Priority.STANDARD, 1)])
    assert (found["law/bot"].replicas, found["law/bot"].full) == (0, True)
    assert found["law/bot"].why == "0 of 1: idle, it yields"
    assert found["crm/bot"].why == "1, once there is the room that law/bot yields"
    assert found["crm/bot"].yielding == ("law/bot",)


def test_who_holds_the_room_is_asked_of_the_nodes_it_may_use() -> None:
    here = claim("here", Priority.CRITICAL, 1, current=1, on=("a",), may_use=frozenset({"a"}))
    there = claim("there", Priority.CRITICAL, 1, current=1, on=("b",), may_use=frozenset({"b"}))
    tied = claim("tied", Priority.BATCH, 1, may_use=frozenset({"a"}))
    assert share({"a": Room(1), "b": Room(1)}, [here, there, tied])["tied"].holders == ("here",)


def test_accelerators_are_counted_by_their_name() -> None:
    node = {"gpu": Room(8, 8e9, {"nvidia.com/gpu": 1.0}), "cpu": Room(8, 8e9)}
    gpu = claim("gpu", Priority.STANDARD, 2, replica=Room(1, 1e9, {"nvidia.com/gpu": 1.0}))
    amd = claim("amd", Priority.STANDARD, 1, replica=Room(1, 1e9, {"amd.com/gpu": 1.0}))
    assert {n: g.replicas for n, g in share(node, [gpu, amd]).items()} == {"gpu": 1, "amd": 0}


def test_what_runs_stays_unless_another_gains_clearly_more() -> None:
    runs = claim("runs", Priority.STANDARD, 1, current=1, gains=(1.0,))
    assert counts(Room(1), runs, claim("new", Priority.STANDARD, 1, gains=(1.2,))) == {"runs": 1, "new": 0}
    assert counts(Room(1), runs, claim("new", Priority.STANDARD, 1, gains=(1.4,))) == {"runs": 0, "new": 1}


def test_who_had_nothing_for_long_gets_one_but_not_from_critical_models() -> None:
    starved = claim("batch", Priority.BATCH, 3, starved_seconds=400)
    assert counts(Room(3), claim("s", Priority.STANDARD, 4), starved) == {"s": 2, "batch": 1}
    assert counts(Room(3), claim("c", Priority.CRITICAL, 4), starved) == {"c": 3, "batch": 0}


def test_among_critical_models_turns_are_taken_too() -> None:
    runs = claim("runs", Priority.CRITICAL, 1, current=1, had_seconds=100, gains=(1.0,))
    assert counts(Room(1), runs, claim("new", Priority.CRITICAL, 1, gains=(9.0,))) == {"runs": 1, "new": 0}
    waits = claim("waits", Priority.CRITICAL, 1, starved_seconds=400, gains=(1.0,))
    busy = claim("busy", Priority.CRITICAL, 2, current=2, gains=(9.0, 9.0))
    assert counts(Room(2), busy, waits) == {"busy": 1, "waits": 1}


def test_who_got_a_turn_keeps_it_for_a_while() -> None:
    served = claim("batch", Priority.BATCH, 3, current=1, had_seconds=100)
    assert counts(Room(3), claim("s", Priority.STANDARD, 4), served) == {"s": 2, "batch": 1}
    assert counts(Room(3), claim("c", Priority.CRITICAL, 4), served) == {"c": 3, "batch": 0}
    long_served = claim("batch", Priority.BATCH, 3, current=1, had_seconds=700)
    assert counts(Room(3), claim("s", Priority.STANDARD, 4), long_served) == {"s": 3, "batch": 0}


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
    found = share({"node": Room(cpu)}, made)
    assert sum(found[c.name].replicas * c.replica.cpu for c in made) <= cpu + 1e-6
    assert all(0 <= found[c.name].replicas <= c.wanted for c in made)
    assert all(found[c.name].why for c in made)
