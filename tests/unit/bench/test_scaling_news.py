"""Models with a steady load are told nothing, look after look: only who is told something writes a status."""

from hack.bench.scaling import tick

MODELS = (*range(12), 248, 281, 377, 404, 470, 512, 704, 812, 911)
"""Some of each kind, and some whose load is near what one replica more is needed for."""
SETTLE, LOOKS = 60, 48


async def test_a_steady_load_is_no_news() -> None:
    fleet = tick.Fleet(MODELS, full=False)
    told = 0
    for _ in range(SETTLE):
        await fleet.look(tick.WARM_SECONDS)
        told += len(fleet.told)
        fleet.settle()
    assert told >= len(MODELS), "they come, and each is told how many it gets"
    for _ in range(LOOKS):
        await fleet.look(tick.SECONDS)
        assert not fleet.told, "what is counted comes a little sooner or later, and nothing else happens"
