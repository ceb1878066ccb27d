"""Mode External: what is remembered of `spec.replicas`, and what is said. Pure."""

from typing import Any

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.external import decide, look
from smallmodel_operator.control.scale import before
from smallmodel_operator.core.external import External, Seen
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.resolve import Resolved


def remembered(wish: int, given: External, snapshot: Snapshot) -> dict[str, Any]:
    """`status.scaling.external`."""
    seen = look(wish, given, before(snapshot))
    return {"replicas": seen.replicas, "owned": seen.owned, "written": seen.written}


def active(resolved: Resolved, given: External, snapshot: Snapshot) -> Report:
    """`ScalingActive` of a model that somebody else scales."""
    kind, name, live = Condition.SCALING_ACTIVE, resolved.name, snapshot.child("Deployment", resolved.name)
    seen: Seen = look(resolved.replicas, given, before(snapshot))
    runs = None if live is None else int(live.get("spec", {}).get("replicas", 1))
    kept = decide(seen, runs).replicas
    if kept == seen.replicas:
        text = f"`spec.replicas` is {kept}, and whoever writes it through the scale subresource decides."
        return Report(kind, True, Reason.EXTERNAL_SCALER, text)
    return Report(
        kind,
        None,
        Reason.EXTERNAL_SCALER_SILENT,
        f"{kept} replicas are kept: `spec.replicas` is {seen.replicas}, but was not written since the mode is "
        "External. Let an autoscaler target the SmallModel, or write what it shall begin from (`kubectl -n "
        f"{resolved.namespace} scale smallmodel {name} --replicas={kept}`).",
    )
