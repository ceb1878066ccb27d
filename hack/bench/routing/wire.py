"""`make bench-boundary-wire`: the requests of `make bench-boundary` over the wire, and what of them is outside then.

All of it is real but for the two models: the gateway's Envoy, its agent as a process with its record on the disk, the
egress with its Envoy and who checks passes there, and behind TLS somebody who keeps every byte. The last line of
standard output is one JSON object; 1 when one byte got outside that is not of a clean request, or fewer than 99 % of
the clean ones did, with another name of their model and nothing else changed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.fakes.upstream import Asked
from tests.gateway.outward import CHAT, LABELLED, MODEL, Outward, outward
from tests.gateway.outward_agent import agent

from hack.bench.routing.arrived import judged
from hack.bench.routing.asking import Connection, Got, asked
from hack.bench.routing.dressed import dressed
from hack.bench.routing.planted import Planted
from smallmodel_operator.cli.audit_files import chains

WANTED: Final = 0.99
ERROR: Final = 400
LATE: Final = ("TimedOut", "Busy")
MOST_ROUNDS: Final = 5
"""Requests that stayed for nothing that is in them are asked so often again."""
NAMES: Final = (b'"support"', b'"%b"' % MODEL.encode())


def measured(number: int, seed: int, connections: int) -> dict[str, Any]:
    """The JSON object."""
    sent = list(dressed(number, seed))
    columns = (TextColumn("asked"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with tempfile.TemporaryDirectory(prefix="slm") as name, outward(Path(name)) as way, agent(way):
        pool = [Connection(way.gateway.port, CHAT, LABELLED) for _ in range(connections)]
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task, began = progress.add_task("", total=number), time.monotonic()

            def ask(some: Sequence[int]) -> list[Got]:
                return asyncio.run(asked(pool, [sent[n].body for n in some], lambda: progress.advance(task)))

            got, late = ask(range(number)), 0
            for _ in range(MOST_ROUNDS):
                reasons = dict(_reasons(Path(way.gateway.site.data)))
                again = [n for n, answer in enumerate(got) if unlooked(answer, reasons)]
                late += len(again)
                progress.update(task, total=number + late)
                for n, answer in zip(again, ask(again), strict=True):
                    got[n] = answer
            seconds = time.monotonic() - began
        reasons = dict(_reasons(Path(way.gateway.site.data)))
        more = {"recorded_late": late, "seconds": round(seconds, 1), "connections": connections, "seed": seed}
        return told(sent, got, way, reasons) | more


def unlooked(answer: Got, reasons: dict[str, str]) -> bool:
    """It stayed for nothing that is in it: a full machine looked at it, or recorded that, too late."""
    said = reasons.get(answer.id, "")
    return not answer.outside and answer.status < ERROR and said in ("", *LATE)


def told(sent: Sequence[Planted], got: Sequence[Got], way: Outward, reasons: dict[str, str]) -> dict[str, Any]:
    """What was sent, what of it was answered how, and what of it is outside."""
    arrived = judged(sent, [asked.body for asked in way.outside.asked], NAMES)
    kinds, clean = Counter(one.kind for one in sent if one.kind), sum(not one.kind for one in sent)
    wrongly = Counter[str]()
    for one, answer in zip(sent, got, strict=True):
        if not one.kind:
            wrongly.update({said.rpartition("/")[2] for said in _said(reasons, answer)})
    return {
        "requests": len(sent),
        "sensitive": kinds.total(),
        "sensitive_by_kind": dict(sorted(kinds.items())),
        "sensitive_bodies_outside": arrived.foreign,
        "sensitive_bytes_outside": arrived.foreign_bytes,
        "planted_bytes_outside": {kind: arrived.planted.get(kind, 0) for kind in sorted(kinds)},
        "bytes_outside_unaccounted": way.outside.bytes - sum(map(_size, way.outside.asked)),
        "clean": clean,
        "clean_unchanged_outside": arrived.clean,
        "clean_share_outside": round(arrived.clean / clean, 5),
        "clean_twice_outside": arrived.twice,
        "kept_of_the_clean": dict(sorted(wrongly.items())),
        "inside": len(way.bot.asked),
        "answered": dict(Counter(f"{answer.status} {answer.code}".strip() for answer in got)),
        "degraded": dict(Counter(answer.degraded for answer in got if answer.degraded)),
        "asked_again": sum(answer.asked - 1 for answer in got),
    }


def _said(reasons: dict[str, str], answer: Got) -> list[str]:
    return [said for said in reasons.get(answer.id, "").split(",") if said]


def _reasons(data: Path) -> Iterator[tuple[str, str]]:
    """Why each request stayed, of the chain of records."""
    for chain in chains([str(data / "audit")]):
        for record, _ in chain.records():
            if record is not None and record.kind == "decision":
                yield str(record.body.get("request.id")), str(record.body.get("slm.decision.reasons", ""))


def _size(asked: Asked) -> int:
    """Bytes of a request as it comes from an Envoy."""
    head = f"{asked.method} {asked.path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in asked.headers.items())
    return len(head.encode()) + len(b"\r\n") + len(asked.body)


def main() -> int:
    """Print the table and one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=8)
    options.add_argument("--connections", type=int, default=4)
    wanted = options.parse_args()
    found = measured(wanted.requests, wanted.seed, wanted.connections)
    print(f"{'':20} {'planted':>9} {'bytes outside':>15} {'wrongly found':>15}")
    sent, kept = found["sensitive_by_kind"], found["kept_of_the_clean"]
    for kind in sorted(sent.keys() | kept.keys()):
        outside = found["planted_bytes_outside"].get(kind, 0)
        print(f"{kind:20} {sent.get(kind, 0):9} {outside:15} {100 * kept.get(kind, 0) / found['clean']:13.3f} %")
    print(json.dumps(found))
    return int(not held(found))


def held(found: dict[str, Any]) -> bool:
    """Nothing got outside but clean requests, unchanged, and nearly all of these."""
    nothing = found["sensitive_bytes_outside"] == found["bytes_outside_unaccounted"] == 0
    return nothing and not any(found["planted_bytes_outside"].values()) and found["clean_share_outside"] >= WANTED


if __name__ == "__main__":
    sys.exit(main())
