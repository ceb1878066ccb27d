"""What a ClusterBoundary's status says of the network, and what that means at a later moment. Pure.

The operator says it and may fall silent; who reads it has to know until when it counts. A moment at which nobody has
looked is never a good one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator.boundary import enforcement

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
STALE: Final = "ProbeStale"
NOT_SAID: Final = "NotSaid"


@dataclass(frozen=True, slots=True)
class Said:
    """BoundaryEnforced and what stands behind it. `since`: its last transition; `probed`: a run last showed it;
    `holds`: until then it counts."""

    status: str
    reason: str
    message: str = ""
    through: tuple[str, ...] = ()
    since: datetime | None = None
    probed: datetime | None = None
    holds: datetime | None = None

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> "Said | None":
        """Read a ClusterBoundary's status; None: it says nothing that can be read."""
        try:
            said = enforcement.condition(declared)
            canary = (declared.get("status") or {}).get("canary") or {}
            status = str(said["status"])
            return cls(
                status if status in (TRUE, FALSE) else UNKNOWN,
                str(said.get("reason", "")),
                str(said.get("message", "")),
                tuple(str(text) for text in canary.get("gotThrough") or ()),
                *(_time(value) for value in (said.get("lastTransitionTime"), *map(canary.get, _TIMES))),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def at(self, now: datetime) -> "Said":
        """What it means now: True and False count only while they are known to hold."""
        if self.status == UNKNOWN:
            return self
        if self.holds is not None and self.probed is not None and now <= self.holds:
            return self
        return stale(self.probed)


_TIMES: Final = ("lastProbeTime", "holdsUntil")


def stale(probed: datetime | None) -> Said:
    """Nothing is known from the last run on."""
    when = f" since {probed:%Y-%m-%dT%H:%M:%SZ}" if probed else ""
    text = f"The operator has shown nothing{when}: does it run, and is its canary on (boundary.canary.enabled)?"
    return Said(UNKNOWN, STALE, text, since=probed, probed=probed)


def nothing() -> Said:
    """The status says nothing (any more)."""
    text = "No ClusterBoundary says whether policies are enforced: make one, so that the operator can say it there."
    return Said(UNKNOWN, NOT_SAID, text)


def _time(value: object) -> datetime | None:
    """A time of the API.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
