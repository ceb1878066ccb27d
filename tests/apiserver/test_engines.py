"""Pods of every engine, as the operator writes them: a real API server takes them as they are."""

import pytest
from tests.fakes.objects import request

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.engine import Accelerator
from smallmodel_operator.serving import build
from smallmodel_operator.serving.engines import ENGINES


@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_the_deployment_is_taken_as_it_is(api: Client, namespace: str, engine: str) -> None:
    wish = request(
        name=f"on-{engine.lower()}", namespace=namespace, engine=engine, replicas=0, runtime_class="nvidia",
        accelerator=Accelerator("nvidia.com/gpu", 2, 24 * 2**30), tolerations=({"key": "gpu", "operator": "Exists"},),
    )  # fmt: skip
    made = build.deployment(wish, None)
    live = await api.apply(made, force=False)
    assert differences(made, live) == []
