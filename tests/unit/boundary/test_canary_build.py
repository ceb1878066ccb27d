"""The canary's pods measure what models live under: the same policy, the labels it admits, and some it does not."""

from typing import Any

import pytest
from hack.cluster.netpol_rules import matches
from kubernetes_validate import validate
from tests.golden.pod_security import violations

from smallmodel_operator.api.names import CANARY_MODEL, ENGINE_PORT, LABEL_CANARY
from smallmodel_operator.boundary import build, canary_build
from smallmodel_operator.boundary.canary_build import CanaryRequest, Role, job, pod_labels, policies
from smallmodel_operator.boundary.nodes import CORDONED
from smallmodel_operator.boundary.table import CANARIES, ROWS

OWNER = {"metadata": {"name": "smallmodel-operator", "uid": "uid-1"}}
SPACE = {"kubernetes.io/metadata.name": "smallmodel-system"}


def request(**template: Any) -> CanaryRequest:
    return CanaryRequest("smallmodel-system", "registry/op@sha256:1", "a1b2c3d4", OWNER, template)


def _admitted(marks: dict[str, str]) -> bool:
    """By the policy of the model's pod, from within the operator's namespace."""
    rules = build.pods_policy(CANARY_MODEL, "smallmodel-system", "smallmodel-system")["spec"]["ingress"]
    return any(
        matches(p.get("namespaceSelector", {}), SPACE) and matches(p.get("podSelector", {}), marks)
        for rule in rules
        for p in rule["from"]
    )


def _selected(policy: dict[str, Any], role: Role) -> bool:
    return matches(policy["spec"]["podSelector"], pod_labels(role, "a1b2c3d4"))


def test_the_models_pod_is_under_the_policy_every_model_has_and_no_other() -> None:
    theirs, ours = policies("smallmodel-system", OWNER)
    assert theirs["spec"] == build.pods_policy(CANARY_MODEL, "smallmodel-system", "smallmodel-system")["spec"]
    assert theirs["spec"]["egress"] == []
    assert _selected(theirs, Role.MODEL)
    assert not _selected(ours, Role.MODEL), "a second policy would open what the first closes"


def test_a_models_policy_admits_the_caller_and_not_the_stranger() -> None:
    assert _admitted(pod_labels(Role.CALLER, "a1b2c3d4"))
    assert not _admitted(pod_labels(Role.STRANGER, "a1b2c3d4"))


@pytest.mark.parametrize("role", [Role.CALLER, Role.STRANGER])
def test_the_others_may_do_what_they_are_to_prove_possible(role: Role) -> None:
    theirs, ours = policies("smallmodel-system", OWNER)
    assert not _selected(theirs, role)
    assert _selected(ours, role)
    pods = ours["spec"]["egress"][0]
    assert matches(pods["to"][0]["podSelector"], pod_labels(Role.MODEL, "x")), "so that only the model's policy is met"
    assert pods["ports"] == [{"protocol": "TCP", "port": ENGINE_PORT}]
    ports = {(p["protocol"], p["port"]) for rule in ours["spec"]["egress"] for p in rule["ports"]}
    assert {("UDP", 53), ("TCP", 443), ("TCP", 6443), ("TCP", 10250), ("TCP", 80)} < ports
    assert len(ours["spec"]["egress"]) == len([row for row in ROWS if row.who is CANARIES]), "what the table says"
    [inside] = ours["spec"]["ingress"]
    for whom in Role:
        assert matches(inside["from"][0]["podSelector"], pod_labels(whom, "x"))


def test_no_pod_is_a_real_models_or_the_operators() -> None:
    """A name with a dot is no model's; Services, policies and controllers of the chart select by the release too."""
    assert "." in CANARY_MODEL
    for role in (Role.CALLER, Role.STRANGER):
        assert "app.kubernetes.io/instance" not in pod_labels(role, "x")


@pytest.mark.parametrize("role", list(Role))
def test_a_job_ends_by_itself_and_has_no_token(role: Role) -> None:
    made = job(role, request(), ["canary", "listen"])
    validate(made, "1.36", strict=True)
    spec, pod = made["spec"], made["spec"]["template"]["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] == canary_build.LIFE_SECONDS
    assert spec["ttlSecondsAfterFinished"]
    assert pod["automountServiceAccountToken"] is False
    assert violations(pod) == [], "Pod Security restricted"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert made["metadata"]["labels"][LABEL_CANARY] == "a1b2c3d4"
    assert spec["template"]["metadata"]["labels"][LABEL_CANARY] == "a1b2c3d4"
    assert len(made["metadata"]["name"]) <= 52, "the pod's name is this and 11 characters"


def test_policies_are_valid() -> None:
    for policy in policies("smallmodel-system", OWNER):
        validate(policy, "1.36", strict=True)


def test_pull_secrets_and_tolerations_are_the_operators_and_its_nodes_are_not() -> None:
    template = {
        "imagePullSecrets": [{"name": "reg"}],
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"a": "b"},
    }
    pod = job(Role.MODEL, request(**template), [])["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "reg"}]
    assert pod["tolerations"] == [{"operator": "Exists"}, CORDONED]
    assert "nodeSelector" not in pod


def test_the_models_pod_may_go_where_any_model_may() -> None:
    """Models on tainted nodes are what is to be proved; the operator need not be able to run there."""
    own, gpu = {"key": "infra", "operator": "Exists"}, {"key": "gpu", "value": "a", "effect": "NoSchedule"}
    ask = CanaryRequest("s", "i", "r", OWNER, {"tolerations": [own]}, tolerations=(gpu, own, gpu))
    made = job(Role.MODEL, ask, [])
    validate(made, "1.36", strict=True)
    assert made["spec"]["template"]["spec"]["tolerations"] == [own, gpu, CORDONED]
    for role in (Role.CALLER, Role.STRANGER):
        assert job(role, ask, [])["spec"]["template"]["spec"]["tolerations"] == [own]


def test_the_models_pod_goes_where_it_was_not_yet() -> None:
    wish = (("NotIn", ("n1", "n2")), ("In", ("n1",)), ("In", ("n2",)))
    ask = CanaryRequest("s", "i", "r", OWNER, {}, wish)
    made = job(Role.MODEL, ask, [])
    validate(made, "1.36", strict=True)
    terms = made["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    [first, second, third] = terms["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [f["values"] for f in first["preference"]["matchFields"]] == [["n1"], ["n2"]]
    assert first["weight"] > second["weight"] > third["weight"]
    assert "affinity" not in job(Role.CALLER, ask, [])["spec"]["template"]["spec"]


@pytest.mark.parametrize("role", [Role.CALLER, Role.STRANGER])
def test_the_others_go_where_pods_of_the_canary_start(role: Role) -> None:
    made = job(role, CanaryRequest("s", "i", "r", OWNER, {}, avoid=("arm-1", "arm-2")), [])
    validate(made, "1.36", strict=True)
    [term] = made["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert [(f["operator"], f["values"]) for f in term["preference"]["matchFields"]] == [
        ("NotIn", ["arm-1"]), ("NotIn", ["arm-2"]),
    ]  # fmt: skip
