"""The access log as a part of the agent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY
from tests.fakes.clock import until

from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.gateway.accesslog import part, rotate
from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.metrics import REQUESTS
from smallmodel_operator.gateway.accesslog.recent import Recent
from smallmodel_operator.gateway.admin import Unreachable
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.decide.outages import Outages
from smallmodel_operator.gateway.state import State

LINE = {
    "http.response.status_code": 200,
    "http.response.content_type": "application/json",
    "slm.target": "part/bot",
    "slm.caller": "sa:part/app",
    "slm.end_to_end_us": 1000,
    "slm.response.flags": "-",
}


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"smallmodel_gateway_{name}", labels)


@asynccontextmanager
async def reading(agent: SimpleNamespace) -> AsyncIterator["asyncio.Task[None]"]:
    counted = Counted(agent.settings.gateway_data_dir, REQUESTS)
    task = asyncio.create_task(part.read_log(cast(Agent, agent), counted))
    try:
        yield task
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def agent_of(folder: Path, **fields: Any) -> SimpleNamespace:
    base: dict[str, Any] = {
        "settings": SimpleNamespace(gateway_data_dir=folder),
        "admin": SimpleNamespace(reopen_logs=lambda: asyncio.sleep(0)),
        "writer": SimpleNamespace(targets=(), state=State()),
        "world": SimpleNamespace(models=SimpleNamespace(objects={})),
        "synced": lambda: True,
        "counts": dict,
        "outages": Outages(),
        "recent": Recent(),
    }
    return SimpleNamespace(**{**base, **fields})


async def test_counts_and_forgets(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(part, "TIDY_SECONDS", 0.01)
    targets, synced = {"part/bot"}, True
    agent = agent_of(tmp_path, writer=SimpleNamespace(targets=targets, state=State()), synced=lambda: synced)
    bot = {"namespace": "part", "model": "bot"}
    garbage = value("log_garbage_total", reason="unreadable") or 0
    async with reading(agent):
        (tmp_path / "access.log").write_bytes(json.dumps(LINE).encode() + b"\nno line\n")
        await until(
            lambda: (
                value("requests_total", **bot, caller_class="service-account", code="200") == 1
                and value("log_garbage_total", reason="unreadable") == garbage + 1
            ),
            5,
        )
        assert value("end_to_end_seconds_count", **bot) == 1
        # Before all models were seen an absent one may exist all the same.
        synced = False
        targets.clear()
        await asyncio.sleep(0.1)
        assert value("end_to_end_seconds_count", **bot) == 1
        synced = True
        await until(lambda: value("end_to_end_seconds_count", **bot) is None, 5)
    assert json.loads((tmp_path / "access.log.position").read_text())["offset"] > 0


async def test_trouble_is_told_while_it_lasts(tmp_path: Path, monkeypatch: Any) -> None:
    """No disk fails on demand, so a folder stands where the position should be saved, and Envoy hears nothing."""
    for module, name in ((part, "TIDY_SECONDS"), (rotate, "LOOK_SECONDS")):
        monkeypatch.setattr(module, name, 0.01)
    in_the_way = tmp_path / "access.log.position"
    in_the_way.mkdir()
    (tmp_path / "access.log").write_bytes(json.dumps(LINE).encode() + b"\n")
    deaf = True

    async def reopen() -> None:
        if deaf:
            raise Unreachable("Envoy does not answer")
        (tmp_path / "access.log").touch()

    def troubled(work: str) -> bool:
        return value("log_problem", work=work) == 1

    async with reading(agent_of(tmp_path, admin=SimpleNamespace(reopen_logs=reopen))):
        await until(lambda: troubled("read") and not troubled("rotate"), 5)
        in_the_way.rmdir()
        await until(lambda: not troubled("read"), 5)
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        await until(lambda: troubled("rotate"), 5)
        deaf = False
        await until(lambda: not troubled("rotate"), 5)
        assert not troubled("read")


async def test_requests_of_a_model_with_an_objective_are_told(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(part, "FOLLOW_SECONDS", 0.01)
    model = SimpleNamespace(target="part/aim", bounds=Bounds(0.5))
    agent = agent_of(
        tmp_path,
        writer=SimpleNamespace(targets=("part/aim",), state=State()),
        world=SimpleNamespace(models=SimpleNamespace(objects={"a": model})),
    )
    stream = {"http.response.content_type": "text/event-stream", "call": "key:part/aim||chat|part/aim"}
    async with reading(agent):
        await until(lambda: "part/aim" in agent.counts(), 5)
        (tmp_path / "access.log").write_bytes(
            b"".join(json.dumps({**LINE, **stream, "slm.ttft_us": us}).encode() + b"\n" for us in (200_000, 700_000))
        )
        await until(lambda: agent.counts()["part/aim"]["counted"] == 2, 5)
        assert agent.counts()["part/aim"]["good"] == 1
        model.bounds = Bounds()
        await until(lambda: agent.counts() == {}, 5)
