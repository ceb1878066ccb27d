"""ConfigMaps are read by name, at most every so often; one that is missing is looked for each time."""

from typing import Any, cast

from tests.fakes.clock import Clock

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.config_maps import GIVEN_SECONDS, ConfigMaps

MODEL = ("support", "bot")


class Store:
    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.asked = 0

    async def get(self, kind: str, name: str, namespace: str) -> Any:
        assert (kind, namespace) == ("ConfigMap", "support")
        self.asked += 1
        return self.there.get(name)


async def test_reading(clock: Clock) -> None:
    store = Store()
    maps = ConfigMaps(cast(Client, store), clock)
    assert await maps.read(MODEL, ()) == {}
    assert await maps.read(MODEL, ("a",)) == {"a": None}
    store.there["a"] = {"data": {}}
    assert await maps.read(MODEL, ("a",)) == {"a": {"data": {}}}
    assert await maps.read(MODEL, ("a",)) == {"a": {"data": {}}}
    assert store.asked == 2
    clock.forward(GIVEN_SECONDS + 1)
    store.there["a"] = {"data": {"x": "y"}}
    assert await maps.read(MODEL, ("a",)) == {"a": {"data": {"x": "y"}}}
    maps.forget(MODEL)
    await maps.read(MODEL, ("a",))
    assert store.asked == 4
