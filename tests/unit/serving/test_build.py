"""The objects of a served model."""

import pytest
from tests.fakes.objects import request

from smallmodel_operator.api.names import ANNOTATION_INPUTS, ANNOTATION_REVISION
from smallmodel_operator.serving import build, decide, revisions


def test_the_deployment_adds_a_pod_before_it_takes_one() -> None:
    spec = build.deployment(request(replicas=3), None)["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_the_selector_is_two_immutable_labels_the_template_carries() -> None:
    spec = build.deployment(request(), None)["spec"]
    chosen = spec["selector"]["matchLabels"]
    assert chosen == {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "server"}
    assert chosen.items() <= spec["template"]["metadata"]["labels"].items()
    assert build.deployment(request(artifact="other", replicas=2), None)["spec"]["selector"] == spec["selector"]


def test_inputs_and_revision_are_recorded_outside_the_template() -> None:
    made = build.deployment(request(), None)
    notes = made["metadata"]["annotations"]
    assert notes[ANNOTATION_INPUTS] == revisions.inputs(request())
    assert notes[ANNOTATION_REVISION] == str(revisions.LATEST)
    assert ANNOTATION_INPUTS not in made["spec"]["template"]["metadata"]["annotations"]


def test_the_startup_deadline_is_longer_than_the_startup_probe() -> None:
    spec = build.deployment(request(), None)["spec"]
    probe = spec["template"]["spec"]["containers"][0]["startupProbe"]
    assert spec["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


def test_service_selects_the_pods_and_listens_on_80() -> None:
    spec = build.service("bot", "support")["spec"]
    assert spec["selector"] == {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "server"}
    assert spec["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]


@pytest.mark.parametrize(
    ("replicas", "kinds"),
    [
        (0, ["Deployment", "Service"]),
        (1, ["Deployment", "Service"]),
        (2, ["Deployment", "Service", "PodDisruptionBudget"]),
    ],
)
def test_a_disruption_budget_only_where_more_than_one_pod_runs(replicas: int, kinds: list[str]) -> None:
    assert [o["kind"] for o in decide.objects(request(replicas=replicas), None)] == kinds


def test_one_pod_at_a_time_may_be_evicted_and_broken_ones_always() -> None:
    spec = build.disruption_budget("bot", "support")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
