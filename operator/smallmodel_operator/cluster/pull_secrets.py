"""Names of the Secrets images are pulled with: of the ServiceAccount that models' pods run as. What is in them is not
read."""

import time
from collections.abc import Callable

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.config_maps import GIVEN_SECONDS


class PullSecrets:
    """Reads them, of each namespace at most once in GIVEN_SECONDS."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._read: dict[str, tuple[tuple[str, ...], float]] = {}

    async def read(self, namespace: str) -> tuple[str, ...]:
        """Those the kubelet would pull an image of a model's pod with.

        Raises:
            ApiError, aiohttp.ClientError, TimeoutError: they cannot be read.
        """
        names, since = self._read.get(namespace, ((), float("-inf")))
        # Where there are none, one that comes is what a model waits for: it is looked for each time.
        if not names or self._clock() - since >= GIVEN_SECONDS:
            account = await self._client.get("ServiceAccount", "default", namespace) or {}
            named = (str(one.get("name") or "") for one in account.get("imagePullSecrets") or ())
            names = tuple(name for name in named if name)
            self._read[namespace] = (names, self._clock())
        return names
