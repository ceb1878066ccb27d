"""What was in force, as the records of a chain say it: is it said what the hashes in answers are hashes of? Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from smallmodel_operator.audit.record import Record, canonical

POLICY: Final = "slm.policy"
ALL, GONE = "all", "removed"
"""Events of records of what is in force; any other one says it of a model."""
_AROUND: Final = frozenset({"kind", "event", "time", "generation", "seq", "prev", "commit", "key", "signature"})


class Policies:
    """Of one chain, record after record."""

    def __init__(self) -> None:
        self._explained: set[str] = set()
        """Hashes of policies that a record said the content of."""
        self._now: dict[str, str] = {}
        """By model, the hash of all that its last record said of it."""
        self._unexplained: dict[str, tuple[int, int]] = {}
        """Of others: the first record that names it, and how many do."""

    def answer(self, record: Record) -> None:
        """An answer that names one."""
        named = record.body.get(POLICY)
        if isinstance(named, str) and named not in self._explained:
            first, number = self._unexplained.get(named, (record.seq, 0))
            self._unexplained[named] = (first, number + 1)

    def said(self, record: Record, *, whole: bool) -> str:
        """What a record says has to be what the hash it gives is a hash of: a warning, or nothing. `whole`: the chain
        is there from its first record on."""
        body, target = record.body, str(record.body.get("slm.target"))
        if body.get("event") == ALL:
            if whole and body.get("slm.in_force") != hash_of(self._now):
                return f"record {record.seq} counts other models in force than the records before it say"
        elif body.get("event") == GONE:
            self._now.pop(target, None)
        else:
            self._now[target] = hash_of({k: v for k, v in body.items() if k not in _AROUND})
            named, said = body.get(POLICY), body.get("policy")
            if not isinstance(named, str) or not isinstance(said, dict) or hash_of(said) != named:
                return f"record {record.seq} says another policy than the hash it gives for it"
            self._explained.add(named)
        return ""

    def unknown(self, *, whole: bool) -> list[tuple[int, str]]:
        """Answers whose policy no record says, and a warning for each. They have to follow what they name; where the
        beginning is gone it may be recorded anew after them."""
        return [
            (
                number,
                f"{number} answer(s), the first in record {first}, name the policy {named[:64]}, and no record "
                f"{'before them ' if whole else ''}says what it is",
            )
            for named, (first, number) in self._unexplained.items()
            if whole or named not in self._explained
        ]


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()
