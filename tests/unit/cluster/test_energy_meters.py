"""Counters of pods by way of Prometheus: what is missing is not there, and nobody is asked too often."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.clock import Clock

from smallmodel_operator.cluster import energy_meters as module
from smallmodel_operator.cluster.breaker import FAILURES, LAST_PAUSE
from smallmodel_operator.cluster.energy_meters import LONGEST, EnergyMeters, PodIdentity, meters, queries
from smallmodel_operator.cluster.scraped import NoAnswer, Vector
from smallmodel_operator.core.energy import Meter

POD = PodIdentity("u-1", "support", "bot-1")


def sample(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [1.0, value]}


def joules(value: str, zone: str = "package", uid: str = "u-1") -> dict[str, Any]:
    return {"metric": {"__name__": module.KEPLER, "pod_id": uid, "zone": zone}, "value": [1.0, value]}


class Server:
    """In place of the connection: answers by the question's metric."""

    url = "http://prometheus:9090"

    def __init__(self) -> None:
        self.kepler: Vector = [joules("1.5")]
        self.cpu: Vector = []
        self.asked: list[str] = []
        self.why = ""
        self.wait: threading.Event | None = None

    def query(self, text: str, at: float | None = None) -> Vector:
        self.asked.append(text)
        if self.wait is not None:
            self.wait.wait(20)
        if self.why:
            raise NoAnswer(self.why)
        return self.kepler if module.KEPLER in text else self.cpu

    def close(self) -> None: ...


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def asked(server: Server, clock: Clock) -> Iterator[EnergyMeters]:
    made = EnergyMeters(server, {}, clock)
    yield made
    made.close()


def test_counters_are_whole_and_each_is_for_itself() -> None:
    cpu = [sample("2.25", namespace="support", pod="bot-1", container="engine"),
           sample("9", namespace="support", pod="bot-9", container="engine")]  # fmt: skip
    gpu = {"metric": {"__name__": module.KEPLER_GPU, "pod_id": "u-1"}, "value": [1.0, "0.000001"]}
    found = meters([joules("1.5"), joules("0.5", "dram"), joules("7", uid="u-9"), gpu], cpu, [POD])
    assert found == {"u-1": Meter({"package": 1_500_000, "dram": 500_000, "gpu": 1}, {"engine": 2_250_000})}


def test_labels_that_a_target_has_too_are_read_by_their_other_names() -> None:
    """Of a scrape without honor_labels."""
    labels = {"exported_namespace": "support", "exported_pod": "bot-1", "exported_container": "engine"}
    cpu = [sample("1", namespace="kube-system", pod="kubelet", container="kubelet", **labels)]
    assert meters([], cpu, [POD]) == {"u-1": Meter({}, {"engine": 1_000_000})}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e16"])
def test_what_is_no_counter_is_not_there(value: str) -> None:
    cpu = [sample(value, namespace="support", pod="bot-1", container="engine")]
    assert meters([joules(value)], cpu, [POD]) == {}


@pytest.mark.parametrize("vector", [[{"metric": {}, "value": None}], [{}], [None]])
def test_what_is_no_vector_is_no_answer(vector: Any) -> None:
    with pytest.raises(NoAnswer):
        meters(vector, [], [POD])


def test_questions_are_of_our_namespaces_and_our_cluster() -> None:
    kepler, cpu = queries({"support", "crm"}, {"cluster": "north"})
    assert 'pod_namespace=~"crm|support",cluster="north"' in kepler
    assert cpu.count('namespace=~"crm|support"') == 2
    assert cpu.count('cluster="north"') == 2
    many = {f"team-{n}" for n in range(LONGEST)}
    assert all(len(text) < 1000 and '".+"' in text for text in queries(many, {}))


async def test_kubelets_are_asked_only_where_kepler_says_nothing(server: Server, asked: EnergyMeters) -> None:
    assert await asked.read([POD]) == {"u-1": Meter({"package": 1_500_000})}
    assert len(server.asked) == 1
    server.cpu = [sample("2", namespace="crm", pod="bot-1", container="engine")]
    found = await asked.read([POD, PodIdentity("u-2", "crm", "bot-1")])
    assert found["u-2"] == Meter({}, {"engine": 2_000_000})
    assert len(server.asked) == 3
    assert await asked.read([]) == {}
    assert len(server.asked) == 3, "of nobody nothing is asked"


async def test_who_does_not_answer_is_asked_less_often(server: Server, asked: EnergyMeters, clock: Clock) -> None:
    server.why = "no connection"
    for _ in range(10 * FAILURES):
        assert await asked.read([POD]) == {}
    assert len(server.asked) == FAILURES
    assert asked.problem.endswith("Prometheus at http://prometheus:9090: no connection")
    clock.forward(LAST_PAUSE)
    server.why = ""
    assert await asked.read([POD])
    assert asked.problem == ""


async def test_nobody_waits_long_and_no_question_is_asked_beside_another(
    server: Server, asked: EnergyMeters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHOLE_SECONDS", 0.01)
    server.wait = threading.Event()
    assert await asked.read([POD]) == {}
    assert await asked.read([POD]) == {}
    assert len(server.asked) == 1
    assert asked.problem.endswith("no answer in time")
    server.wait.set()
    assert asked._running is not None
    await asyncio.wait({asked._running})
    server.wait = None
    monkeypatch.setattr(module, "WHOLE_SECONDS", 10)
    assert await asked.read([POD])
