"""A budget of a few cents on the real node: used up, callers are told so, nothing of it is overdrawn."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.conftest import Bed, model
from tests.cluster.test_stop import ask

HOURLY, CORES, BUDGET = 3.60, 0.5, 0.20
"""Of a replica, by its share of the node; what two minutes of it cost is kept back, so 80 s are left."""
UP_SECONDS = 300


@pytest.fixture
def priced(bed: Bed, namespace: str) -> Iterator[str]:
    """The default profile with a price, under another name."""
    default = json.loads(bed.kubectl("get", "computeprofile", "default", "-o", "json"))
    node = json.loads(bed.kubectl("get", "nodes", "-o", "json"))["items"][0]
    price = {"hourly": f"{HOURLY * int(node['status']['allocatable']['cpu']) / CORES:.2f}", "currency": "EUR"}
    plain = {"apiVersion": default["apiVersion"], "kind": default["kind"], "metadata": {"name": namespace}}
    bed.apply({**plain, "spec": {**default["spec"], "price": price}})
    yield namespace
    bed.kubectl("delete", "computeprofile", namespace, "--wait=false", check=False)


def _bot(namespace: str, uri: str, budget: float) -> dict[str, Any]:
    cost = {"monthlyBudget": f"{budget:.2f}", "currency": "EUR", "onExceeded": "Refuse"}
    latency = {"timeToFirstTokenMilliseconds": 5000}
    return model(
        "bot", namespace, uri,
        compute={"profileRef": {"name": namespace}, "resources": {"requests": {"cpu": f"{CORES * 1000:.0f}m"}}},
        scaling={"mode": "Objective", "maxReplicas": 1, "objectives": {"latency": latency, "cost": cost}},
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("priced")
def test_nothing_is_overdrawn_and_more_money_opens_it(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.apply(_bot(namespace, weights["first"], BUDGET))
    bed.ready("bot", namespace)
    began = time.monotonic()
    with bed.load("bot", namespace) as load:
        bed.until(lambda: load.answered > 10, what="callers are answered")
        bed.until(lambda: load.failures, UP_SECONDS, "the budget is used up")
        answered_for = time.monotonic() - began
        bed.until(lambda: not bed.items("pods", namespace), 120, "its pod is gone")
        spent = HOURLY * (time.monotonic() - began) / 3600
        answered = load.answered
        time.sleep(5)
    assert load.answered == answered, "an answer after the last pod"
    assert all(" 429 " in said and "is used up" in said for said in load.failures), load.failures[:5]
    assert [ask(bed, a, namespace) for a in bed.gateway_pods()] == ["429 budget_exhausted"] * 2
    assert spent < BUDGET, f"{spent:.3f} of {BUDGET} EUR"
    met, ready = (bed.condition("bot", namespace, kind) for kind in ("CostObjectiveMet", "Ready"))
    assert (met["reason"], ready["reason"]) == ("BudgetExhausted", "BudgetExhausted")
    print(f"\n{answered} answers in {answered_for:.0f} s, {len(load.failures)} refused; about {spent:.3f} EUR by the "
          f"clock from Ready to the last pod's end: {met['message']}")  # fmt: skip

    bed.apply(_bot(namespace, weights["first"], 1000 * BUDGET))
    with bed.load("bot", namespace) as more:
        bed.until(lambda: more.answered > 10, what="more money opens it")
