"""LoRA adapters without declared memory, on the real API server: kwok says that one named hr has 64 MiB."""

from typing import Any

from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import condition, model, stands

from smallmodel_operator.api.names import LABEL_MODEL
from smallmodel_operator.cluster.client import Client

MIB = 2**20
ADAPTER = {"uri": f"oci://registry.test/models/adapters@sha256:{'b' * 64}", "path": "hr.gguf"}


async def serving(api: Client, namespace: str, name: str) -> dict[str, Any]:
    async def check() -> dict[str, Any]:
        return stands(await api.get("SmallModel", name, namespace), Ready="Serving", Reconciling="Settled")

    return dict(await eventually(check))


async def test_adapters_are_counted_and_what_does_not_fit_with_them_has_no_pod(
    api: Client, namespace: str, operator: Operator
) -> None:
    adapters = [{"name": "hr", "source": ADAPTER}]
    async with operator():
        await apply(api, model(namespace, "bare", memory=None), model(namespace, memory=None, adapters=adapters))
        bare, bot = [(await serving(api, namespace, name))["status"]["memory"] for name in ("bare", "bot")]
        assert bot["adapters"] == [{"name": "hr", "bytes": 64 * MIB}]
        assert bot["estimatedBytes"] - bare["estimatedBytes"] == 64 * MIB
        live = await api.get("Deployment", "bot", namespace)
        assert live is not None
        assert live["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] == (
            f"{bot['requestedBytes'] // MIB}Mi"
        )

        async def pruned() -> None:
            assert not await api.list("Job", namespace, labelSelector=LABEL_MODEL)

        await eventually(pruned)
        limits = {"resources": {"limits": {"memory": f"{bare['requestedBytes'] // MIB}Mi"}}}
        await apply(api, model(namespace, "large", memory=None, adapters=adapters, compute=limits))

        async def refused() -> None:
            seen = stands(
                await api.get("SmallModel", "large", namespace), Stalled="DoesNotFit", FitsMemory="DoesNotFit"
            )
            assert "adapters 64 MiB" in condition(seen, "FitsMemory")["message"]

        await eventually(refused)
        assert await api.get("Deployment", "large", namespace) is None
