"""What is in force for each model, as records of the chain: each change once, before any answer that names it.

What of it is recorded is remembered in a file beside the segments, so that a start writes what changed meanwhile and
not a thousand records. The file is only ever behind the chain: then something is recorded again, which is no harm.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.audit.policies import ALL, GONE, hash_of
from smallmodel_operator.audit.record import Kind
from smallmodel_operator.gateway.files import replace
from smallmodel_operator.gateway.policy import in_force
from smallmodel_operator.gateway.state import Model

FILE: Final = "in-force.json"
SET: Final = "set"

Models = Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded for a model: the hash of all of it, the policy's, and the number of the record."""

    hash: str
    policy: str
    seq: int


class InForce:
    """Of one gateway.

    Args:
        folder: of the chain.
        given: what configurations were made of, in order; each is taken away.
        add: adds a record; its number.
    """

    def __init__(self, folder: Path, given: deque[Models], add: Callable[[dict[str, Any]], int]) -> None:
        self.hashes: set[object] = {None}
        """Hashes of policies an answer may name without a further word."""
        self._path = folder / FILE
        self._given, self._add = given, add
        self._known: dict[str, Known] = {}
        self._now: Models | None = None
        self._seen: dict[str, Model] = {}
        """Models whose record is known to be right, as they were then."""
        self._told = False
        self._again = False
        """Not all that is in force now is recorded: the next look does it."""
        self._dirty = False

    def load(self, first: int, last: int) -> None:
        """Go on with a chain that has these records. A file that cannot be read was none."""
        self._seen.clear()
        self._told, self._again = False, True
        try:
            said = json.loads(self._path.read_bytes())
            found = {str(target): Known(str(h), str(p), int(seq)) for target, (h, p, seq) in said.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            found = {}
        self._known = found
        self.keep(first, last)
        self.hashes |= {known.policy for known in self._known.values()}

    def keep(self, first: int, last: int) -> None:
        """Only these records are there (any more): what others said is recorded anew by the next look."""
        gone = {target for target, known in self._known.items() if not first <= known.seq <= last}
        for target in gone:
            self.hashes.discard(self._known.pop(target).policy)
            self._seen.pop(target, None)
        if gone:
            self._dirty = self._again = True

    def look(self) -> None:
        """Record what is new."""
        if self._again and self._now is not None:
            self._record(self._now)
        while self._given:
            self._now = self._given.popleft()
            self._record(self._now)

    def explain(self, named: str) -> None:
        """An answer names a policy that is not recorded: it is, from now on, if this process has it.

        What else is new has to wait: this may be taken back together with the answer.
        """
        while named not in self.hashes and self._given:
            self._now, self._again = self._given.popleft(), True
            self._set_all(self._now)

    def _set_all(self, models: Models) -> None:
        for target in sorted(models):
            model = models[target]
            if self._seen.get(target) is not model:
                self._set(model)

    def _record(self, models: Models) -> None:
        self._again = False
        self._set_all(models)
        for target in sorted(self._known.keys() - models.keys()):
            self._add({"kind": Kind.IN_FORCE, "event": GONE, "slm.target": target})
            del self._known[target]
            self._seen.pop(target, None)
            self._dirty = True
        if not self._told:
            whole = {target: known.hash for target, known in self._known.items()}
            self._add({"kind": Kind.IN_FORCE, "event": ALL, "models": len(whole), "slm.in_force": hash_of(whole)})
            self._told = True

    def _set(self, model: Model) -> None:
        said = in_force(model)
        made, known = hash_of(said), self._known.get(model.target)
        if known is None or known.hash != made:
            body = {"kind": Kind.IN_FORCE, "event": SET, "generation": model.generation, **said}
            self._known[model.target] = Known(made, said["slm.policy"], self._add(body))
            self._dirty = True
        self.hashes.add(said["slm.policy"])
        self._seen[model.target] = model

    def save(self, committed: int) -> None:
        """Remember what is recorded for good, up to this record.

        Raises:
            OSError: it cannot be written; the next start records some of it again.
        """
        if not self._dirty:
            return
        said = {t: (known.hash, known.policy, known.seq) for t, known in self._known.items() if known.seq <= committed}
        replace(self._path, json.dumps(said).encode())
        self._dirty = len(said) < len(self._known)
