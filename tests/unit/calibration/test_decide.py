"""What was measured is kept while it is true, and measured again when it is not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import objects

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.calibration.decide import CalibrationRequest, capacity, decide, text, useful
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.plan import Part
from smallmodel_operator.core.traffic import ColdStart, GatewayReport, Traffic
from smallmodel_operator.core.trial import Failure, Figures

REQUEST = CalibrationRequest("bot", "v1", slots=4, context=2048, settled=True)
FIGURES = Figures(prefill=1234.5, decode=((1, 10.04), (2, 19.0), (3, 19.6), (4, 19.5)), first_token=0.0414)
KEY = "calibration/v1"


def pod(**meta: Any) -> dict[str, Any]:
    made = objects.ready()
    made["metadata"] |= {"creationTimestamp": objects.ago(30), **meta}
    made["status"]["podIP"] = "10.0.0.7"
    made["status"]["conditions"][0]["lastTransitionTime"] = objects.ago(18)
    return made


def world(**more: Any) -> Snapshot:
    return Snapshot(now=objects.NOW, pods=(pod(),), **more)


def known(part: Part) -> dict[str, Any]:
    return dict(part.status["capacity"])


def test_the_first_pod_that_answers_is_measured() -> None:
    part = decide(REQUEST, world())
    (trial,) = part.trials
    assert (trial.key, trial.address, trial.slots, trial.context, trial.golden) == (KEY, "10.0.0.7", 4, 2048, None)
    assert part.reports == ()
    assert part.status == {}


@pytest.mark.parametrize(
    ("request_", "snapshot"),
    [
        (replace(REQUEST, settled=False), world()),
        (REQUEST, Snapshot(now=objects.NOW, pods=(objects.pod(),))),
        (REQUEST, Snapshot(now=objects.NOW, pods=(pod(deletionTimestamp=objects.ago(1)),))),
        (REQUEST, Snapshot(now=objects.NOW)),
    ],
)
def test_nothing_is_measured_while_replicas_are_not_what_is_wanted(
    request_: CalibrationRequest, snapshot: Snapshot
) -> None:
    assert decide(request_, snapshot).trials == ()


def test_callers_come_first() -> None:
    busy = Traffic((GatewayReport("g", 0.1, True, in_flight=1),))
    part = decide(REQUEST, world(traffic=busy))
    assert part.trials == ()
    assert part.look_again_seconds


def test_what_was_measured_is_said_and_kept() -> None:
    part = decide(REQUEST, world(trials={KEY: FIGURES}))
    assert part.trials == ()
    assert known(part) == {
        "version": "v1",
        "prefillTokensPerSecond": "1234",
        "decodeTokensPerSecond": [
            {"concurrency": 1, "tokensPerSecond": "10.0"},
            {"concurrency": 2, "tokensPerSecond": "19.0"},
            {"concurrency": 3, "tokensPerSecond": "19.6"},
            {"concurrency": 4, "tokensPerSecond": "19.5"},
        ],
        "timeToFirstTokenMilliseconds": 41,
        "usefulConcurrency": 2,
        "coldStartSeconds": 12,
    }
    (report,) = part.reports
    assert (report.condition, report.status, report.reason) == (Condition.CALIBRATED, True, Reason.MEASURED)
    again = decide(REQUEST, world(previous_status={"capacity": known(part)}))
    assert again == part, "a restarted operator measures nothing again"


def test_what_is_too_short_to_measure_is_said_instead_of_a_figure() -> None:
    part = decide(REQUEST, world(trials={KEY: replace(FIGURES, decode=())}))
    assert known(part)["decodeTokensPerSecond"] == []
    assert "usefulConcurrency" not in known(part)
    (report,) = part.reports
    assert (report.status, report.reason) == (True, Reason.MEASURED)
    assert "1234 tokens a second" in report.message
    assert "too short to measure" in report.message
    kept = {k: v for k, v in known(part).items() if v != []}
    assert decide(REQUEST, world(previous_status={"capacity": kept})).reports == part.reports, "an empty list may go"


def test_a_cold_start_that_gateways_saw_counts_for_more_than_a_pods_times() -> None:
    seen = Traffic((GatewayReport("g", 0.1, True, cold_starts=(ColdStart(1.0, 2.0, 3.6),)),))
    assert known(decide(REQUEST, world(traffic=seen, trials={KEY: FIGURES})))["coldStartSeconds"] == 7


def test_another_version_is_measured_again_and_meanwhile_said_to_be() -> None:
    old = capacity("v0", FIGURES, 3)
    part = decide(REQUEST, world(previous_status={"capacity": old}))
    assert len(part.trials) == 1
    (report,) = part.reports
    assert (report.status, report.reason) == (False, Reason.CALIBRATION_PENDING)
    assert part.status == {}, "what stands there is of the version before, and stays until there is better"


def test_a_pod_that_cannot_be_measured_is_told_after_a_while_only() -> None:
    early = decide(REQUEST, world(trials={KEY: Failure(5, "http://10.0.0.7:8080 does not answer.")}))
    assert early.reports == ()
    late = decide(REQUEST, world(trials={KEY: Failure(6, "http://10.0.0.7:8080 does not answer.")}))
    (report,) = late.reports
    assert (report.status, report.reason) == (False, Reason.CALIBRATION_FAILED)
    assert "does not answer" in report.message
    assert late.trials == early.trials != (), "it is tried again"


@given(st.dictionaries(st.integers(1, 64), st.floats(0.1, 1e5), min_size=1, max_size=12))
def test_useful_is_the_least_that_comes_near_the_best(points: dict[int, float]) -> None:
    found, best = useful(points.items()), max(points.values())
    assert points[found] >= 0.95 * best
    assert all(speed < 0.95 * best for at_once, speed in points.items() if at_once < found)


@given(st.floats(0.01, 1e6))
def test_a_speed_keeps_two_digits_that_count(value: float) -> None:
    assert abs(float(text(value)) - value) <= 0.00501 * max(1.0, value)
