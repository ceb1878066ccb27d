"""The pods of recognizers are watched while a route wants them, and again where a watch has ended."""

import asyncio
from typing import Any, cast

import pytest

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.gateway.decide import services as module
from smallmodel_operator.gateway.decide.services import Services
from smallmodel_operator.gateway.state import Endpoint

NAME = ("desk", "presidio")


class Watch:
    """In place of an informer: it has seen one pod, and ends when it is told to."""

    begun = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        Watch.begun += 1
        self.objects = {"a": (Endpoint(f"10.0.0.{Watch.begun}", 3000, "a-pod", ready=True),)}
        self.end = asyncio.Event()

    async def run(self) -> None:
        await self.end.wait()
        raise OSError("the end")


async def test_a_watch_that_ended_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watches: list[Watch] = []

    async def forever(watch: Watch) -> None:
        watches.append(watch)
        await watch.run()

    monkeypatch.setattr(module, "Informer", Watch)
    monkeypatch.setattr(module, "_forever", forever)
    monkeypatch.setattr(Watch, "begun", 0)
    services = Services(cast(Client, None), lambda: {NAME})
    services.look()
    await asyncio.sleep(0)
    assert services.of(NAME)[0].address == "10.0.0.1"
    services.look()
    assert Watch.begun == 1
    watches[0].end.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    services.look()
    assert services.of(NAME)[0].address == "10.0.0.2", "the first one's pods may be others' by now"
    assert "desk/presidio is not watched any more, that begins anew: OSError('the end')" in caplog.text
    await asyncio.sleep(0)
    watches[1].end.set()
    await asyncio.sleep(0)
