"""Whether Envoy takes requests, where none must be served without a record (`audit.onFailure: Refuse`).

Envoy looks at a number in a file, as it looks at its memory: no configuration has to be made or loaded for it, so it
works while the API server is away. It stays as it was last said when the agent ends.
"""

import logging
import os
from pathlib import Path
from typing import Final

from smallmodel_operator.gateway.files import replace
from smallmodel_operator.gateway.record import metrics
from smallmodel_operator.gateway.settings import GatewaySettings

CLOSED, OPEN = b"1", b"0"
LEAST_BYTES: Final = 32 * 1024 * 1024
"""Free on the claim below which requests are refused: room for what is under way, in the log and in records, and for
what comes until the next look."""
FULL_BYTES: Final = 1024 * 1024
"""Free on the claim below which Envoy's next lines may not get into its log, where requests are served all the same:
without any line there would be no record that fails, and nothing would say so."""

logger = logging.getLogger(__name__)


class Door:
    """Open or closed; always open where requests are served all the same."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._file = settings.refuse_file
        self._folder = settings.gateway_data_dir
        self.strict = settings.audit_on_failure == "Refuse"
        self._said: bool | None = None
        """What this process told Envoy last; None: nothing, the one before it may have told it anything."""

    @property
    def closed(self) -> bool:
        """Are requests refused? Until the first record could be written they are."""
        return self.strict and self._said is not False

    def set(self, *, closed: bool) -> None:
        """Say it to Envoy, if it is news.

        Raises:
            OSError: the folder in memory is full; it stays as it was.
        """
        if self.strict and closed is not self._said:
            write(self._file, closed=closed)
            self._said = closed

    def room(self) -> str:
        """Why there is too little of it; empty: there is enough.

        Raises:
            OSError: the disk does not answer.
        """
        least = LEAST_BYTES if self.strict else FULL_BYTES
        found = os.statvfs(self._folder)
        free = found.f_bavail * found.f_frsize
        return "" if free >= least else f"only {free >> 10} KiB of {least >> 10} KiB are free on the claim"


def close(door: Door, *, closed: bool = True) -> None:
    """Have Envoy refuse requests, or take them again, where that is wanted; a folder that is full is told of."""
    try:
        door.set(closed=closed)
    except OSError as error:
        logger.error("Envoy cannot be told to %s requests: %s", "refuse" if closed else "take", error)
    metrics.REFUSING.set(door.closed)


def prepare(settings: GatewaySettings) -> None:
    """Closed before the first agent runs; what an earlier one said stays.

    Raises:
        OSError: it cannot be written.
    """
    if settings.audit_on_failure == "Refuse" and not settings.refuse_file.exists():
        write(settings.refuse_file, closed=True)


def write(path: Path, *, closed: bool) -> None:
    """Envoy looks when it is replaced."""
    replace(path, CLOSED if closed else OPEN)
