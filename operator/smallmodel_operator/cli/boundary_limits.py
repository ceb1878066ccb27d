"""What a stop cannot do by itself, in words with the way out."""

from collections.abc import Mapping
from typing import Any

from smallmodel_operator.boundary import enforcement


def past_the_gateways(declared: Mapping[str, Any]) -> str:
    """Whom a stop does not reach, as far as the ClusterBoundary says; empty: policies keep everybody from it."""
    if enforcement.condition(declared).get("status") == "True":
        return ""
    return (
        "It is not proved that this network enforces policies, so whoever has a model's engine key (Secret "
        "<name>-engine-key of its namespace) may still call its pods, past the gateways and without a record; "
        "`spec.suspend: true` in the SmallModel takes them away. " + enforcement.sentence(declared)
    )
