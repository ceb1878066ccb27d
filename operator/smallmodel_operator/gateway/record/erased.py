"""One record for each key of a subject that was destroyed, over restarts of the agent, too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from smallmodel_operator.audit.content.keyring import Tombstone
from smallmodel_operator.audit.content.state import ERASURE
from smallmodel_operator.gateway.files import replace
from smallmodel_operator.gateway.record.recorder import Recorder

NOTED: Final = "erased.json"
"""Beside the log: names of the keys whose end was recorded."""


class Erased:
    """What the chain says about destroyed keys. An agent that is killed between record and file records it twice."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NOTED
        self._noted: frozenset[str] = frozenset()

    def open(self) -> None:
        """Read what an earlier agent noted."""
        try:
            self._noted = frozenset(map(str, json.loads(self._file.read_bytes())))
        except (OSError, TypeError, ValueError):
            self._noted = frozenset()

    def due(self, erased: Mapping[str, Tombstone]) -> bool:
        """Is there one that is not recorded?"""
        return not erased.keys() <= self._noted

    def note(self, recorder: Recorder, erased: Mapping[str, Tombstone]) -> None:
        """Record what is new, and remember it over a restart.

        Raises:
            OSError: the disk does not take it; try again.
        """
        for name in sorted(erased.keys() - self._noted):
            one = erased[name]
            recorder.note(ERASURE, **{"slm.subject": one.subject, "keys": name, "destroyed": one.time})
        recorder.commit()
        replace(self._file, json.dumps(sorted(erased)).encode())
        self._noted = frozenset(erased)
