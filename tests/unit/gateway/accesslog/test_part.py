"""The access log as a part of the agent."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY
from tests.fakes.clock import until

from smallmodel_operator.gateway.accesslog import part
from smallmodel_operator.gateway.agent import Agent

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


async def test_counts_and_forgets(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(part, "TIDY_SECONDS", 0.01)
    targets, synced = {"part/bot"}, True
    agent = SimpleNamespace(
        settings=SimpleNamespace(gateway_data_dir=tmp_path),
        admin=SimpleNamespace(reopen_logs=lambda: asyncio.sleep(0)),
        writer=SimpleNamespace(targets=targets),
        synced=lambda: synced,
    )
    bot = {"namespace": "part", "model": "bot"}
    garbage = value("log_garbage_total", reason="unreadable") or 0
    task = asyncio.create_task(part.read_log(cast(Agent, agent)))
    try:
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
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert json.loads((tmp_path / "access.log.position").read_text())["offset"] > 0
