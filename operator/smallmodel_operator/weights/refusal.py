"""What is said of weights that cannot be served."""

from smallmodel_operator.api.conditions import Reason


class BadWeights(Exception):  # noqa: N818 - the field's word
    """The file cannot be served; `message` names the cause and the way out."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def invalid(message: str) -> BadWeights:
    return BadWeights(Reason.WEIGHTS_INVALID, message)
