"""The three ways a reconcile can end early. Anything else is an outage or a bug and is retried with back-off."""

from smallmodel_operator.api.conditions import Condition, Reason


class Refused(Exception):  # noqa: N818 - the field's word, not an error suffix
    """The user must change something: Stalled, no retry until the object or what it refers to changes.

    `recheck_seconds` is set where the missing thing may appear without the object changing (a claim, say).
    `condition` names the concern that refuses, so that its own condition says the same.
    """

    def __init__(
        self, reason: Reason, message: str, *, recheck_seconds: float | None = None, condition: Condition | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.recheck_seconds = recheck_seconds
        self.condition = condition


class NotYet(Exception):  # noqa: N818
    """Something under way must end first: Reconciling, looked at again when poked or after `after_seconds`."""

    def __init__(self, reason: Reason, message: str, *, after_seconds: float = 15.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.after_seconds = after_seconds
