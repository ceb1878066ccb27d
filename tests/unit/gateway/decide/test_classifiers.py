"""Classifiers as a gateway's agent reads them: again and again, each text once, and never more than it has room for."""

from typing import Any, cast

import aiohttp
import pytest
from tests.fakes.clock import Clock
from tests.unit.routing.test_given import text

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.gateway.decide import classifiers
from smallmodel_operator.gateway.decide.classifiers import LOOK_SECONDS, NEWS_SECONDS, Classifiers
from smallmodel_operator.gateway.routed import Reference

TASKS = Reference("support", "departments", "tasks.json")


class Api:
    """ConfigMaps of one namespace by name; `away`: it does not answer."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {"departments": {"tasks.json": text()}}
        self.away, self.asked = False, list[str]()

    async def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        assert (kind, namespace) == ("ConfigMap", "support")
        self.asked.append(name)
        if self.away:
            raise aiohttp.ClientConnectionError("away")
        return {"data": self.held[name]} if name in self.held else None


class Reading:
    """One agent's classifiers, by hand."""

    def __init__(self, *wanted: Reference) -> None:
        self.api, self.clock, self.wanted = Api(), Clock(), list(wanted or (TASKS,))
        self.classifiers = Classifiers(cast(Client, self.api), lambda: self.wanted, self.clock)

    async def look(self, seconds: float = 0.0) -> int:
        """How many classes the first knows."""
        self.clock.forward(seconds)
        await self.classifiers.look()
        found = self.classifiers.of(self.wanted[0]) if self.wanted else None
        return len(found.classes) if found else 0


async def test_it_is_read_once_a_minute_and_taken_over_when_it_differs() -> None:
    reading = Reading()
    assert reading.classifiers.of(TASKS) is None
    assert await reading.look() == 3
    first = reading.classifiers.of(TASKS)
    assert await reading.look(NEWS_SECONDS) == 3
    assert len(reading.api.asked) == 1
    assert await reading.look(LOOK_SECONDS) == 3
    assert len(reading.api.asked) == 2
    assert reading.classifiers.of(TASKS) is first, "the same text is not read twice"
    reading.api.held["departments"]["tasks.json"] = text(4)
    assert await reading.look(LOOK_SECONDS) == 4


async def test_what_the_operator_has_read_is_read_at_once() -> None:
    reading = Reading()
    await reading.look()
    reading.api.held["departments"]["tasks.json"] = text(4)
    reading.wanted = [Reference(TASKS.namespace, TASKS.name, TASKS.key, "sha256:another")]
    assert await reading.look(NEWS_SECONDS) == 4


async def test_one_that_is_missing_is_looked_for_and_one_that_goes_is_none() -> None:
    reading = Reading()
    del reading.api.held["departments"]
    assert await reading.look() == 0
    reading.api.held["departments"] = {"tasks.json": text()}
    assert await reading.look(NEWS_SECONDS) == 3
    reading.api.held["departments"] = {"other": text()}
    assert await reading.look(LOOK_SECONDS) == 0


async def test_one_that_is_broken_is_none_and_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    reading = Reading()
    await reading.look()
    reading.api.held["departments"]["tasks.json"] = '{"a secret": 1}'
    assert await reading.look(LOOK_SECONDS) == 0
    assert "classifier support/departments, entry tasks.json: it does not say `format" in caplog.text
    assert "secret" not in caplog.text
    reading.api.held["departments"]["tasks.json"] = text()
    assert await reading.look(LOOK_SECONDS) == 3


async def test_an_api_server_that_does_not_answer_changes_nothing() -> None:
    reading = Reading()
    await reading.look()
    reading.api.away = True
    assert await reading.look(LOOK_SECONDS) == 3
    reading.api.away = False
    assert await reading.look(LOOK_SECONDS) == 3


async def test_what_nobody_wants_is_forgotten() -> None:
    reading = Reading()
    await reading.look()
    reading.wanted = []
    await reading.look()
    assert reading.classifiers.of(TASKS) is None


async def test_there_is_room_for_so_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "MOST_CLASSES", 5)
    other = Reference("support", "others", "tasks.json")
    reading = Reading(TASKS, other)
    reading.api.held["others"] = {"tasks.json": text()}
    assert await reading.look() == 3
    assert reading.classifiers.of(other) is None, "a second one of 3 classes is more than 5 in all"
    reading.wanted = [other]
    assert await reading.look(NEWS_SECONDS) == 3, "when the first is gone there is room"
