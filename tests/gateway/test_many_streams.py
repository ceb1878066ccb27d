"""A thousand streams at once through one Envoy: it keeps its memory, whether its callers read or not."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT

from smallmodel_operator.gateway.xds import clusters, listener

STREAMS = 1000
LIMIT_MIB = 1024
"""What the chart allows Envoy."""
OPEN_MIB = 192
"""A thousand streams that are read; each costs two connections and the way its tokens are counted."""

IDLE_MIB = 96
"""One that has just begun; it gives little back of what it once had."""
STALLED_MIB = (listener.BUFFER + clusters.BUFFER) / 2**20 + OPEN_MIB / STREAMS
"""One that is not read: full buffers on both sides, and what each stream costs. A thousand are less than Envoy has."""


def resident(gateway: Gateway) -> float:
    """Memory of Envoy, MiB."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=100),
        headers={"Authorization": f"Bearer {SUPPORT}"},
        read_bufsize=4096,
    )


def url(gateway: Gateway) -> str:
    return f"http://127.0.0.1:{gateway.port}/v1/chat/completions"


async def test_a_thousand_open_streams(gateway: Gateway) -> None:
    chunks = [f'data: {{"choices":[{{"delta":{{"content":"{n}"}}}}]}}\n\n' for n in range(8)]
    body = {"model": "bot", "stream": True, "fake_chunks": chunks, "fake_pause": 0.5}
    before, most, here = resident(gateway), 0.0, 0

    async def stream(asker: aiohttp.ClientSession) -> bytes:
        nonlocal most, here
        async with asker.post(url(gateway), json=body) as answer:
            assert answer.status == 200
            here += 1
            if here == STREAMS:
                most = resident(gateway)
            return await answer.read()

    async with session() as asker:
        answers = await asyncio.gather(*(stream(asker) for _ in range(STREAMS)))
    assert set(answers) == {"".join(chunks).encode()}
    assert most, "not all were open at once"
    print(f"\n{STREAMS} open streams: {before:.0f} to {most:.0f} MiB")
    assert most - before < OPEN_MIB


@pytest.mark.timeout(120)
@pytest.mark.parametrize("count", [STREAMS // 4, pytest.param(STREAMS, marks=pytest.mark.long)])
async def test_many_that_do_not_read_stall_nobody(gateway: Gateway, count: int) -> None:
    """Their answers wait in the engine, not in the gateway, beyond a buffer for each."""
    body = {"model": "bot", "fake_pause": 0, "fake_chunks": ["x" * 10_000], "fake_repeat": 1_000}
    before = resident(gateway)
    async with session() as asker:
        answers = await asyncio.gather(*(asker.post(url(gateway), json=body) for _ in range(count)))
        assert {a.status for a in answers} == {200}
        await asyncio.sleep(3)  # the engine writes until it is stopped
        most, waits = resident(gateway), []
        for _ in range(7):
            began = time.monotonic()
            async with asker.post(url(gateway), json={"model": "bot"}) as quick:
                assert quick.status == 200
                await quick.read()
            waits.append(time.monotonic() - began)
        print(f"\n{count} that do not read: {before:.0f} to {most:.0f} MiB; others wait {max(waits) * 1e3:.0f} ms")
        assert most - before < count * STALLED_MIB
        assert IDLE_MIB + STREAMS * STALLED_MIB < LIMIT_MIB * 0.75, "below where Envoy begins to refuse"
        assert sorted(waits)[3] < 10  # stalled, they would wait until their timeout
        for answer in answers:
            answer.close()
