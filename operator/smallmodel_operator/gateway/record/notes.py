"""What the chain says beside answers and decisions: boundaries in force, the canary's findings, destroyed keys."""

from datetime import UTC, datetime

from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.record.boundary import Noted
from smallmodel_operator.gateway.record.erased import Erased
from smallmodel_operator.gateway.record.finding import Findings
from smallmodel_operator.gateway.record.recorder import Recorder


class Notes:
    """Of one chain. All but `due` runs in the recorder's thread, and raises OSError where the disk does not take it."""

    def __init__(self, agent: Agent, recorder: Recorder) -> None:
        folder = agent.settings.gateway_data_dir
        self._agent, self._recorder = agent, recorder
        self._boundary, self._findings, self._erased = Noted(folder), Findings(folder), Erased(folder)

    def open(self) -> None:
        """Read what an earlier agent noted."""
        for one in (self._boundary, self._findings, self._erased):
            one.open()

    def due(self) -> bool:
        """Is there anything to note?"""
        boundary = self._boundary.unsaved or bool(self._agent.forces)
        return boundary or self._found() or self._erased.due(self._agent.erased)

    def write(self) -> None:
        """Note all there is."""
        self.boundary()
        if self._found():
            watch = self._agent.world.boundaries
            self._findings.note(self._recorder, watch.said, watch.synced, datetime.now(UTC))
            self._findings.save(self._recorder)
        if self._erased.due(erased := self._agent.erased):
            self._erased.note(self._recorder, erased)

    def boundary(self) -> None:
        """Note what came into force."""
        self._boundary.take(self._recorder, self._agent.forces)

    def _found(self) -> bool:
        watch = self._agent.world.boundaries
        return self._findings.due(watch.said, watch.synced, datetime.now(UTC))
