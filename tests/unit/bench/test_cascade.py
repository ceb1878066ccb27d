"""The benchmark of a cascade on few questions: two real llama-servers, Envoy, and what judges answers."""

import pytest
from hack.bench.routing.cascade import measured

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_what_the_small_model_doubts_the_large_one_mends() -> None:
    found = measured(20, 7)
    said = found["over_the_gateway"]
    assert said["small"]["accuracy"] < said["20%"]["accuracy"] <= said["large"]["accuracy"] + 0.02
    assert 0 < said["10%"]["escalated_share"] < said["20%"]["escalated_share"] < 0.5
    assert found["offline"]["confidence"]["measures"][found["measure"]]["ranking"] > 0.6
    assert found["offline"]["confidence"]["weak_accuracy"] == pytest.approx(said["small"]["accuracy"], abs=0.02)
