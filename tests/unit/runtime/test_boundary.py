"""The watch of the boundary: when it probes, what it says where, and how often it writes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until

from smallmodel_operator.boundary import canary, enforcement
from smallmodel_operator.boundary.canary import Check, Outcome, Report, Target, Way
from smallmodel_operator.boundary.nodes import Nodes
from smallmodel_operator.cluster.boundary_status import BoundaryStatus
from smallmodel_operator.cluster.canary import CannotProbe
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.core.facts import Object
from smallmodel_operator.runtime import boundary as module
from smallmodel_operator.runtime.boundary import BoundaryWatch

MODEL_POD = Target(canary.MODEL, Way.TALK, "10.0.0.8", 8080, needed=True)
GOOD = Report((Check(canary.STRANGER, MODEL_POD, Outcome.SILENT, Outcome.ANSWERED),))
BAD = Report((Check(canary.STRANGER, MODEL_POD, Outcome.ANSWERED, Outcome.ANSWERED),))
LEAK = "a stranger reached a model's pod on TCP 8080"


@dataclass
class Pods:
    """Runs as they are put; the last one is repeated."""

    results: list[Report | Exception]
    wishes: list[Any] = field(default_factory=list)
    avoided: tuple[str, ...] = ()
    there: Nodes | None = None

    async def run(
        self, prefer: Sequence[tuple[str, tuple[str, ...]]] = (), avoid: Sequence[str] = ()
    ) -> tuple[Report, str]:
        self.wishes.append(prefer)
        self.avoided = tuple(avoid)
        found = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(found, Exception):
            raise found
        return found, "node-1"

    async def nodes(self) -> Nodes | None:
        return self.there

    async def operator(self) -> Object | None:
        meta = {"name": "smallmodel-operator", "namespace": "smallmodel-system", "uid": "own"}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}


class World:
    """A watch over a fake API server; the ClusterBoundary is seen at once."""

    def __init__(self, api: FakeApiServer, *results: Report | Exception) -> None:
        self.api = api
        self.pods = Pods(list(results))
        self.poked: list[Callable[[str], bool]] = []
        client = api.client()
        self.watch = BoundaryWatch(
            self.pods if results else None, timedelta(minutes=10), BoundaryStatus(client), Events(client, "me"),
            self.declared, self.poked.append,
        )  # fmt: skip

    def declare(self, **spec: Any) -> None:
        self.api.put(
            {
                "apiVersion": "smallmodel.dev/v1alpha1",
                "kind": "ClusterBoundary",
                "metadata": {"name": "cluster", "generation": 3},
                "spec": spec,
                "status": (self.declared() or {}).get("status", {}),
            }
        )
        self.watch.heard()

    def declared(self) -> Object | None:
        return self.api.get("ClusterBoundary", "cluster", "")

    def condition(self) -> dict[str, Any]:
        [found] = (self.declared() or {})["status"]["conditions"]
        return dict(found)

    def status(self) -> dict[str, Any]:
        return dict((self.declared() or {})["status"])

    def events(self) -> list[dict[str, Any]]:
        return [o for (kind, _, _), o in self.api.objects.items() if kind == "Event"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            task.cancel()

    async def runs(self, count: int) -> None:
        await until(lambda: self.watch.known.runs >= count and self.told(), 30)
        await asyncio.sleep(0.05)  # and what might be said besides

    def told(self) -> bool:
        """Has all been said of what is known? A run is counted a moment before."""
        known, sent, said = self.watch.known, self.watch._sent, self.watch._said
        event = sent is not None and sent.says_the_same(known)
        return event and (self.declared() is None or (said is not None and said[1].says_the_same(known)))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcement, "RETRY_SECONDS", 0.01)


def shown(state: str) -> float | None:
    name = "smallmodel_operator_boundary_enforced"
    return REGISTRY.get_sample_value(name, {"status": state})


async def test_what_holds_is_said_on_the_cluster_boundary_by_metrics_and_by_an_event(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    world.declare()
    async with world.running():
        await world.runs(1)
    condition = world.condition()
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "BoundaryEnforced", "True", "PoliciesEnforced",
    )  # fmt: skip
    assert condition["observedGeneration"] == 3
    assert "Last probe: " in condition["message"]
    canary = world.status()["canary"]
    assert canary["lastProbeTime"] < canary["holdsUntil"]
    assert "gotThrough" not in canary
    assert shown("True") == 1
    assert REGISTRY.get_sample_value("smallmodel_operator_boundary_last_probe_timestamp_seconds")
    [event] = world.events()
    assert (event["type"], event["reason"]) == ("Normal", "PoliciesEnforced")
    assert event["regarding"]["kind"] == "Deployment"


async def test_nodes_nobody_looked_at_are_named_on_the_cluster_boundary(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    world.pods.there = Nodes(frozenset({"node-1", "gpu-1"}), frozenset({"gpu-1"}))
    world.declare()
    async with world.running():
        await until(lambda: (world.declared() or {})["status"])
    assert "no model tolerates their taints: gpu-1." in world.condition()["message"]


async def test_what_got_through_is_named_everywhere(api: FakeApiServer) -> None:
    world = World(api, BAD)
    world.declare()
    async with world.running():
        await world.runs(1)
    assert world.condition()["status"] == "False"
    assert LEAK in world.condition()["message"]
    assert world.status()["canary"]["gotThrough"] == [LEAK]
    assert shown("False") == 1
    assert REGISTRY.get_sample_value("smallmodel_operator_boundary_leaks") == 1
    [event] = world.events()
    assert event["type"] == "Warning"
    assert LEAK in event["note"]


async def test_without_a_cluster_boundary_it_is_said_all_the_same(api: FakeApiServer) -> None:
    world = World(api, BAD)
    async with world.running():
        await world.runs(1)
    assert len(world.events()) == 1
    assert shown("False") == 1


async def test_a_run_that_could_not_be_made_is_unknown_with_the_cause(api: FakeApiServer) -> None:
    world = World(api, CannotProbe("no image."))
    world.declare()
    async with world.running():
        await world.runs(2)
    assert (world.condition()["status"], world.condition()["reason"]) == ("Unknown", "ProbeFailed")
    assert "no image." in world.condition()["message"]
    assert shown("Unknown") == 1


async def test_a_node_where_no_pod_starts_is_not_the_first_choice_again(api: FakeApiServer) -> None:
    world = World(api, CannotProbe("no image.", "arm-1"), GOOD)
    async with world.running():
        await world.runs(2)
    assert world.pods.wishes[:2] == [(), (("NotIn", ("arm-1",)), ("In", ()), ("In", ("arm-1",)))]
    assert world.pods.avoided == ("arm-1",)
    assert world.watch.known.verdict.status is True


async def test_nothing_new_is_not_written_again(api: FakeApiServer) -> None:
    world = World(api, BAD)
    world.declare()
    async with world.running():
        await world.runs(5)
    assert [s.path.rsplit("/", 1)[-1] for s in api.writes] == ["events", "status"], "one each, for all five"


async def test_but_once_an_hour_the_time_is(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REWRITE_SECONDS", 0.0)
    world = World(api, BAD)
    world.declare()
    async with world.running():
        await until(lambda: len([s for s in api.writes if s.path.endswith("/status")]) >= 3)


async def test_a_change_is_written_at_once_and_pokes_who_requires_it(api: FakeApiServer) -> None:
    world = World(api, BAD, GOOD)
    world.declare(namespaces=[{"name": "a", "enforcement": "Required"}])
    async with world.running():
        await world.runs(2)
    assert world.condition()["status"] == "True"
    assert [e["reason"] for e in world.events()] == ["PoliciesNotEnforced", "PoliciesEnforced"]
    last = world.poked[-1]
    assert (last("a"), last("b")) == (True, False)


async def test_the_next_run_is_not_before_its_time_when_all_is_well(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    world.declare()
    async with world.running():
        await world.runs(1)
        world.declare(inference="Stopped")
        await asyncio.sleep(0.1)
    assert len(world.pods.wishes) == 1


async def test_a_new_requirement_and_one_that_goes_poke(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    async with world.running():
        await world.runs(1)
        world.poked.clear()
        world.declare(enforcement="Required")
        await until(lambda: len(world.poked) == 1, 30)
        world.declare()
        await until(lambda: len(world.poked) == 2, 30)
    assert [poke("any") for poke in world.poked] == [True, True]


async def test_a_stop_pokes_those_it_is_for_at_once_and_its_end_too(api: FakeApiServer) -> None:
    """Though the run of the canary has not ended: nothing of this waits for it."""
    world = World(api, GOOD)
    stop = {"name": "support", "inference": "Stopped", "reason": "ticket 7"}
    world.declare(namespaces=[stop])
    [poke] = world.poked
    assert (poke("support"), poke("legal")) == (True, False)
    said = world.watch.of("support").stopped
    assert "in namespace support (ticket 7" in said
    assert "`slm boundary unseal --namespace support` allows it again" in said
    assert world.watch.of("legal").stopped == ""
    world.declare(namespaces=[stop], inference="Stopped")
    assert (world.poked[1]("support"), world.poked[1]("legal")) == (True, True)
    assert "unseal --all" in world.watch.of("legal").stopped
    world.declare(namespaces=[stop], inference="Stopped")
    assert len(world.poked) == 2, "the same again is no news"
    world.declare()
    assert (world.poked[2]("support"), world.poked[2]("legal")) == (True, True)
    assert world.watch.of("support").stopped == ""


async def test_a_new_cluster_boundary_is_told_at_once(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    async with world.running():
        await world.runs(1)
        world.declare()
        await until(lambda: (world.declared() or {}).get("status"))
    assert world.condition()["status"] == "True"
    assert len(world.pods.wishes) == 1


async def test_what_somebody_else_wrote_into_the_condition_is_put_right(api: FakeApiServer) -> None:
    world = World(api, BAD)
    world.declare()
    async with world.running():
        await world.runs(1)
        live = world.declared()
        assert live is not None
        api.put({**live, "status": {"conditions": [{**world.condition(), "status": "True"}]}})
        world.watch.wake.set()
        await until(lambda: world.condition()["status"] == "False")


@pytest.mark.parametrize(("trouble", "counted"), [(NotLeader("the lease has run out"), 0), (KeyError("a bug"), 1)])
async def test_trouble_does_not_end_it(
    api: FakeApiServer, monkeypatch: pytest.MonkeyPatch, trouble: Exception, counted: int
) -> None:
    """A run that a bug ended has proved nothing, and the proof before it gets older."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    world = World(api, trouble, GOOD)
    async with world.running():
        await world.runs(1 + counted)
    assert world.watch.known.verdict.status is True


