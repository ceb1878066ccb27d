"""Rules about changes, which only the API server can judge: it knows the object there was. `slm lint` does not."""

from typing import Final

from smallmodel_operator.api.rule import ChangeRule, Rule
from smallmodel_operator.api.rules import RULES

CHANGE_RULES: Final[tuple[ChangeRule, ...]] = (
    *(
        ChangeRule(
            kind,
            "spec.access.clientKey.generation",
            "self >= oldSelf",
            "`spec.access.clientKey.generation` must not be lowered (unset is 1): a key that was rotated away would "
            f"open the {what} again. Keep the number, or raise it to rotate the key.",
        )
        for kind, what in (("SmallModel", "model"), ("ModelRoute", "route"))
    ),
    ChangeRule(
        "SmallModel",
        "spec.audit.keyGeneration",
        "self >= oldSelf",
        "`spec.audit.keyGeneration` must not be lowered (unset is 1): new records would be made with a key that was "
        "rotated away. Keep the number, or raise it to rotate the key.",
    ),
)

ALL_RULES: Final[tuple[Rule | ChangeRule, ...]] = (*RULES, *CHANGE_RULES)
"""All that the API server judges by."""
