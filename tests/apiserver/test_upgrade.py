"""A newer operator with a newer template builder restarts no pod; the user's next change moves to the new builder."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import model, stands

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.types import ServingRequest

NOW, NEXT = revisions.LATEST, revisions.LATEST + 1


def newer(request: ServingRequest) -> dict[str, Any]:
    """What a later release might do: another grace period."""
    made = revisions.REVISIONS[NOW](request)
    made["metadata"]["annotations"][revisions.ANNOTATION_REVISION] = str(NEXT)
    made["spec"]["terminationGracePeriodSeconds"] += 1
    return made


async def _live(api: Client, namespace: str, name: str) -> tuple[int, Mapping[str, Any]]:
    live = await api.get("Deployment", name, namespace)
    assert live is not None
    return live["metadata"]["generation"], live["spec"]["template"]


async def _serving(api: Client, namespace: str, name: str, revision: int) -> None:
    async def check() -> None:
        seen = stands(await api.get("SmallModel", name, namespace), Ready="Serving", Reconciling="Settled")
        assert seen["status"]["engineRevision"] == revision

    await eventually(check)


async def test_an_upgrade_restarts_no_pod(
    api: Client, namespace: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with operator("old"):
        await apply(api, model(namespace, "kept"), model(namespace, "changed"))
        for name in ("kept", "changed"):
            await _serving(api, namespace, name, NOW)
    before = {name: await _live(api, namespace, name) for name in ("kept", "changed")}
    pods = {p["metadata"]["uid"] for p in await api.list("Pod", namespace, labelSelector="smallmodel.dev/role=server")}

    monkeypatch.setattr(revisions, "REVISIONS", {**revisions.REVISIONS, NEXT: newer})
    monkeypatch.setattr(revisions, "LATEST", NEXT)
    async with operator("new") as running:
        await apply(api, model(namespace, "fresh"))
        await _serving(api, namespace, "fresh", NEXT)  # by now it has looked at the others too
        assert running.client.writes > 0
        assert {name: await _live(api, namespace, name) for name in ("kept", "changed")} == before
        await apply(api, model(namespace, "kept", replicas=2))  # a count is no reason to restart pods
        await _serving(api, namespace, "kept", NOW)
        assert (await _live(api, namespace, "kept"))[1] == before["kept"][1]
        seen = await api.list("Pod", namespace, labelSelector="smallmodel.dev/role=server")
        assert pods <= {p["metadata"]["uid"] for p in seen}, "no pod was restarted"

        await apply(api, model(namespace, "changed", engine={"contextSize": 2048}))
        await _serving(api, namespace, "changed", NEXT)
        generation, template = await _live(api, namespace, "changed")
    assert generation > before["changed"][0]
    assert (
        template["spec"]["terminationGracePeriodSeconds"]
        == before["changed"][1]["spec"]["terminationGracePeriodSeconds"] + 1
    )
