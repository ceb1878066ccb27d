"""What was in force, as the records of a chain say it: is it said what the hashes in answers are hashes of, and do
answers have what it promises? Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from smallmodel_operator.audit.record import Kind, Record, canonical
from smallmodel_operator.audit.request import FIELD

POLICY: Final = "slm.policy"
DECISION_POLICY: Final = "slm.decision.policy"
"""Hash of the policy of a route, in decisions."""
REQUEST_HMAC: Final = "requestHMAC"
"""Entry of a policy under which each request's record has an HMAC, or why it has none."""
_SENT: Final = "gen_ai.response.model"
"""Field of an answer whose request went on to its model, held or not."""
ALL, GONE, ROUTE = "all", "removed", "route"
"""Events of records of what is in force; `route` says it of a route, any other one of a model."""
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
        self._stamping: set[str] = set()
        """Hashes of policies with `requestHMAC`."""
        self._bare = (0, 0)
        """Answers under those without one: the first, and how many."""

    def named(self, record: Record) -> None:
        """An answer, or a decision, that names one."""
        named = record.body.get(POLICY if record.kind == Kind.ANSWER else DECISION_POLICY)
        if isinstance(named, str) and named not in self._explained:
            first, number = self._unexplained.get(named, (record.seq, 0))
            self._unexplained[named] = (first, number + 1)
        if named in self._stamping and _SENT in record.body and FIELD not in record.body:
            self._bare = (self._bare[0] or record.seq, self._bare[1] + 1)

    def said(self, record: Record, *, whole: bool) -> str:
        """What a record says has to be what the hash it gives is a hash of: a warning, or nothing. `whole`: the chain
        is there from its first record on."""
        body, target = record.body, str(record.body.get("slm.target"))
        if body.get("event") == ALL:
            if whole and body.get("slm.in_force") != hash_of(self._now):
                return f"record {record.seq} counts other models in force than the records before it say"
        elif body.get("event") == GONE:
            self._now.pop(target, None)
        elif body.get("event") == ROUTE:
            said = body.get("policy")
            if not isinstance(said, dict) or f"sha256:{hash_of(said)}" != body.get(DECISION_POLICY):
                return f"record {record.seq} says another policy than the hash it gives for it"
            self._explained.add(str(body[DECISION_POLICY]))
        else:
            self._now[target] = hash_of({k: v for k, v in body.items() if k not in _AROUND})
            named, said = body.get(POLICY), body.get("policy")
            if not isinstance(named, str) or not isinstance(said, dict) or hash_of(said) != named:
                return f"record {record.seq} says another policy than the hash it gives for it"
            self._explained.add(named)
            if REQUEST_HMAC in said:
                self._stamping.add(named)
        return ""

    def wanting(self, *, whole: bool) -> list[tuple[int, str]]:
        """What answers lack: a warning for each, and how many name a policy no record says. They have to follow what
        they name; where the beginning is gone it may be recorded anew after them."""
        return [*self._unknown(whole=whole), *((0, warning) for warning in self._without_hmac())]

    def _unknown(self, *, whole: bool) -> Iterator[tuple[int, str]]:
        for named, (first, number) in self._unexplained.items():
            if whole or named not in self._explained:
                what = "decision" if named.startswith("sha256:") else "answer"
                said = f"{number} {what}(s), the first in record {first}, name the policy {named[:64]}, and no record"
                yield number, f"{said} {'before them ' if whole else ''}says what it is"

    def _without_hmac(self) -> Iterator[str]:
        first, number = self._bare
        if number:
            yield (
                f"{number} answer(s), the first in record {first}, have neither the HMAC of their request, which their "
                "policy promises, nor a word why there is none"
            )


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()
