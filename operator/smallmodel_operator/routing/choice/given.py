"""The classifier of a route as its user gives it: one entry of a ConfigMap. Operator and gateways read it alike.

Pure. Nothing of what stands in the entry is told, but the names of its classes.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.routing.choice import file
from smallmodel_operator.routing.choice.classifier import TaskClass

MOST_CLASSES: Final = 32
"""A class takes half a megabyte of a gateway's memory."""
LONGEST_NAME: Final = 63
"""Characters of a class's name, for it is a label of metrics."""
SHOWN: Final = 10
"""Names of classes told in one message."""


class NotFound(Exception):  # noqa: N818 - says what is the matter
    """There is no such ConfigMap, or no such entry."""


@dataclass(frozen=True, slots=True)
class Given:
    """A classifier, and the digest its file gives itself."""

    digest: str
    tasks: TaskClass


def entry(config_map: Mapping[str, Any] | None, name: str, key: str) -> str:
    """The text of the entry.

    Raises:
        NotFound: with what is missing and the way out.
    """
    if config_map is None:
        raise NotFound(
            f"ConfigMap {name!r} does not exist, which `spec.classifier.configMapRef` names. Create it of a file that "
            f"`slm route train` wrote (kubectl create configmap {name} --from-file={key}=FILE), or name another."
        )
    text = (config_map.get("data") or {}).get(key)
    if not isinstance(text, str):
        raise NotFound(
            f"ConfigMap {name!r} has no entry {key!r} in its `data`. Add it, or name another in "
            "`spec.classifier.configMapRef.key`."
        )
    return text


def fingerprint(text: str) -> str:
    """The same for the same text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read(text: str) -> Given:
    """The classifier of an entry's text; a tenth of a second for 20 classes.

    Raises:
        file.Unusable: with the reason.
    """
    data = text.encode("utf-8", "surrogatepass")
    try:
        found = file.read(data, MOST_CLASSES)
    except file.Unusable:
        raise
    except Exception as error:  # whoever made it on purpose must not end a gateway with it
        raise file.Unusable(f"it cannot be read ({type(error).__name__}): train it anew.") from None
    if not isinstance(found, TaskClass):
        raise file.Unusable(
            "it says when to escalate and knows no classes: train one of examples with `prompt` and `class`."
        )
    if any(len(name) > LONGEST_NAME for name in found.planes):
        raise file.Unusable(f"a class of it has a name longer than {LONGEST_NAME} characters: train it with another.")
    return Given(file.digest(data), found)


def unknown(wanted: Collection[str], known: Collection[str]) -> str:
    """Why a classifier does not do for these classes; empty: it does."""
    missing = sorted(set(wanted) - set(known))
    if not missing:
        return ""
    names = ", ".join(repr(name) for name in sorted(known)[:SHOWN])
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"class {missing[0]!r} is none of its classes: it knows {names}{more}"
