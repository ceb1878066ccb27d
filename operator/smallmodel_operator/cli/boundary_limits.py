"""What a stop cannot do by itself, in words with the way out."""

from collections.abc import Mapping, Sequence
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


def ways_out(namespace: str, late: Sequence[str]) -> str:
    """What helps where these gateways have not taken a boundary over."""
    logs = ", ".join(f"`kubectl -n {namespace} logs {name} -c agent`" for name in late)
    them, run = ("these gateways", "them") if len(late) > 1 else ("the gateway", "it")
    return (
        f"it goes on being tried; see {logs}. What helps at once: `kubectl -n {namespace} delete pod {' '.join(late)} "
        f"--grace-period=0 --force` ends {them} and all that runs through {run}. Role smallmodel-boundary in that "
        "namespace gives the right to both."
    )
