"""What a status says of the network, and until when it counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.canary import Finding
from smallmodel_operator.boundary.enforcement import PENDING, Enforcement, Run, after
from smallmodel_operator.boundary.said import STALE, UNKNOWN, Said

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEN = timedelta(minutes=10)


def declared(known: Enforcement, since: datetime = NOON) -> dict[str, Any]:
    """As the operator writes it."""
    report = known.report()
    condition = {
        "type": report.condition.value,
        "status": {True: "True", False: "False", None: "Unknown"}[report.status],
        "reason": report.reason.value,
        "message": report.message,
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {"status": {"conditions": [condition], "canary": known.canary(TEN)}}


def found(status: bool | None, *through: str) -> Finding:
    reason = {True: Reason.POLICIES_ENFORCED, False: Reason.POLICIES_NOT_ENFORCED, None: Reason.PROBE_FAILED}[status]
    return Finding(status, reason, "words", through)


def test_what_the_operator_writes_is_read() -> None:
    said = Said.of(declared(after(PENDING, Run(found(False, "a reached b"), "n", NOON), TEN), NOON - TEN))
    assert said is not None
    assert (said.status, said.reason, said.through) == ("False", "PoliciesNotEnforced", ("a reached b",))
    assert (said.since, said.probed) == (NOON - TEN, NOON)
    assert said.holds == NOON + timedelta(minutes=90), "an hour until it is written again, and three runs"


def test_a_run_that_failed_shows_nothing_though_the_proof_before_it_counts() -> None:
    known = after(PENDING, Run(found(True), "n", NOON), TEN)
    known = after(known, Run(found(None), "", NOON + TEN), TEN)
    said = Said.of(declared(known))
    assert said is not None
    assert (said.status, said.probed) == ("True", NOON)
    assert said.holds == NOON + TEN + timedelta(minutes=90)


@pytest.mark.parametrize("status", [True, False])
def test_it_counts_until_its_time_is_over(status: bool) -> None:
    said = Said.of(declared(after(PENDING, Run(found(status), "n", NOON), TEN)))
    assert said is not None
    assert said.holds is not None
    assert said.at(said.holds) is said
    late = said.at(said.holds + timedelta(seconds=1))
    assert (late.status, late.reason, late.since, late.probed) == (UNKNOWN, STALE, NOON, NOON)
    assert "2026-11-21T12:00:00Z" in late.message


def test_unknown_stays_unknown_and_pending_has_no_time() -> None:
    said = Said.of(declared(PENDING))
    assert said is not None
    assert said.at(NOON + timedelta(days=9)) is said
    assert (said.status, said.reason, said.probed) == (UNKNOWN, "ProbePending", None)


def test_a_true_that_says_no_time_does_not_count() -> None:
    """An operator of an older version wrote it, or somebody else."""
    status = {"conditions": [{"type": "BoundaryEnforced", "status": "True", "reason": "PoliciesEnforced"}]}
    said = Said.of({"status": status})
    assert said is not None
    assert said.at(NOON).status == UNKNOWN


@pytest.mark.parametrize(
    "status",
    [{}, {"conditions": []}, {"conditions": [{"type": "BoundaryEnforced"}]}, {"conditions": [7]}, 7, None]
)  # fmt: skip
def test_what_cannot_be_read_says_nothing(status: Any) -> None:
    assert Said.of({"status": status}) is None


@pytest.mark.parametrize("canary", [7, {"lastProbeTime": "noon"}, {"gotThrough": 7}])
def test_a_canary_that_cannot_be_read_says_nothing(canary: Any) -> None:
    whole = declared(after(PENDING, Run(found(True), "n", NOON), TEN))
    whole["status"]["canary"] = canary
    assert Said.of(whole) is None
