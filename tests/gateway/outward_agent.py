"""A gateway with routes that lead outside whose agent is a process of its own, with a record on the disk:

with outward(folder) as way, agent(way) as process:
    process.send_signal(signal.SIGSTOP)
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gateway.decided import until_ready
from tests.gateway.outward import LABELLED, Outward
from tests.gateway.running import Answer


def left(answer: Answer) -> bool:
    """It was answered outside."""
    return answer.status == 200 and answer.json == {"served_by": "outside"}


@contextmanager
def agent(way: Outward, mode: str = "Continue", api: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """In place of who decides there. When it yields, what may leave does. `api`: address of an API server; then all
    routes keep requests."""
    way.end()
    folder, claim = Path(way.gateway.site.folder), Path(way.gateway.site.data)
    words = [str(folder), str(claim), str(way.bot.port), str(way.egress.port), mode, *([api] if api else [])]
    log = folder / "agent.log"
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "tests.fakes.leaving_agent", *words], stdout=out, stderr=out)
    try:
        # Until its chain is open everything stays inside, and the egress takes nothing signed when it began: then the
        # outside is left alone for a while, and it is no more once the log says of one that it was answered.
        until_ready(lambda: all(left(way.ask(key=LABELLED)) for _ in range(5)), log.read_text)
        way.forget()
        yield process
    finally:
        process.kill()
        process.wait(60)
        way.begin()
