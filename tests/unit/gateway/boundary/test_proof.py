"""A gateway that is asked proves that nothing leads outside, by what is there; it says nothing before it knows."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.clock import until

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.gateway.admin import Unreachable, Upstream, upstreams_of
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary import proof as module
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.boundary.proof import Proof, Prover
from smallmodel_operator.gateway.files import CDS, LDS, RDS

SEALED = Boundary("u", 7)
PATH = "cluster support/bot: 203.0.113.9:443 is none of its pods, and no gateway"


class Gateway:
    """What a prover asks of an agent. `found` is what looks find, one after the other; the last is repeated."""

    def __init__(self) -> None:
        self.versions = {RDS: "v1", CDS: "v1", LDS: "v1"}
        self.served = dict(self.versions)
        self.found: list[list[str]] = [[]]
        self.problem = ""
        self.looks = 0
        self.reachable = True
        self.boundaries = SimpleNamespace(asked="", now=SEALED)
        self.agent = SimpleNamespace(
            world=SimpleNamespace(boundaries=self.boundaries),
            writer=self,
            admin=SimpleNamespace(versions=self._versions, upstreams=self._upstreams),
            in_force=InForce(SEALED, "2026-11-21T14:00:00.000Z"),
        )
        self.prover = Prover(cast(Agent, self.agent))

    async def _versions(self) -> dict[str, frozenset[str]]:
        self.looks += 1
        if not self.reachable:
            raise Unreachable("gone")
        return {name: frozenset({version}) for name, version in self.served.items()}

    async def _upstreams(self) -> dict[str, frozenset[Upstream]]:
        return {"support/bot": frozenset({("203.0.113.9", 443)})}

    async def outside(self, upstreams: Mapping[str, frozenset[Upstream]]) -> list[str]:
        assert upstreams == await self._upstreams(), "Envoy's own word counts"
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    @property
    def now(self) -> Proof | None:
        return self.prover.now


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "CONFIRM_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    async with proving(made):
        yield made


@asynccontextmanager
async def proving(gateway: Gateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.prover.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_is_not_asked_says_nothing(gateway: Gateway) -> None:
    await asyncio.sleep(0.1)
    assert (gateway.now, gateway.looks) == (None, 0)


async def test_who_is_asked_answers_with_the_word_and_what_is_served(gateway: Gateway) -> None:
    gateway.boundaries.asked = "first"
    await until(lambda: gateway.now is not None)
    first = gateway.now
    assert first is not None
    assert (first.asked, first.generation, first.outside, len(first.configuration)) == ("first", 7, (), 64)
    looks = gateway.looks
    await asyncio.sleep(0.1)
    assert gateway.looks == looks, "one answer to one question"
    gateway.versions = {**gateway.versions, RDS: "v2"}
    gateway.served, gateway.boundaries.asked = dict(gateway.versions), "second"
    await until(lambda: gateway.now is not None and gateway.now.asked == "second")
    assert gateway.now is not None
    assert gateway.now.configuration != first.configuration


async def test_nothing_is_proven_while_envoy_serves_something_older(gateway: Gateway) -> None:
    gateway.served = {**gateway.versions, CDS: "v0"}
    gateway.boundaries.asked = "word"
    await until(lambda: gateway.looks > 3)
    assert gateway.now is None
    gateway.served = dict(gateway.versions)
    await until(lambda: gateway.now is not None)


async def test_nothing_is_proven_by_an_envoy_that_does_not_answer(gateway: Gateway) -> None:
    gateway.reachable = False
    gateway.boundaries.asked = "word"
    await until(lambda: gateway.looks > 3)
    assert gateway.now is None
    gateway.reachable = True
    await until(lambda: gateway.now is not None)


async def test_nothing_is_proven_of_a_boundary_that_is_not_in_force(gateway: Gateway) -> None:
    gateway.boundaries.now = Boundary("u", 8)
    gateway.boundaries.asked = "word"
    await asyncio.sleep(0.1)
    assert (gateway.now, gateway.looks) == (None, 0)
    gateway.agent.in_force = InForce(Boundary("u", 8), "2026-11-21T14:00:01.000Z")
    await until(lambda: gateway.now is not None)
    assert gateway.now is not None
    assert gateway.now.generation == 8


async def test_why_it_cannot_come_into_force_is_said(gateway: Gateway) -> None:
    gateway.boundaries.now, gateway.problem = Boundary("u", 8), "it would lead outside the cluster: listener x"
    gateway.boundaries.asked = "word"
    await until(lambda: gateway.now is not None)
    assert gateway.now is not None
    assert (gateway.now.outside, gateway.now.generation) == ((gateway.problem,), 7)
    gateway.boundaries.now, gateway.problem = SEALED, ""
    await until(lambda: gateway.now is not None and not gateway.now.outside)


async def test_what_leads_outside_is_named_until_it_is_gone(gateway: Gateway) -> None:
    gateway.found = [[PATH]]
    gateway.boundaries.asked = "word"
    await until(lambda: gateway.now is not None)
    assert gateway.now is not None
    assert gateway.now.entry()["leadsOutside"] == [PATH]
    gateway.found = [[]]
    await until(lambda: gateway.now is not None and not gateway.now.outside)


async def test_endpoints_that_changed_between_two_looks_are_not_called_outside() -> None:
    gateway, said = Gateway(), []
    gateway.found = [[PATH], []]
    gateway.boundaries.asked = "word"
    async with proving(gateway):
        await until(lambda: bool(said.append(gateway.now) or gateway.now is not None))
    assert gateway.now is not None
    assert gateway.now.outside == ()


def test_an_entry_is_bounded() -> None:
    entry = Proof("word", 7, "2026-11-21T14:00:00.000Z", "3f", tuple("x" * 1000 for _ in range(20))).entry()
    assert [len(path) for path in entry["leadsOutside"]] == [512] * 8


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ({"socket_address": {"address": "10.0.0.1", "port_value": 8080}}, ("10.0.0.1", 8080)),
        ({"socket_address": {"address": "fd00::7", "port_value": 8080}}, ("fd00::7", 8080)),
        ({"pipe": {"path": "/run/smallmodel/agent.sock"}}, ("/run/smallmodel/agent.sock", 0)),
    ],
)
def test_envoys_list_of_clusters_is_read(address: dict[str, Any], read: Upstream) -> None:
    value = {"cluster_statuses": [{"name": "support/bot", "host_statuses": [{"address": address}]}, {"name": "empty"}]}
    assert upstreams_of(value) == {"support/bot": frozenset({read}), "empty": frozenset()}


@pytest.mark.parametrize("broken", [{}, {"address": {}}, {"address": {"internal": 7}}])
def test_an_address_of_another_kind_is_not_passed_over(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        upstreams_of({"cluster_statuses": [{"name": "x", "host_statuses": [broken]}]})
