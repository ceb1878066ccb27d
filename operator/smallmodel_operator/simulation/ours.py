"""The operator's own controller as a policy of the simulator: the same code, with an engine that it believes in."""

from dataclasses import dataclass, field

from smallmodel_operator.autoscaling.objective import TICK_SECONDS, Objective, State, decide, gains
from smallmodel_operator.autoscaling.observation import Counters, Observation
from smallmodel_operator.autoscaling.profile import EngineProfile


def _begun() -> State:
    """Gateways of a trace count from its beginning."""
    return State(began=0.0, counters=Counters(), counters_at=0.0, seen=((0.0, 0),))


@dataclass
class Ours:
    """`profile` is what the controller believes, not what the engine is."""

    objective: Objective
    profile: EngineProfile
    state: State = field(default_factory=_begun)
    why: str = ""
    every: float = TICK_SECONDS

    def decide(self, look: Observation) -> int:
        self.state, decision = decide(self.state, look, self.objective, self.profile)
        self.why = decision.why
        return decision.replicas

    def gains(self) -> tuple[float, ...]:
        """Misses a second that each replica avoids, for a pool that is shared."""
        return gains(self.state, self.objective, self.profile)
