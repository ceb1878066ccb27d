"""An object of the same name that is not ours is never touched, and the model heals when it is gone."""

from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import ENGINE, condition, model, stands

from smallmodel_operator.api.names import LABEL_MODEL
from smallmodel_operator.cluster.client import Client


def service(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bot", "namespace": namespace},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"app": "theirs"}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "containers": [{"name": "app", "image": ENGINE, "securityContext": security}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bot", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.mark.parametrize("theirs", [service, deployment])
async def test_a_strangers_object_stays_as_it_is(api: Client, namespace: str, operator: Operator, theirs: Any) -> None:
    (before,) = await apply(api, theirs(namespace), manager="their-team")
    kind = before["kind"]
    async with operator():
        await apply(api, model(namespace))

        async def taken() -> None:
            seen = stands(await api.get("SmallModel", "bot", namespace), Ready="NameTaken", Stalled="NameTaken")
            assert f"{kind} 'bot'" in condition(seen, "Stalled")["message"]

        await eventually(taken)
        after = await api.get(kind, "bot", namespace)
        assert after is not None
        managers = [(f["manager"], f["fieldsV1"]) for f in after["metadata"]["managedFields"] if "subresource" not in f]
        assert managers == [("their-team", before["metadata"]["managedFields"][0]["fieldsV1"])]
        assert after["spec"] == before["spec"]
        for other in ("Deployment", "Service", "NetworkPolicy"):
            assert not await api.list(other, namespace, labelSelector=LABEL_MODEL), "nothing half-made"
        await api.delete(kind, "bot", namespace, after["metadata"]["uid"])

        async def serving() -> None:
            stands(await api.get("SmallModel", "bot", namespace), Ready="Serving", Stalled="Settled")

        await eventually(serving)
