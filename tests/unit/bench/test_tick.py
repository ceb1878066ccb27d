"""The bench of a look at many models: what it finds beside what it costs, which no test is timed by."""

from hack.bench.scaling.tick import Case, _measure


async def test_where_nobody_asks_nobody_is_told_anything_and_only_the_ledger_is_kept() -> None:
    found = await _measure(12, Case(quiet=True), ticks=20)
    assert (found["told_news_per_tick"], found["replicas_changed_per_tick"]) == (0, 0)
    assert found["checkpoints"] == 2, "each tenth look, five minutes apart"
