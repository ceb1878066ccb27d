"""What callers are told. Why inference is stopped is not theirs to know: that is in the records."""

from typing import Final

CUT: Final = (
    "An administrator has stopped inference here while this request was running, and it was cut. Ask again: where "
    "inference is stopped the answer says so."
)
CUTTING: Final = "smallmodel.cutting"
"""Runtime key of Envoy: percent of answers of Envoy's own to a cut request that say so."""
