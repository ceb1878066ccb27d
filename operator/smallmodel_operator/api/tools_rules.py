"""Rules of `spec.tools` of a ModelRoute."""

from typing import Final

from smallmodel_operator.api.rule import Rule

_FIELDS: Final = ("allow", "maxCallsPerConversation", "maxTokensPerConversation")
_VERIFIES: Final = "(has(self.verifyChoice) && self.verifyChoice)"

TOOLS_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec.tools",
        " || ".join([*(f"has(self.{field})" for field in _FIELDS), _VERIFIES]),
        "spec.tools",
        "`spec.tools` must give `allow`, `maxCallsPerConversation`, `maxTokensPerConversation` or `verifyChoice: "
        "true`; `allow: []` allows no tool. Remove it where nothing is to be bounded.",
        lambda t: any(t.get(field) is not None for field in _FIELDS) or t.get("verifyChoice") is True,
    ),
)
