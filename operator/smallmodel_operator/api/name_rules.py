"""Rules of `metadata.name`: SmallModels and ModelRoutes share one space of names, and their Services are named so."""

import re
from typing import Final

from smallmodel_operator.api.names import MAX_MODEL_NAME, RESERVED_NAMES
from smallmodel_operator.api.rule import Rule, Value

# For RE2 and Python alike, see rules.py.
_NAME: Final = f"[a-z]([-a-z0-9]{{0,{MAX_MODEL_NAME - 2}}}[a-z0-9])?"
_NAMED_AFTER: Final = {
    "SmallModel": "a Service and Jobs are named after it",
    "ModelRoute": "a Service is named after it",
}
_DOT: Final = "`metadata.name` must not contain a dot, because a Service is named after it; use - instead: "
_RESERVED: Final = "[" + ", ".join(f"'{name}'" for name in RESERVED_NAMES) + "]"


def _name(obj: Value) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def _rules(kind: str) -> tuple[Rule, ...]:
    label = (
        f"`metadata.name` must be a DNS label of at most {MAX_MODEL_NAME} characters that begins with a letter "
        f"({_NAMED_AFTER[kind]})."
    )
    whose = "model" if kind == "SmallModel" else "route"
    return (
        Rule(
            kind, "", f"self.metadata.name.matches('^{_NAME}$')", "metadata.name", label,
            lambda o: re.fullmatch(_NAME, _name(o)) is not None,
            f"self.metadata.name.contains('.') ? '{_DOT}' + self.metadata.name.replace('.', '-') : '{label}'",
            lambda o: _DOT + _name(o).replace(".", "-") if "." in _name(o) else label,
        ),
        Rule(
            kind, "", f"!(self.metadata.name in {_RESERVED})", "metadata.name",
            f"`metadata.name` must not be {' or '.join(RESERVED_NAMES)}: addresses that begin so are the gateway's "
            f"own, the {whose}'s would lead nowhere; choose another name.",
            lambda o: _name(o) not in RESERVED_NAMES,
        ),
    )  # fmt: skip


NAME_RULES: Final[tuple[Rule, ...]] = (*_rules("SmallModel"), *_rules("ModelRoute"))
