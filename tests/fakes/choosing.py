"""Who decides for a gateway with routes that lead outside, as a process that a test can kill:
`python -m tests.fakes.choosing SOCKET`. Its records go nowhere."""

import asyncio
import sys
from pathlib import Path

from tests.gateway.outward import deciding, state

from smallmodel_operator.gateway.decide.server import serve


async def main(socket: Path) -> None:
    found = state(1, 1)

    async def record(_: object, content: bytes) -> None:
        pass

    async with serve(deciding(lambda: found, record), socket):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
