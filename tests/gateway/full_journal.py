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


class Drill:
    """One gateway, begun again and again. `let_go`: requests that were, and have not ended."""

    def __init__(self, folder: Path) -> None:
        self.site, self.filler = Site(folder, Clock()), folder / "filler"
        self.gateway = self.site.start()
        self.let_go: set[str] = set()
        self.seen: dict[str, Any] = {"wrong": [], "not_kept": 0, "other": [], "unopened": 0, "spent": 0}

    async def let(self, name: str) -> None:
        assert await self.gateway.reserve(name, NEEDS) is None
        self.let_go.add(name)

    async def refused(self, name: str) -> bool:
        """While it is full: is it?"""
        told = await self.gateway.reserve(name, NEEDS)
        if told is None:
            self.let_go.add(name)
        elif told == Refused(Why.NOT_KEPT):
            self.seen["not_kept"] += 1
            return True
        else:
            self.seen["other"].append(repr(told))
        return False

    def killed_while_full(self) -> None:
        self.site.kill()
        try:
            self.site.start()
        except OSError:
            self.seen["unopened"] += 1
        self.site.kill()
        self.filler.unlink()

    async def killed_later(self, turn: int) -> None:
        """It goes on behind what may be half a line."""
        self.filler.unlink()
        for number in range(3):
            await self.let(f"{turn}-after-{number}")
        self.site.kill()

    async def begun_again(self, turn: int) -> None:
        """What it knows, of which half then ends."""
        self.gateway = self.site.start()
        known = set(self.gateway.purse.reservations)
        if not self.let_go <= known:
            self.seen["wrong"].append([turn, sorted(self.let_go - known)])
        ended = dict.fromkeys(sorted(self.let_go)[: len(self.let_go) // 2], 3)
        ended |= dict.fromkeys(known - self.let_go, 0)  # refused, and on the disk all the same: they never went
        used = tuple((name, {Unit.REQUESTS: int(n > 0), Unit.TOKENS: n}) for name, n in ended.items())
        await self.site.journals[-1].keep(Settled(used))
        self.let_go -= ended.keys()
        self.seen["spent"] += sum(n > 0 for n in ended.values())
        spent = [self.gateway.purse.parts[counter].used for counter in (TODAY, MONTH)]
        if spent != [self.seen["spent"], 3 * self.seen["spent"]]:
            self.seen["wrong"].append([turn, *spent, self.seen["spent"]])


async def drill(folder: Path) -> dict[str, Any]:
    lots, at_work = random.Random(11), Drill(folder)
    for turn in range(ROUNDS):
        for number in range(lots.randrange(1, 12)):  # so that the file ends anywhere in its page
            await at_work.let(f"{turn}-before-{number}")
        fill(at_work.filler, 0)
        refused = tried = 0
        while refused < 5:
            refused += await at_work.refused(f"{turn}-full-{tried}")
            tried += 1
        if turn % 2:
            await at_work.killed_later(turn)
        else:
            at_work.killed_while_full()
        await at_work.begun_again(turn)
    at_work.site.kill()
    return at_work.seen


def main(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", OPTIONS, "tmpfs", str(folder)], check=True)
    print(json.dumps(asyncio.run(drill(folder))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
