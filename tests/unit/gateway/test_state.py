"""What a gateway reads out of a SmallModel."""

from typing import Any

import pytest

from smallmodel_operator.gateway.state import LONGEST_REASON, Model


def body(
    generation: int = 2, observed: int = 2, ready: int = 0, stalled: str = "True", why: str = "NotGguf"
) -> dict[str, Any]:
    condition = {"type": "Stalled", "status": stalled, "reason": "NotGguf", "message": "The file is not GGUF."}
    unready = {"type": "Ready", "status": "True" if why == "Asleep" else "False", "reason": why, "message": "."}
    return {
        "metadata": {"namespace": "support", "name": "bot", "uid": "u", "generation": generation},
        "spec": {},
        "status": {"observedGeneration": observed, "readyReplicas": ready, "conditions": [unready, condition]},
    }


def test_a_model_that_cannot_start_says_why() -> None:
    assert Model.of(body()).stalled == "NotGguf: The file is not GGUF."


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(body(stalled="False"), id="settled"),
        pytest.param(body(generation=3), id="edited since: nobody knows yet"),
        pytest.param(body(ready=1), id="the version before still answers"),
        pytest.param(body(why="Starting"), id="another key's Secret is missing: it starts all the same"),
        pytest.param(body(why="Asleep"), id="asleep: the next request wakes it all the same"),
        pytest.param({**body(), "status": {}}, id="new"),
    ],
)
def test_one_that_can_or_may_is_held_for(other: dict[str, Any]) -> None:
    assert Model.of(other).stalled == ""


def test_the_reason_is_bounded() -> None:
    long = body()
    long["status"]["conditions"][1]["message"] = "x" * 10_000
    assert len(Model.of(long).stalled) == LONGEST_REASON


def test_what_a_wake_usually_takes_comes_from_the_status() -> None:
    """So that a gateway that was just started says something better than a default."""
    known = body()
    known["status"]["scaling"] = {"desired": 0, "coldStart": {"totalMilliseconds": 1360}}
    assert Model.of(known).cold_start == 1.36
    assert Model.of(body()).cold_start == 0.0
