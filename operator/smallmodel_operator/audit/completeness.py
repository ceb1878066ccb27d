"""Envoy's own count of requests beside the number of records: what is missing, what is too much. Pure.

Neither number can be read at the same moment as the other while requests come, so only what is certain is said. All
that was over at a moment has to be recorded when it had time to be written: what is not is missing. What is recorded at
a moment has to be among all that Envoy counts later: what is not was never a request. When nothing comes for a moment,
both are exact.
"""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Count:
    """One life of one Envoy, from `since` on (its time in the log). `finished`: requests that were over, by Envoy."""

    since: str
    finished: int = 0
    recorded: int = 0
    missing: int = 0
    surplus: int = 0

    def seen(self, before: int, least: int, most: int, after: int) -> "Count":
        """After one look.

        Args:
            before: records of this life before Envoy was asked.
            least: requests that were certainly over when it was asked.
            most: requests that can have been over when it was asked.
            after: records of this life when all that was over had been written and read.
        """
        return replace(
            self,
            finished=max(self.finished, least),
            recorded=after,
            # What was late, and came after all, is not missing: never more than can be.
            missing=max(0, min(max(self.missing, least - after), most - before)),
            surplus=max(0, min(max(self.surplus, before - most), after - least)),
        )

    def dump(self) -> dict[str, Any]:
        """As it stands in a checkpoint."""
        return {
            "since": self.since,
            "finished": self.finished,
            "recorded": self.recorded,
            "missing": self.missing,
            "surplus": self.surplus,
        }
