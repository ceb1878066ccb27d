"""What `spec.scaling` asks to hold, as values."""

from smallmodel_operator.api.v1alpha1.scaling import Scaling
from smallmodel_operator.core.scaling import Objective


def objective_asked(scaling: Scaling) -> Objective | None:
    """What a spec asks to hold, and within which limits; None: nothing."""
    if scaling.mode != "Objective" or scaling.objectives is None or scaling.max_replicas is None:
        return None
    latency = scaling.objectives.latency
    (first, inter, end), least = latency.seconds, max(1, scaling.min_replicas or 1)
    return Objective(first, float(latency.percentile), least, scaling.max_replicas, inter, end)
