"""A fake of what gateways say, for tests that have none: the value, and the agent's `GET /signals`."""

from collections.abc import Mapping

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.core.traffic import GatewayReport, Traffic

ROUTED = Traffic((GatewayReport("gateway-0", 0.5, routes=True),))
"""One gateway that routes to the model and has nothing else to tell."""


class FakeSignals:
    """Answers in place of cluster.signals.Signals; every model is routed unless said otherwise."""

    def __init__(self) -> None:
        self.said: Mapping[ModelKey, Traffic] = {}

    async def traffic(self, model: ModelKey) -> Traffic:
        return self.said.get(model, ROUTED)

    async def close(self) -> None:
        pass
