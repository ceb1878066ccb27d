"""A user's object as a typed value."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.rules import violations
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import Refused

M = TypeVar("M", bound=BaseModel)


def parsed(kind: type[M], body: Object) -> M:
    """An object with a `spec` as its kind.

    Raises:
        Refused: the API server holds an object that this release's schema and rules would not let in (an older CRD
            is installed, or was when the object was written).
    """
    try:
        value = kind.model_validate({"spec": body.get("spec") or {}})
    except ValidationError as error:
        raise Refused(
            Reason.INVALID_SPEC,
            f"{explain(error)}. Correct the field; if the API server accepted it, its CRDs are of another "
            "version than the operator: apply crds/ of this release.",
        ) from error
    if found := violations(body):
        raise Refused(Reason.INVALID_SPEC, found[0].message)
    return value


def explain(error: ValidationError) -> str:
    """Its first finding: the field, and what is wrong with it."""
    first = error.errors()[0]
    return f"`{'.'.join(str(p) for p in first['loc'])}`: {first['msg']}"
