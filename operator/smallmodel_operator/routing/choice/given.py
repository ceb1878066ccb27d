"""A classifier of a route as its user gives it: one entry of a ConfigMap. Operator and gateways read it alike.

Pure. Nothing of what stands in the entry is told, but the names of its classes.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.routing.choice import file
from smallmodel_operator.routing.choice.classifier import Classifier, Escalation, TaskClass

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
    learned: Classifier

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes it knows, sorted; none of what says when to escalate."""
        return tuple(sorted(self.learned.planes)) if isinstance(self.learned, TaskClass) else ()

    @property
    def planes(self) -> int:
        """What it takes of memory, in classes."""
        return len(self.classes) or 1


TASKS: Final = "spec.classifier.configMapRef"
HARD: Final = "spec.escalation.complexity.classifierRef"
"""The two fields that name a classifier."""
_OTHER: Final = {
    TASKS: "it says when to escalate and knows no classes: train one of examples with `prompt` and `class`.",
    HARD: "it knows classes of tasks and does not say when to escalate: train one with `--strong` and `--weak`.",
}


def entry(config_map: Mapping[str, Any] | None, name: str, key: str, field: str = TASKS) -> str:
    """The text of the entry; `field`: that names it.

    Raises:
        NotFound: with what is missing and the way out.
    """
    if config_map is None:
        raise NotFound(
            f"ConfigMap {name!r} does not exist, which `{field}` names. Create it of a file that "
            f"`slm route train` wrote (kubectl create configmap {name} --from-file={key}=FILE), or name another."
        )
    text = (config_map.get("data") or {}).get(key)
    if not isinstance(text, str):
        raise NotFound(
            f"ConfigMap {name!r} has no entry {key!r} in its `data`. Add it, or name another in `{field}.key`."
        )
    return text


def fingerprint(text: str) -> str:
    """The same for the same text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read(text: str, field: str = TASKS) -> Given:
    """The classifier of an entry's text, as `field` needs it; a tenth of a second for 20 classes.

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
    if isinstance(found, Escalation) is not (field == HARD):
        raise file.Unusable(_OTHER[field])
    read = Given(file.digest(data), found)
    if any(len(name) > LONGEST_NAME for name in read.classes):
        raise file.Unusable(f"a class of it has a name longer than {LONGEST_NAME} characters: train it with another.")
    return read


def unknown(wanted: Collection[str], known: Collection[str]) -> str:
    """Why a classifier does not do for these classes; empty: it does."""
    missing = sorted(set(wanted) - set(known))
    if not missing:
        return ""
    names = ", ".join(repr(name) for name in sorted(known)[:SHOWN])
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"class {missing[0]!r} is none of its classes: it knows {names}{more}"
