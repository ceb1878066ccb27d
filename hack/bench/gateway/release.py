"""From zero: how long after its engine is loaded a held request is answered. Two gateways, real agents and Envoys."""

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
from tests.gateway.activation.stage import Stage, gateways, headers

QUICK = Stage(schedule=0.05, container=0.05, load=0.1, kubelet=5.0)
"""Its kubelet says ready 5 s after the engine is: what is measured is the gateway's own finding out."""


async def measure(folder: Path, times: int) -> dict[str, Any]:
    """Wake a model so many times, through both gateways in turn. Milliseconds from loaded to the whole answer, the
    mock engine's own time in it.

    Raises:
        RuntimeError: a held request was not answered with 200.
    """
    delays = []
    body = {"model": "bot", "stream": True, "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 900}]}
    async with QUICK as stage, gateways(folder, stage) as both, aiohttp.ClientSession() as session:
        for n in range(times):
            url = both[n % len(both)].url + "/v1/chat/completions"
            async with session.post(url, json=body, headers=headers()) as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise RuntimeError(f"a held request got {answer.status}: {text[:300]}")
            delays.append((time.monotonic() - stage.ready_at) * 1000)
            await stage.sleep()
            await asyncio.sleep(0.1)
            if (n + 1) % 5 == 0:
                print(f"from zero: {n + 1} of {times} cold starts", file=sys.stderr, flush=True)
    return {
        "cold_starts": times,
        "median_ms": round(statistics.median(delays), 1),
        "max_ms": round(max(delays), 1),
    }
