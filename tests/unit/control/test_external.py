"""Mode External: whose number counts, and what is kept until somebody speaks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import objects
from tests.unit.control.test_objective import live, replicas, snapshot

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.external import decide, look
from smallmodel_operator.control import concerns, objective, verdict
from smallmodel_operator.core.external import External, Seen, external
from smallmodel_operator.resolve import Resolved, Site, parse, resolve

SCALING = {"mode": "External"}


GIT = {"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def body(replicas: int = 1, *managers: dict[str, Any]) -> dict[str, Any]:
    made = objects.model(scaling=SCALING, replicas=replicas)
    made["metadata"]["managedFields"] = [*managers]
    return made


def resolved(made: dict[str, Any]) -> Resolved:
    return resolve(made, parse(made), objects.profile(), Site())


class Model:
    """Passes of one model: what each writes is what the next one sees."""

    def __init__(self, runs: int | None) -> None:
        self.runs, self.status = runs, dict[str, Any]()

    def step(self, made: dict[str, Any]) -> Report:
        seen = snapshot(children=live(self.runs, self.runs) if self.runs is not None else {},
                        previous_status=self.status)  # fmt: skip
        of = resolved(made)
        decision = concerns.decide(of, seen)
        assert decision.hold is None
        request, _ = verdict.wanted(made)
        assert request.external == of.external
        self.runs, self.status = replicas(decision), {"scaling": decision.plan.status["scaling"]}
        (report,) = objective.part(of, False, seen).reports
        assert report.condition is Condition.SCALING_ACTIVE
        return report


def test_who_sets_the_field_is_read_from_the_object() -> None:
    """Of a write through the scale subresource of a custom resource nothing stands there."""
    assert external(objects.model()) is None
    assert external(body(3)) == External(False)
    assert external(body(3, {"manager": "x", "fieldsV1": {"f:status": {"f:replicas": {}}}}, GIT)) == External(True)


@pytest.mark.parametrize("before", [{}, {"scaling": {"desired": 5}}], ids=["no status", "from Objective"])
def test_what_runs_is_kept_until_somebody_writes(before: dict[str, Any]) -> None:
    """From five to the default of 1 that is left when Git leaves the field out."""
    model = Model(5)
    model.status = before
    for _ in range(3):
        report = model.step(body(1))
        assert (model.runs, report.status, report.reason) == (5, None, Reason.EXTERNAL_SCALER_SILENT)
    assert "kubectl -n support scale smallmodel bot --replicas=5" in report.message
    for wish in (2, 5, 1):
        report = model.step(body(wish))
        assert (model.runs, report.status, report.reason) == (wish, True, Reason.EXTERNAL_SCALER)


@pytest.mark.parametrize("scaled", [3, 6], ids=["never scaled", "scaled meanwhile"])
def test_git_that_takes_its_number_out_later_moves_nothing(scaled: int) -> None:
    model = Model(3)
    model.step(body(3, GIT))
    model.step(body(scaled, GIT))
    assert model.runs == scaled
    for _ in range(2):
        assert model.step(body(1)).reason is Reason.EXTERNAL_SCALER_SILENT
        assert model.runs == scaled
    model.step(body(2))
    assert model.runs == 2


def test_a_new_model_and_one_that_slept_begin_with_what_is_written() -> None:
    for runs in (None, 0):
        model = Model(runs)
        for _ in range(2):
            assert model.step(body(4)).reason is Reason.EXTERNAL_SCALER
            assert model.runs == 4


def test_zero_is_zero_and_one_starts_it_again() -> None:
    model = Model(2)
    for wish in (2, 0, 1):
        model.step(body(wish))
        assert model.runs == wish


def test_back_to_an_objective_what_runs_is_kept() -> None:
    model = Model(5)
    model.step(body(5))
    asked = {"mode": "Objective", "maxReplicas": 8, "objectives": {"latency": {"timeToFirstTokenMilliseconds": 500}}}
    seen = snapshot(children=live(5, 5), previous_status=model.status)
    back = concerns.decide(resolved(objects.model(scaling=asked)), seen)
    assert replicas(back) == 5
    assert "external" not in back.plan.status["scaling"]
    manual = concerns.decide(resolved(objects.model(replicas=5)), seen)
    assert (replicas(manual), "external" in manual.plan.status["scaling"]) == (5, False)


def test_at_zero_the_gateways_are_said_to_hold() -> None:
    made = body(0)
    seen = snapshot(children=live(0, 0))
    said = {c["type"]: c for c in verdict.judge(made, seen, verdict.Plan.of(()), None).status["conditions"]}
    assert said["Routable"]["message"].startswith("At 0 in mode External: the gateways hold requests")
    off = verdict.judge({**made, "spec": {**made["spec"], "suspend": True}}, seen, verdict.Plan.of(()), None)
    assert "503 at once" in {c["type"]: c for c in off.status["conditions"]}["Routable"]["message"]


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=8), st.integers(1, 9))
def test_nothing_moves_but_to_a_number_that_was_written(passes: list[tuple[int, bool]], runs: int) -> None:
    seen: Seen | None = None
    for wish, owned in passes:
        before, kept = seen, runs
        seen = look(wish, External(owned), before)
        runs = decide(seen, runs).replicas
        assert runs in (kept, wish)
        if before is None or (wish == before.replicas and not before.written):
            assert runs == kept
