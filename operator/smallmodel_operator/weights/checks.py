"""What is asked of known weights: pure questions to the facts, so that a change of the wish needs no new look."""

from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.facts import CHECKS, WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.weights.architectures import LLAMA_CPP
from smallmodel_operator.weights.types import WeightsRequest

FINAL: Final = frozenset(
    {
        Reason.WEIGHTS_INVALID,
        Reason.WEIGHTS_NOT_FOUND,
        Reason.WEIGHTS_AMBIGUOUS,
        Reason.DIGEST_MISMATCH,
        Reason.DOWNLOAD_FAILED,
        Reason.UNSAFE_FORMAT,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_INVALID,
        Reason.SIGNATURE_MISSING,
        Reason.SIGNATURE_INVALID,
        Reason.SIGNING_KEY_MISMATCH,
        Reason.SIGNED_FILE_CHANGED,
        Reason.SIGNED_FILE_MISSING,
        Reason.FILE_NOT_SIGNED,
    }
)
"""What a Job finds that the user has to mend."""
OF_THE_KEY: Final = frozenset({Reason.SECRET_NOT_FOUND, Reason.SECRET_INVALID, Reason.SIGNING_KEY_MISMATCH})
"""What another content of the Secret mends, without the SmallModel changing."""


def satisfy(request: WeightsRequest, facts: WeightsFacts) -> bool:
    """Whether the facts answer all that is asked: an earlier release, or a model that asks for less, knows less."""
    right = request.survey or facts.format == request.format  # what a survey finds may be made into it
    return right and facts.checks >= CHECKS and request.verification in ("", facts.verified_with)


def wait(request: WeightsRequest) -> bool:
    """Whether no pod may start before the weights were looked at, although its memory is declared."""
    return request.wait_for_template or bool(request.verification)


def refusal(request: WeightsRequest, facts: WeightsFacts) -> Refused | None:
    """Why weights of these facts are not served; None when they are."""
    known = LLAMA_CPP if facts.format == GGUF else (facts.architecture,)  # other engines know theirs themselves
    if facts.architecture not in known and facts.architecture not in request.allowed_architectures:
        return _refused(
            Reason.ARCHITECTURE_UNKNOWN,
            f"`{facts.file}` has the architecture {facts.architecture!r}, which the engine of this release does not "
            "know. Take another model or a newer operator; with an engine of your own that knows it "
            f"(`spec.engine.image`), add {facts.architecture!r} to `spec.checks.allowedArchitectures`.",
        )
    if request.enforce_template and _found(request, facts):
        return _refused(
            Reason.UNSAFE_TEMPLATE,
            f"The chat template in `{facts.file}` is not served: {facts.template_finding}. Take weights whose "
            "publisher you trust. If you have read the template and it does what it should, add its SHA-256 "
            f"{facts.chat_template} to `spec.checks.allowedChatTemplates`.",
        )
    return None


def warning(request: WeightsRequest, facts: WeightsFacts) -> str:
    """What is said of weights that are served nevertheless; empty when there is nothing."""
    if not _found(request, facts):
        return ""
    return f"Served with a warning (`spec.checks.chatTemplate: Warn`): {facts.template_finding}."


def _found(request: WeightsRequest, facts: WeightsFacts) -> bool:
    return bool(facts.template_finding) and facts.chat_template not in request.allowed_templates


def _refused(reason: Reason, message: str) -> Refused:
    return Refused(reason, message, condition=Condition.WEIGHTS_READY)
