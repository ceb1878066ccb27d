"""The chart's rights are enough, cluster-wide and for one namespace: not one 403 over a whole life of a model."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Spawn, apply, eventually, kubectl
from tests.apiserver.objects import model, stands
from tests.apiserver.rights import chart_rights

from smallmodel_operator.cluster.client import Client

REFUSED = ("Forbidden", "forbidden", " 403")


@pytest.mark.parametrize("clusterwide", [False, True])
async def test_the_charts_rights_are_enough(
    api: Client,
    plane: ControlPlane,
    namespace: str,
    spawn: Spawn,
    audit: Callable[[str], list[dict[str, Any]]],
    clusterwide: bool,
) -> None:
    extra = {}
    if clusterwide:
        rights = {"apiVersion": "v1", "kind": "List", "items": chart_rights(namespace, clusterwide=True)}
        (plane.folder / "rights.json").write_text(json.dumps(rights))
        await kubectl(plane, "apply", "--server-side", "--force-conflicts", "-f", str(plane.folder / "rights.json"))
        await kubectl(plane, "delete", "role,rolebinding", "smallmodel-operator-models", "-n", namespace)
        extra = {"SLM_WATCH_NAMESPACES": ""}
    process = await spawn("a", **extra)
    await apply(api, model(namespace, replicas=2), model(namespace, "inspected", memory=None))

    async def serving() -> None:
        stands(await api.get("SmallModel", "bot", namespace), Ready="Serving")
        stands(await api.get("SmallModel", "inspected", namespace), Ready="Serving")

    await eventually(serving, timeout=60)
    await apply(api, model(namespace, replicas=1))  # prunes

    async def pruned() -> None:
        assert await api.get("PodDisruptionBudget", "bot", namespace) is None

    await eventually(pruned)
    await kubectl(plane, "delete", "smallmodel", "--all", "-n", namespace, "--timeout=20s")
    writes = audit(process.user)
    kinds = {e["objectRef"]["resource"] for e in writes}
    assert kinds >= {
        "deployments",
        "services",
        "networkpolicies",
        "poddisruptionbudgets",
        "jobs",
        "events",
        "smallmodels",
    }
    assert [e for e in writes if e["responseStatus"]["code"] == 403] == []
    told = [line for line in process.log.read_text().splitlines() if any(word in line for word in REFUSED)]
    assert told == [], "reads were refused"
