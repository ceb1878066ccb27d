"""ConfigMaps users name: read by name, never listed, never watched. Golden prompts never reach a message."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.core.facts import Object

GIVEN_SECONDS: Final = 15.0
"""How long what was read answers for: passes come in bursts, and none of them needs to ask again."""


class ConfigMaps:
    """Reads them, at most once in GIVEN_SECONDS each."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._read: dict[ModelKey, dict[str, tuple[Object | None, float]]] = {}

    async def read(self, model: ModelKey, names: Iterable[str]) -> dict[str, Object | None]:
        """Those of these names in the model's namespace; None: there is none."""
        before, found = self._read.get(model, {}), {}
        for name in names:
            config_map, since = before.get(name, (None, float("-inf")))
            # One that is missing is looked for each time: its creation is what the model waits for.
            if config_map is None or self._clock() - since >= GIVEN_SECONDS:
                config_map, since = await self._client.get("ConfigMap", name, model[0]), self._clock()
            found[name] = (config_map, since)
        self._read.pop(model, None)
        if found:
            self._read[model] = found
        return {name: config_map for name, (config_map, _) in found.items()}

    def forget(self, model: ModelKey) -> None:
        self._read.pop(model, None)
