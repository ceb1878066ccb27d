"""A decision on a request, and what is known of targets when it is made. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.detect.decide import Reason
from smallmodel_operator.routing.policy import Need, Target


class Because(StrEnum):
    """Why this target, or none."""

    RULE = "Rule"
    COMPLEXITY = "Complexity"
    CONFIDENCE = "Confidence"
    """Who answered first was not sure enough of it."""
    TOOL_CHOICE = "ToolChoice"
    """Who answered first did not call the tool that the request demands."""
    DEFAULT = "Default"
    NAMED = "Named"
    """The request names it."""
    SHARE = "Share"
    """Drawn, by the weights of the targets."""
    INSTEAD = "Instead"
    """The default may or can not; this is the first that does."""
    UNAVAILABLE = "Unavailable"
    """Who was chosen cannot answer; this is the next of the order that can."""
    KEPT_INSIDE = "KeptInside"
    """None: it must stay, and no target that could answer is inside."""
    NOT_CAPABLE = "NotCapable"
    """None: no target can do what it asks for."""
    NO_ADAPTER = "NoAdapter"
    """None: no rule names its adapter, or who it is for has not loaded it."""
    TOO_SLOW = "TooSlow"
    """None: of no target that may and can is it known that it answers in time."""
    BAD_DEADLINE = "BadDeadline"
    """None: how long it may take cannot be read."""


@dataclass(frozen=True, slots=True)
class Can:
    """What a target can do; `context_tokens`: None, not known. `answers`: as far as is known, or it is woken.

    `p95`: seconds within which 95 % of its latest answers were whole, as measured; None: not known.
    """

    needs: frozenset[Need] = frozenset()
    adapters: frozenset[str] = frozenset()
    context_tokens: int | None = None
    answers: bool = True
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `target` None: it is answered with an error.

    `reasons` say why it must stay inside, in kinds and places, never in what was found; none: it may leave.
    `complexity`, `turn`: how hard it is and what came of that, where anybody asked.
    """

    target: Target | None
    because: Because
    reasons: tuple[Reason, ...]
    policy: str
    rule: str = ""
    task_class: str = ""
    complexity: float | None = None
    turn: Turn | None = None
    degraded: str = ""
    """Why a target answers in place of the one it was to go to; empty: none does."""
    deadline: float | None = None
    """Seconds it may take, where a rule went by that."""
    measured: tuple[tuple[str, float | None], ...] = ()
    """Targets that such a rule names, and how fast each is."""
    confidence: float | None = None
    """How sure the target that answered first was, where that is why another one is asked."""

    @property
    def scored(self) -> str:
        """What came of asking how hard it is: `Escalated`, `Degraded`, or what kept it; empty: nobody asked."""
        if self.turn is None:
            return ""
        degraded = self.degraded and self.because not in (Because.COMPLEXITY, Because.CONFIDENCE)
        return "Degraded" if degraded else self.turn.why or "Escalated"

    @property
    def inside(self) -> bool:
        return bool(self.reasons)
