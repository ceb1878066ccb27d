"""What the reasons of the canary mean, and who must act; see conditions.py."""

from typing import Final

_NOBODY, _OPERATOR, _PLATFORM = "nobody", "the operator", "the platform team"

CANARY_REASONS: Final[dict[str, tuple[str, str]]] = {
    "BoundaryNotEnforced": (
        _PLATFORM,
        "Its namespace requires an enforced boundary, and the canary does not see one: the model is not served.",
    ),
    "PoliciesEnforced": (_NOBODY, "Nothing that policies forbid got through, and what they allow did."),
    "PoliciesNotEnforced": (_PLATFORM, "Something that policies forbid got through; the message says what."),
    "ProbePending": (_OPERATOR, "The canary's first probe has not ended yet."),
    "ProbeFailed": (_PLATFORM, "The canary could not tell; the message says why."),
}
