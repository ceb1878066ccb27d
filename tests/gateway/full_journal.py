"""A budget's journal on a claim that gets full again and again, its gateway killed each time, what was seen as JSON:

    unshare --mount --propagation private python -m tests.gateway.full_journal FOLDER

The folder becomes a small file system in memory, which nobody outside of the mount namespace sees. Real are the file
system and the journal; the registers it shares are in this process.
"""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fakes.clock import Clock
from tests.gateway.full_disk import fill
from tests.unit.gateway.budget.test_counting import MONTH, TODAY, Site

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.journal import Settled
from smallmodel_operator.budget.need import Asked, Needs, Refused, Why

ROUNDS = 40
OPTIONS = "size=128k,huge=never"
NEEDS: Needs = {TODAY: Asked(1, 10**6), MONTH: Asked(5, 10**7)}


async def drill(folder: Path) -> dict[str, Any]:
    """`let_go`: requests that were; `kept`: those that each journal begun again knew of."""
    lots, site, filler = random.Random(11), Site(folder, Clock()), folder / "filler"
    let_go: set[str] = set()
    seen: dict[str, Any] = {"wrong": [], "not_kept": 0, "other": [], "unopened": 0, "spent": 0}
    gateway = site.start()
    for turn in range(ROUNDS):
        for number in range(lots.randrange(1, 12)):  # so that the file ends anywhere in its page
            name = f"{turn}-before-{number}"
            assert await gateway.reserve(name, NEEDS) is None
            let_go.add(name)
        fill(filler, 0)
        refused = 0
        while refused < 5:
            name = f"{turn}-full-{len(let_go)}-{seen['not_kept']}"
            told = await gateway.reserve(name, NEEDS)
            if told is None:
                let_go.add(name)
            elif told == Refused(Why.NOT_KEPT):
                refused += 1
                seen["not_kept"] += 1
            else:
                seen["other"].append(repr(told))
        if turn % 2:  # it goes on behind what may be half a line
            filler.unlink()
            for number in range(3):
                assert await gateway.reserve(f"{turn}-after-{number}", NEEDS) is None
                let_go.add(f"{turn}-after-{number}")
            site.kill()
        else:
            site.kill()
            try:
                site.start()
            except OSError:
                seen["unopened"] += 1
            site.kill()
            filler.unlink()
        gateway = site.start()
        known = set(gateway.purse.reservations)
        if not let_go <= known:
            seen["wrong"].append([turn, sorted(let_go - known)])
        ended = {name: 3 for name in sorted(let_go)[: len(let_go) // 2]}
        ended |= dict.fromkeys(known - let_go, 0)  # refused, and on the disk all the same: they never went
        used = tuple((name, {Unit.REQUESTS: 1 if n else 0, Unit.TOKENS: n}) for name, n in ended.items())
        await site.journals[-1].keep(Settled(used))
        seen["spent"] += sum(n > 0 for n in ended.values())
        let_go -= ended.keys()
        if (requests := gateway.purse.parts[TODAY].used) != seen["spent"]:
            seen["wrong"].append([turn, requests, seen["spent"]])
        if (tokens := gateway.purse.parts[MONTH].used) != 3 * seen["spent"]:
            seen["wrong"].append([turn, tokens, 3 * seen["spent"]])
    site.kill()
    return seen


def main(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", OPTIONS, "tmpfs", str(folder)], check=True)
    print(json.dumps(asyncio.run(drill(folder))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
