"""`slm audit show`: one request, and what was in force for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from rich.table import Table
from rich.text import Text

from smallmodel_operator.audit.policies import POLICY
from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.cli.audit import FAULTY, failed
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains, progress
from smallmodel_operator.cli.audit_words import plain
from smallmodel_operator.cli.console import stdout

MOST: Final = 10
"""Requests that are listed when several may be meant."""
_OWN: Final = frozenset({"kind", "commit", "key", "signature"})


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer, where it is, and the record that says what its policy is."""

    chain: Chain
    record: Record
    policy: Record | None


class NotOne(Exception):  # noqa: N818 - says what is the matter
    """No request is meant, or several are."""


def show(request: str, names: list[str], output: str) -> int:
    """Print the records of one request; 1 when there is none. The beginning of its id does, if no other begins so."""
    try:
        found = one_request(request, names)
    except (NoRecords, OSError) as error:
        return failed(str(error))
    except NotOne as error:
        return failed(str(error), FAULTY)
    if output in ("json", "yaml"):
        values = [_value(item) for item in found]
        print(json.dumps(values, indent=2) if output == "json" else yaml.safe_dump(values, sort_keys=False), end="")
        print("" if output == "yaml" else "\n", end="")
    else:
        for item in found:
            _print(item)
    return 0 if all(item.record.intact for item in found) else FAULTY


def one_request(request: str, names: list[str]) -> list[Shown]:
    """All records of the request whose id is this, or begins so.

    Raises:
        NoRecords: there is nothing to read.
        OSError: a folder is gone.
        NotOne: there is no such request, or several begin so.
    """
    known = chains(names)
    with progress(known) as read_up:
        found = [item for chain in known for item in _in(chain, request, read_up)]
    whole = [item for item in found if _id(item.record) == request]
    found, ids = whole or found, sorted({_id(item.record) for item in whole or found})
    if not found:
        raise NotOne(
            f"no record of request {request!r}: it may have come to a gateway whose records are not here, or these "
            "are of another time (`slm audit tail` shows the last ones)."
        )
    if len(ids) > 1:
        listed = ", ".join(ids[:MOST]) + (f" and {len(ids) - MOST} more" if len(ids) > MOST else "")
        raise NotOne(f"{len(ids)} requests begin with {request!r}: {listed}. Give more of the one that is meant.")
    return found


def _id(record: Record) -> str:
    return str(record.body.get("request.id", ""))


def _in(chain: Chain, request: str, read_up: Any) -> list[Shown]:
    """Answers whose id begins so. What is in force for one is the last record before it that says it, else (old
    segments were removed and it was recorded anew) the first one after it."""
    found: list[tuple[Record, Record | None]] = []
    said: dict[object, Record] = {}
    for record, _ in chain.records(read_up):
        if record is None:
            continue
        if record.kind == Kind.IN_FORCE and record.body.get(POLICY) is not None:
            named = str(record.body[POLICY])
            said[named] = record
            found = [(a, p or (record if a.body.get(POLICY) == named else None)) for a, p in found]
        elif record.kind == Kind.ANSWER and request and _id(record).startswith(request):
            found.append((record, said.get(str(record.body.get(POLICY)))))
    return [Shown(chain, answer, policy) for answer, policy in found]


def _print(item: Shown) -> None:
    record, policy = item.record, item.policy
    _table({k: v for k, v in record.body.items() if k not in _OWN})
    if policy:
        print(plain(f"in force for it, by record {policy.seq} of {policy.body.get('time')}:"))
        _table({k: policy.body[k] for k in ("generation", "policy", "engine") if k in policy.body})
    elif POLICY in record.body:
        print("no record here says what that policy is")
    state = "is as it was written" if record.intact else "IS NOT what was written"
    folder = item.chain.folder
    print(f"record {record.seq} of {folder} {state}; `slm audit verify {folder}` checks the whole chain")


def _table(values: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in sorted(values.items()):
        # No markup: what callers chose is among them.
        table.add_row(Text(plain(name)), Text(plain(json.dumps(value) if isinstance(value, dict) else str(value))))
    stdout().print(table)


def _value(item: Shown) -> dict[str, Any]:
    record, policy = item.record, item.policy
    more = {"inForce": {**policy.body, "hash": policy.hash, "intact": policy.intact}} if policy else {}
    return {**record.body, "hash": record.hash, "intact": record.intact, **more}
