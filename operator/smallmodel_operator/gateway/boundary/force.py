"""A boundary in force at one gateway, as a value. Pure."""

from dataclasses import dataclass
from typing import Any

from smallmodel_operator.boundary.seal import ALLOWED, STOPPED, Boundary


@dataclass(frozen=True, slots=True)
class InForce:
    """New requests are refused as `boundary` says, held ones have been let go, running ones have been cut."""

    boundary: Boundary
    since: str
    """RFC 3339."""
    cut: int = 0
    """Running requests to models that it stops, which were cut."""
    others: int = 0
    """Running requests to other models, which were cut with them: Envoy cuts all of a gateway or none."""

    def entry(self, gateway: str) -> dict[str, Any]:
        """This gateway's entry in the status."""
        return {
            "name": gateway,
            "observedGeneration": self.boundary.generation,
            "inference": STOPPED if self.boundary.stopped else ALLOWED,
            "stoppedNamespaces": sorted(self.boundary.namespaces),
            "since": self.since,
            "cutRequests": self.cut + self.others,
        }

    def record(self) -> dict[str, Any]:
        """What the chain says of it, besides event and time."""
        return {
            "generation": self.boundary.generation,
            "inference": STOPPED if self.boundary.stopped else ALLOWED,
            "reason": self.boundary.reason,
            "namespaces": dict(sorted(self.boundary.namespaces.items())),
            "since": self.since,
            "cut": self.cut,
            "cut_others": self.others,
        }
