"""What the reasons of targets outside the cluster mean, and who must act; see conditions.py."""

from typing import Final

_NOBODY, _OPERATOR, _USER, _PLATFORM = "nobody", "the operator", "the model's owner", "the platform team"

OUTSIDE_REASONS: Final[dict[str, tuple[str, str]]] = {
    "Enforced": (_NOBODY, "Requests leave as `spec.boundary` has it, each after it was decided on."),
    "ExternalDenied": (_NOBODY, "Nothing leaves, as the route or the ClusterBoundary has it; the message says which."),
    "NobodyTrusted": (_USER, "`spec.boundary.trusted` is empty: no request has a label, so none leaves."),
    "RecognizerMissing": (_USER, "A detector needs a recognizer, and none answers: everything stays inside."),
    "PatternInvalid": (_USER, "A pattern of `spec.boundary` does not run: everything stays inside."),
    "EgressNotInstalled": (_PLATFORM, "The chart's `egress.enabled` is not set: there is no way out of the cluster."),
    "EgressStarting": (_OPERATOR, "The egress starts anew with this target; the route's models answer meanwhile."),
    "TooManyTargets": (_PLATFORM, "All routes together have more targets outside than the egress takes."),
}
