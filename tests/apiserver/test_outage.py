"""The API server goes away and comes back: the operator is still there and goes on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Spawn, apply, eventually
from tests.apiserver.objects import model, stands

from smallmodel_operator.cluster.client import Client


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.long)])
async def test_an_outage_of_the_api_server_is_survived(
    api: Client,
    plane: ControlPlane,
    namespace: str,
    spawn: Spawn,
    audit: Callable[[str], list[dict[str, Any]]],
    seconds: int,
) -> None:
    process = await spawn("a")
    await apply(api, model(namespace, "before"))

    async def serves(name: str) -> None:
        stands(await api.get("SmallModel", name, namespace), Ready="Serving")

    await eventually(lambda: serves("before"))
    deployment = await api.get("Deployment", "before", namespace)
    await asyncio.to_thread(plane.kill, "kube-apiserver")
    await asyncio.sleep(seconds)
    assert process.returncode is None
    await asyncio.to_thread(plane.start)
    await apply(api, model(namespace, "after"))

    async def planned() -> None:  # pods follow when the scheduler and the controllers are back too
        assert await api.get("Deployment", "after", namespace) is not None
        stands(await api.get("SmallModel", "after", namespace))

    await eventually(planned)
    assert process.returncode is None, "no restart"
    after = await api.get("Deployment", "before", namespace)
    assert after is not None
    assert deployment is not None
    assert after["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert not [e for e in audit(process.user) if e["responseStatus"]["code"] == 403]
