"""A gateway whose claim gets full, with the real Envoy and the real record, and what was seen of it as JSON:

    unshare --mount python -m tests.gateway.full_disk FOLDER Refuse|Continue

The folder becomes a small file system in memory, which nobody outside of the mount namespace sees.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from tests.fakes.clock import until
from tests.fakes.recording import agent_of
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_record import CHAT, answered, recording, verified

from smallmodel_operator.gateway.record import door, part

OPTIONS = "size=56m,huge=never"
"""A huge page would be room for thousands of lines in a file system that is full."""
WAIT_SECONDS = 60.0
KEPT_BYTES = 8 << 20
"""Left free with Refuse: less than it needs, and enough for what is under way."""


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"smallmodel_gateway_audit_{name}") or 0


def fill(path: Path, leave: int) -> None:
    """Take all room but so many bytes; 0: until nothing more can be written, whatever is said to be free."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while not leave:
            file.write(b"x" * 4096)
        while (free := os.statvfs(path).f_bavail * os.statvfs(path).f_frsize - leave) > 0:
            file.write(b"x" * min(free, 1 << 20))


class Drill:
    """The gateway at work, and what it answered: `200`s by request id, and how often something else."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.folder, self.gateway = folder, gateway
        self.ids: list[str] = []
        self.statuses: list[int] = []

    async def ask(self) -> int:
        answer = await asyncio.to_thread(self.gateway.post, CHAT, {"model": "bot"}, SUPPORT)
        self.statuses.append(answer.status)
        if answer.status == 200:
            self.ids.append(answer.headers["x-request-id"])
        return answer.status

    async def asks_until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not true():
                await self.ask()

    def counted(self) -> dict[str, Any]:
        """Envoy's last count beside the records, once all of it is recorded or known to be missing."""
        counts = verified(self.folder).counts()
        return counts[-1] if counts else {"finished": -1}


async def drill(folder: Path, mode: str, gateway: Gateway) -> dict[str, Any]:
    """Before, while and after the claim is full."""
    seen: dict[str, Any] = {}
    at_work, filler = Drill(folder, gateway), folder / "filler"
    async with recording(folder, audit_on_failure=mode) as agent:
        await at_work.asks_until(lambda: len(at_work.ids) >= 5)
        await until(lambda: at_work.ids[-1] in answered(folder), WAIT_SECONDS)
        seen["before"] = [trouble() for trouble in agent.troubles]

        fill(filler, KEPT_BYTES if mode == "Refuse" else 0)
        fault = (lambda: metric("refusing") == 1) if mode == "Refuse" else (lambda: metric("failing") == 1)
        await at_work.asks_until(fault)
        if mode == "Refuse":
            await at_work.asks_until(lambda: at_work.statuses[-1] == 503)
        else:
            await at_work.asks_until(lambda: metric("failures_total") > 0 or metric("unrecorded_requests") > 0)
        while_full = len(at_work.statuses)
        for _ in range(40):
            await at_work.ask()
        seen["while"] = at_work.statuses[while_full:]
        seen["troubles"] = [trouble() for trouble in agent.troubles]
        seen["refusing"], seen["failing"] = metric("refusing"), metric("failing")

        filler.unlink()
        await until(lambda: not any(trouble() for trouble in agent.troubles), WAIT_SECONDS)
        await at_work.asks_until(lambda: at_work.statuses[-1] == 200)
        after = len(at_work.ids)
        await at_work.asks_until(lambda: len(at_work.ids) >= after + 5)
        async with asyncio.timeout(WAIT_SECONDS):
            while at_work.counted()["finished"] != len(at_work.statuses):  # noqa: ASYNC110 - the state of files
                await asyncio.sleep(0.5)  # to look costs as much as to record
        seen["after"] = [metric("refusing"), metric("failing")]
    report, recorded = verified(folder), answered(folder)
    named = [i for i in recorded if i != "None"]  # what is refused has none
    return seen | {
        "faults": [str(fault) for fault in report.faults],
        "events": [note["event"] for note in report.notes],
        "count": at_work.counted(),
        "asked": len(at_work.statuses),
        "recorded": len(recorded),
        "twice": len(named) - len(set(named)),
        "lost": [at_work.ids.index(i) for i in at_work.ids if i not in recorded],
        "last": at_work.ids[after:] == [i for i in recorded if i in at_work.ids[after:]],
    }


def main(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", OPTIONS, "slm-claim", str(folder)], check=True)
    part.CHECKPOINT_SECONDS = 0.5  # type: ignore[misc]
    part.RETRY_SECONDS = 0.2  # type: ignore[misc]
    engine = Engine("bot").start()
    state = state_of((model("support/bot"),), {"support/bot": engine.port})
    if mode == "Refuse":
        door.prepare(agent_of(folder, None, audit_on_failure=mode).settings)
    with Gateway(folder, state, refuse=mode == "Refuse") as gateway:
        print(json.dumps(asyncio.run(drill(folder, mode, gateway))))
    engine.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
