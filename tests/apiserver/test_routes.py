"""ModelRoutes on a real API server: what is made, what is said, and who has a name."""

import asyncio
from typing import Any

from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually, kubectl
from tests.apiserver.objects import condition, model, stands

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.kinds import KINDS

SECOND = 1.1
"""Creation times are whole seconds."""


def route(namespace: str, *targets: tuple[str, int | None], name: str = "desk", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targets": [
                {"name": to, "smallModelRef": {"name": to}, **({} if weight is None else {"weight": weight})}
                for to, weight in targets
            ],
            **spec,
        },
    }


async def delete(api: Client, kind: str, name: str, namespace: str) -> None:
    await api.request("DELETE", KINDS[kind].path(namespace, name))


async def test_a_route_follows_its_targets(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, route(namespace, ("bot", 9), ("late", 1)), model(namespace))

        async def waits() -> None:
            seen = await api.get("ModelRoute", "desk", namespace)
            stands(seen, Ready="TargetNotFound", Stalled="TargetNotFound", Routable="Routed")
            assert "'late'" in condition(seen, "Stalled")["message"]

        await eventually(waits)
        await apply(api, model(namespace, "late"))

        async def ready() -> dict[str, Any]:
            seen = stands(await api.get("ModelRoute", "desk", namespace), Ready="Serving", Stalled="Settled")
            assert condition(seen, "Reconciling")["status"] == "False"
            return seen

        seen = await eventually(ready)
        assert [t["ready"] for t in seen["status"]["targets"]] == [True, True]
        assert seen["status"]["endpoint"] == {"url": f"http://desk.{namespace}.svc.cluster.local/v1", "model": "desk"}
        service = await api.get("Service", "desk", namespace)
        assert service is not None
        assert service["spec"]["type"] == "ExternalName"
        secret = await api.get("Secret", "desk-client", namespace)
        assert secret is not None
        assert {"OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL"} <= secret["data"].keys()
        table = await kubectl(plane, "get", "mroute", "-n", namespace)
        assert table.splitlines()[1].split()[:3] == ["desk", "True", "Serving"]

        await apply(api, model(namespace, "late", suspend=True))

        async def off() -> None:
            seen = stands(await api.get("ModelRoute", "desk", namespace), Ready="TargetNotReady", Stalled="Settled")
            assert condition(seen, "Reconciling")["status"] == "False", "switched off is nothing to wait for"

        await eventually(off)
        await delete(api, "ModelRoute", "desk", namespace)

        async def gone() -> None:
            assert await api.get("ModelRoute", "desk", namespace) is None
            assert await api.get("Service", "desk", namespace) is None
            assert await api.get("Secret", "desk-client", namespace) is None

        await eventually(gone)
        stands(await api.get("SmallModel", "bot", namespace), Ready="Serving")


async def test_the_younger_of_two_with_a_name_waits(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        await apply(api, model(namespace), route(namespace, ("bot", None)))

        async def standing(kind: str, name: str, **wanted: str) -> None:
            stands(await api.get(kind, name, namespace), **wanted)

        await eventually(lambda: standing("ModelRoute", "desk", Ready="Serving"))
        await asyncio.sleep(SECOND)
        await apply(api, model(namespace, "desk"), route(namespace, ("bot", None), name="bot"))
        for kind, name in (("SmallModel", "desk"), ("ModelRoute", "bot")):
            await eventually(lambda kind=kind, name=name: standing(kind, name, Stalled="NameTaken"))  # type: ignore[misc]
        await standing("ModelRoute", "desk", Ready="Serving")
        await standing("SmallModel", "bot", Ready="Serving")
        assert await api.get("Deployment", "desk", namespace) is None

        await delete(api, "ModelRoute", "desk", namespace)
        await eventually(lambda: standing("SmallModel", "desk", Ready="Serving", Stalled="Settled"))
