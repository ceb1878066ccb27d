"""One record for each boundary that came into force, over restarts of the agent, too, and for each cut after that."""

import json
from collections import deque
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.record import BOUNDARY
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.files import replace
from smallmodel_operator.gateway.record.recorder import Recorder

NOTED: Final = "boundary.json"
"""Beside the log: the boundary that was recorded last."""


class Noted:
    """What the chain says about the boundary. An agent that is killed between record and file records it twice."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NOTED
        self._last: Any = None
        self.unsaved = False
        """Recorded, but perhaps not on the disk yet."""

    def open(self) -> None:
        """Read what an earlier agent noted."""
        try:
            self._last = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            self._last = None

    def news(self, force: InForce) -> bool:
        """Is it to be recorded? Where there has never been a boundary there is nothing to say."""
        if force.boundary.dump() == self._last:
            return bool(force.cut or force.others)
        return bool(force.boundary.uid or self._last)

    def take(self, recorder: Recorder, forces: deque[InForce]) -> None:
        """Record what came into force.

        Raises:
            OSError: the disk does not take it; try again.
        """
        while forces:
            if self.news(force := forces.popleft()):
                self.note(recorder, force)
        if self.unsaved:
            self.save(recorder)

    def note(self, recorder: Recorder, force: InForce) -> None:
        """Record it with the next commit."""
        recorder.note(BOUNDARY, **force.record())
        self._last, self.unsaved = force.boundary.dump(), True

    def save(self, recorder: Recorder) -> None:
        """Commit, and remember it over a restart.

        Raises:
            OSError: the disk does not take it; try again.
        """
        recorder.commit()
        replace(self._file, json.dumps(self._last).encode())
        self.unsaved = False
