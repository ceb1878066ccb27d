"""What is made anew is made only where nothing is: the precondition every supported API server has to understand."""

from typing import Any

import pytest
from tests.apiserver.objects import ENGINE

from smallmodel_operator.cluster.apply import MUST_NOT_EXIST
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.kinds import CHILD_KINDS, KINDS

LABELS = {"app": "mine"}


def minimal(kind: str, namespace: str) -> dict[str, Any]:
    pod = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "app", "image": ENGINE}]}}
    specs: dict[str, dict[str, Any]] = {
        "Deployment": {"replicas": 0, "selector": {"matchLabels": LABELS}, "template": pod},
        "Service": {"type": "ExternalName", "externalName": "mine.test"},
        "PodDisruptionBudget": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
        "NetworkPolicy": {"podSelector": {"matchLabels": LABELS}, "policyTypes": ["Ingress"]},
        "Job": {"suspend": True, "template": {"spec": {**pod["spec"], "restartPolicy": "Never"}}},
    }
    meta = {"name": "mine", "namespace": namespace}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, "spec": specs[kind]}


@pytest.mark.both_minors
@pytest.mark.parametrize("kind", CHILD_KINDS)
async def test_the_precondition_creates_and_never_takes_over(api: Client, namespace: str, kind: str) -> None:
    wanted = minimal(kind, namespace)
    guarded = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": MUST_NOT_EXIST}}
    made = await api.apply(guarded, force=False)
    assert made["metadata"]["uid"]
    (entry,) = made["metadata"]["managedFields"]
    assert entry["operation"] == "Apply", "fields that leave the plan later leave the object"
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    owned = {**guarded, "metadata": {**guarded["metadata"], "ownerReferences": [owner]}}
    with pytest.raises(ApiError) as caught:  # otherwise it says the same, so that no field is in conflict
        await api.apply(owned, force=False)
    assert caught.value.status == 409
    live = await api.get(kind, "mine", namespace)
    assert live is not None
    assert live["spec"] == made["spec"]
    assert "ownerReferences" not in live["metadata"]