async def test_a_status_that_cannot_be_written_is_tried_again(
    api: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    world = World(api, GOOD)
    world.declare()
    api.refuse("PATCH", "status", 500, "InternalError", "etcd is away", times=2)
    async with world.running():
        await until(lambda: (world.declared() or {})["status"])
    assert world.condition()["status"] == "True"
    assert len(world.pods.wishes) == 1, "the canary need not run again for that"


async def test_switched_off_is_unknown_and_said_with_the_way_out(api: FakeApiServer) -> None:
    world = World(api)
    world.declare(enforcement="Required")
    async with world.running():
        await until(lambda: (world.declared() or {})["status"])
    assert world.condition()["status"] == "Unknown"
    assert "boundary.canary.enabled" in world.condition()["message"]
    stands = world.watch.of("any")
    assert (stands.required, stands.enforced, stands.probed) == (True, None, True)
    assert world.events() == []


async def test_other_conditions_and_gateways_words_are_left_alone(api: FakeApiServer) -> None:
    world = World(api, GOOD)
    world.declare()
    live = world.declared()
    assert live is not None
    api.put({**live, "status": {"gateways": [{"name": "gw-0"}]}}, manager="gateway")
    async with world.running():
        await world.runs(1)
    assert (world.declared() or {})["status"]["gateways"] == [{"name": "gw-0"}]
    assert world.condition()["status"] == "True"
