"""What the reasons of quality mean, and who must act; see conditions.py."""

from typing import Final

_NOBODY, _OPERATOR, _USER, _PLATFORM = "nobody", "the operator", "the model's owner", "the platform team"

QUALITY_REASONS: Final[dict[str, tuple[str, str]]] = {
    "GoldenPassed": (_NOBODY, "The golden prompts are answered as expected, or as was accepted."),
    "AskingGolden": (_OPERATOR, "A new version answers the golden prompts before it takes traffic."),
    "QualityTooLow": (_USER, "The made file differs from its parent by more than is allowed; it is not served."),
    "GoldenNotFound": (_USER, "The ConfigMap with the golden prompts, or its entry, does not exist."),
    "GoldenInvalid": (_USER, "The golden prompts cannot be read; the message has line and field."),
    "GoldenFailed": (_USER, "A new version answers the golden prompts worse and does not take traffic."),
    "GoldenInconclusive": (_USER, "Golden prompts cannot tell whether a new version is worse: a person decides."),
    "GoldenUnanswered": (_PLATFORM, "The golden prompts cannot be asked; the message says why."),
    "QualityDegraded": (_USER, "What serves does not answer golden prompts any more that it did, by their ids."),
}
