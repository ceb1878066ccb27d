"""What the activator needs from the process it lives in."""

from collections.abc import Sequence
from typing import Protocol

from smallmodel_operator.gateway.state import Endpoint, Model


class Ports(Protocol):
    """The agent, as the activator sees it. A target is `<namespace>/<name>`."""

    def synced(self) -> bool:
        """Have all models been seen? Before that a model that is not known may exist all the same."""
        ...

    def model(self, target: str) -> Model | None:
        """The model of a target; None: there is none."""
        ...

    def usable(self, target: str) -> tuple[Endpoint, ...]:
        """Addresses requests may go to now."""
        ...

    def not_ready(self, target: str) -> tuple[Endpoint, ...]:
        """Addresses of pods that exist and are not called ready yet."""
        ...

    def peers(self) -> tuple[str, ...]:
        """Addresses of the other gateways."""
        ...

    def operator_asks(self) -> bool:
        """Is there an operator? Then what it says of models is of now."""
        ...

    async def wake(self, target: str) -> bool:
        """Scale 0 -> 1; False when it was not at 0. Harmless when repeated.

        Raises:
            NotWoken: the API server did not take it; ask again.
        """
        ...

    async def publish(self, target: str, endpoints: Sequence[Endpoint]) -> bool:
        """These answered a probe: send requests there. True when Envoy has said that it does."""
        ...

    async def settled(self, target: str) -> bool:
        """True when Envoy has taken over the endpoints known now; False when it does not say so in a moment."""
        ...
