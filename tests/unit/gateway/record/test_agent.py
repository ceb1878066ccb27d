"""The record beside a whole agent: what /readyz says of it."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import Configuration
from tests.fakes.chain import line
from tests.fakes.clock import until
from tests.fakes.recording import counted_of
from tests.fakes.renderer import PlainRenderer

from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.files import Files, dump
from smallmodel_operator.gateway.known import KNOWN, remember
from smallmodel_operator.gateway.record import part
from smallmodel_operator.gateway.record.segments import Segments
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.view import Keys


@asynccontextmanager
async def running(folder: Path, on_failure: Any) -> AsyncIterator[Agent]:
    """An agent that remembers its keys, with an Envoy that takes requests and no API server."""
    Files(folder).write(KNOWN, dump(remember(Keys({}, b"m" * 32), None)))
    client = Client(Configuration(host="http://127.0.0.1:1"), Fence.open())
    settings = GatewaySettings(
        gateway_dir=folder, gateway_data_dir=folder, gateway_http_port=0, gateway_drain_seconds=0,
        audit_on_failure=on_failure,
    )  # fmt: skip
    agent, stop = Agent(settings, client, PlainRenderer()), asyncio.Event()

    async def ready(**_: object) -> bool:
        return True

    agent.admin.ready = ready  # type: ignore[method-assign]
    counted = counted_of(agent.settings.gateway_data_dir)
    task = asyncio.create_task(agent.run(stop, [partial(part.record, counted=counted)]))
    try:
        await until(lambda: agent.http_port)
        yield agent
        assert not task.done()
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=10)
        await client.close()


async def readyz(agent: Agent) -> tuple[int, str]:
    address = f"http://127.0.0.1:{agent.http_port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("on_failure", "status", "said"), [("Continue", 200, "served"), ("Refuse", 503, "refused")])
async def test_a_claim_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_failure: str, status: int, said: str
) -> None:
    monkeypatch.setattr(part, "RETRY_SECONDS", 0.05)
    async with running(tmp_path, on_failure) as agent:
        await until(lambda: (tmp_path / "audit" / "head.json").exists())
        await until(lambda: not agent.refusing())
        assert (await readyz(agent))[0] == 200

        def full(self: Segments, data: bytes, first: int, **_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Segments, "append", full)
            (tmp_path / "access.log").write_bytes(line(1))
            await until(lambda: any(trouble() for trouble in agent.troubles))
            found, text = await readyz(agent)
            assert found == status
            assert f"answers cannot be recorded: No space left on device. Requests are {said}" in text
        await until(lambda: not any(trouble() for trouble in agent.troubles))
        assert (await readyz(agent))[0] == 200
    report = check(chains([str(tmp_path / "audit")])[0])
    assert (report.faults, report.answers) == ([], 1)
