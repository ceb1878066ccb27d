"""The benchmark of who leaves still runs, and a few hundred requests give what a hundred thousand do."""

from hack.bench.routing.boundary import WANTED, measured


async def test_nothing_planted_leaves_and_what_is_clean_does() -> None:
    found = await measured(400, 8)
    assert (found["sensitive"], found["sensitive_that_left"]) == (200, 0)
    assert found["clean_that_left_unchanged"] >= WANTED
    assert set(found["recall"].values()) == {1.0}
