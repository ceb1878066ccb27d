"""What stops inference, who wrote it, and the commands that undo it."""

from typing import Any

import pytest

from smallmodel_operator.boundary.stops import Stop, over, refused, stops

SPEC = {
    "inference": "Stopped",
    "reason": "ticket 7, j.doe",
    "namespaces": [{"name": "crm", "inference": "Stopped"}, {"name": "hr", "inference": "Allowed", "reason": "old"}],
}
MANAGED = [
    {"manager": "argocd", "fieldsV1": {"f:spec": {"f:external": {}}}},
    {"manager": "slm", "fieldsV1": {"f:spec": {"f:inference": {}}}},
    {
        "manager": "kubectl-edit",
        "fieldsV1": {"f:spec": {"f:namespaces": {'k:{"name":"crm"}': {".": {}, "f:inference": {}, "f:name": {}}}}},
    },
    {"manager": "smallmodel-gateway-0", "subresource": "status"},
]


def test_each_stop_is_found_with_who_wrote_it() -> None:
    assert stops({"metadata": {"managedFields": MANAGED}, "spec": SPEC}) == [
        Stop("", "ticket 7, j.doe", "slm"),
        Stop("crm", "", "kubectl-edit"),
    ]
    assert stops({"spec": SPEC}) == [Stop("", "ticket 7, j.doe"), Stop("crm")], "the API server may leave it out"


@pytest.mark.parametrize("body", [{}, {"spec": {}}, {"spec": {"inference": "Allowed", "namespaces": []}}])
def test_nothing_stops(body: dict[str, Any]) -> None:
    assert stops(body) == []
    assert refused([]) == ""


def test_a_namespace_is_stopped_by_its_own_entry_and_by_the_cluster() -> None:
    found = [Stop(""), Stop("crm")]
    assert over(found, "crm") == found
    assert over(found, "hr") == [Stop("")]
    assert over([Stop("crm")], "hr") == []


def test_the_sentence_names_every_undo() -> None:
    assert refused([Stop("", "leak", "slm"), Stop("crm")]) == (
        "inference is stopped in the whole cluster (leak, by slm) and in namespace crm (no "
        "reason was given): the gateways answer 503; `slm boundary unseal --all` and `slm boundary unseal --namespace "
        "crm` together allow it again"
    )
