"""What a model cost, in its status: written when it is known, at most hourly, and taken away with the price."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.apiserver import FakeApiServer
from tests.unit.control.test_reconcile import DECLARED, READY, World


def said(amount: str, minutes_ago: int = 0) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {"at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "currency": "EUR", "monthToDate": amount}


async def test_it_is_written_at_most_hourly_and_goes_with_the_price(api: FakeApiServer) -> None:
    world = World(api)
    world.create(compute=DECLARED)
    await world.step()
    world.controllers(**READY)
    await world.step()
    assert "cost" not in world.body()["status"]
    world.observer.cost = lambda model, status: said("1.00") if model == ("support", "bot") else None
    assert await world.step() == ["SmallModel"]
    assert world.body()["status"]["cost"]["monthToDate"] == "1.00"
    world.observer.cost = lambda *_: said("2.00")
    assert await world.step() == [], "within the hour"
    world.observer.cost = lambda *_: None
    assert await world.step() == [], "not known: what is said stays"
    old = {**world.body()["status"], "cost": said("1.00", minutes_ago=61)}
    world.reconciler._writer.forget(world.body()["metadata"]["uid"])
    world.api.put({**world.body(), "status": old})
    world.observer.cost = lambda *_: said("2.00")
    assert await world.step() == ["SmallModel"]
    assert world.body()["status"]["cost"]["monthToDate"] == "2.00"
    world.observer.cost = lambda *_: {}
    assert await world.step() == ["SmallModel"]
    assert "cost" not in world.body()["status"]
