"""The objects of a served model."""

import pytest
from tests.fakes.objects import NOW, request

from smallmodel_operator.api.names import ANNOTATION_INPUTS, ANNOTATION_REVISION
from smallmodel_operator.core.facts import Snapshot
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


def test_the_address_is_the_gateways_and_the_gateway_finds_the_pods() -> None:
    address, pods = build.addresses("bot", "support", "smallmodel-gateway.sys.svc.cluster.local")
    assert address["spec"] == {"type": "ExternalName", "externalName": "smallmodel-gateway.sys.svc.cluster.local"}
    assert pods["spec"]["clusterIP"] == "None"
    assert pods["spec"]["selector"] == {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "server"}
    assert pods["spec"]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP", "targetPort": "http"}]


@pytest.mark.parametrize(
    ("replicas", "awake", "kinds"),
    [
        (0, 0, ["Deployment", "Service", "Service"]),
        (1, 1, ["Deployment", "Service", "Service"]),
        (2, 2, ["Deployment", "Service", "Service", "PodDisruptionBudget"]),
        (0, 2, ["Deployment", "Service", "Service", "PodDisruptionBudget"]),
    ],
)
def test_a_disruption_budget_only_where_more_than_one_pod_runs(replicas: int, awake: int, kinds: list[str]) -> None:
    part = decide.objects(request(replicas=replicas), None, Snapshot(now=NOW), gateway="g", awake=awake)
    assert [o["kind"] for o in part.objects] == kinds


def test_one_pod_at_a_time_may_be_evicted_and_broken_ones_always() -> None:
    spec = build.disruption_budget("bot", "support")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
