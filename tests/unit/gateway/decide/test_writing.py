"""A record on its way: what fails at once, what fails later, what takes too long, and who asked going away."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from smallmodel_operator.gateway.decide import metrics, writing
from smallmodel_operator.gateway.decide.writing import NotRecorded, Writing


def unrecorded() -> float:
    return metrics.UNRECORDED._value.get()


async def test_it_begins_before_it_is_waited_for() -> None:
    begun: list[Mapping[str, Any]] = []

    def record(body: Mapping[str, Any], content: bytes) -> "asyncio.Future[None]":
        begun.append({**body, "content": content})
        return asyncio.get_running_loop().create_future()

    made = Writing(record, "support/desk", {"n": 1}, b"kept")
    assert begun == [{"n": 1, "content": b"kept"}]
    made._work.set_result(None)
    assert await made.done()


@pytest.mark.parametrize("error", [NotRecorded("no key"), OSError("disk full")])
async def test_what_fails_at_once_is_not_recorded(error: Exception) -> None:
    def record(body: Mapping[str, Any], content: bytes) -> "asyncio.Future[None]":
        raise error

    before = unrecorded()
    assert not await Writing(record, "support/desk", {}).done()
    assert unrecorded() == before + 1


async def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SECONDS", 0.01)
    work = asyncio.get_running_loop().create_future()
    assert not await Writing(lambda *_: work, "support/desk", {}).done()
    assert work.cancelled(), "so that a commit that has not begun leaves it out"


async def test_who_goes_away_is_no_failure() -> None:
    work, before = asyncio.get_running_loop().create_future(), unrecorded()
    asking = asyncio.create_task(Writing(lambda *_: work, "support/desk", {}).done())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert work.cancelled()
    assert unrecorded() == before
