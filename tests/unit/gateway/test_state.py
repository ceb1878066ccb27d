"""What a gateway reads out of a SmallModel."""

from typing import Any

import pytest

from smallmodel_operator.gateway.state import LONGEST_REASON, Model


def body(generation: int = 2, observed: int = 2, ready: int = 0, stalled: str = "True") -> dict[str, Any]:
    condition = {"type": "Stalled", "status": stalled, "reason": "NotGguf", "message": "The file is not GGUF."}
    return {
        "metadata": {"namespace": "support", "name": "bot", "uid": "u", "generation": generation},
        "spec": {},
        "status": {"observedGeneration": observed, "readyReplicas": ready, "conditions": [condition]},
    }


def test_a_model_that_cannot_start_says_why() -> None:
    assert Model.of(body()).stalled == "NotGguf: The file is not GGUF."


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(body(stalled="False"), id="settled"),
        pytest.param(body(generation=3), id="edited since: nobody knows yet"),
        pytest.param(body(ready=1), id="the version before still answers"),
        pytest.param({**body(), "status": {}}, id="new"),
    ],
)
def test_one_that_can_or_may_is_held_for(other: dict[str, Any]) -> None:
    assert Model.of(other).stalled == ""


def test_the_reason_is_bounded() -> None:
    long = body()
    long["status"]["conditions"][0]["message"] = "x" * 10_000
    assert len(Model.of(long).stalled) == LONGEST_REASON


def test_what_a_wake_usually_takes_comes_from_the_status() -> None:
    """So that a gateway that was just started says something better than a default."""
    known = body()
    known["status"]["scaling"] = {"desired": 0, "coldStart": {"totalMilliseconds": 1360}}
    assert Model.of(known).cold_start == 1.36
    assert Model.of(body()).cold_start == 0.0
