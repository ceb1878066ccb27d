"""`slm audit show`: one request, and what was in force for it."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from smallmodel_operator.audit.record import Kind, Record
from smallmodel_operator.audit.verify import POLICY
from smallmodel_operator.cli.audit import FAULTY, Chain, NoRecords, chains, failed


def show(request: str, names: list[str], output: str) -> int:
    """Print the records of one request; 1 when there is none."""
    try:
        found = [
            (chain, record)
            for chain in chains(names)
            for record, _ in chain.records()
            if record.kind == Kind.ANSWER and record.body.get("request.id") == request
        ]
    except (NoRecords, OSError) as error:
        return failed(str(error))
    if not found:
        return failed(f"no record of request {request!r}: it may have come to a gateway whose records are not here.", 1)
    if output == "json":
        print(json.dumps([_value(chain, record) for chain, record in found], indent=2))
        return 0 if all(record.intact for _, record in found) else FAULTY
    for chain, record in found:
        _table({k: v for k, v in record.body.items() if k not in ("kind", "commit")})
        if policy := in_force_of(chain, record):
            print(f"in force for it, by record {policy.seq} of {policy.body.get('time')}:")
            _table({k: policy.body[k] for k in ("generation", "policy", "engine") if k in policy.body})
        elif POLICY in record.body:
            print("no record here says what that policy is")
        state = "is as it was written" if record.intact else "IS NOT what was written"
        print(
            f"record {record.seq} of {chain.folder} {state}; `slm audit verify {chain.folder}` checks the whole chain"
        )
    return 0 if all(record.intact for _, record in found) else FAULTY


def _table(values: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in sorted(values.items()):
        table.add_row(name, json.dumps(value) if isinstance(value, dict) else str(value))
    Console().print(table)


def _value(chain: Chain, record: Record) -> dict[str, Any]:
    policy = in_force_of(chain, record)
    more = {"inForce": {**policy.body, "hash": policy.hash, "intact": policy.intact}} if policy else {}
    return {**record.body, "hash": record.hash, "intact": record.intact, **more}


def in_force_of(chain: Chain, answer: Record) -> Record | None:
    """The record that says what the policy of an answer is: the last one before it, else (old segments were removed and
    it was recorded anew) the first one after it."""
    found = None
    for record, _ in chain.records():
        fits = record.kind == Kind.IN_FORCE and record.body.get(POLICY) == answer.body.get(POLICY) is not None
        if fits and (record.seq < answer.seq or found is None):
            found = record
    return found
