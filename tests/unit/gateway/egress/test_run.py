"""The process that checks: what it starts with, and that it does not start with less."""

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import aiohttp
import pytest
from tests.fakes.clock import until

from smallmodel_operator.boundary.declared import dump, parse
from smallmodel_operator.boundary.passes import LEAD_MS
from smallmodel_operator.cli import egress as commands
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.egress import http, run
from smallmodel_operator.gateway.egress.server import milliseconds
from smallmodel_operator.gateway.egress.settings import EgressSettings

HOSTS = (parse("support/assistant/cloud", "https://api.example.com/v1"),)


@pytest.fixture
def settings(tmp_path: Path) -> EgressSettings:
    (tmp_path / "hosts.json").write_text(dump(HOSTS))
    return EgressSettings(dir=tmp_path / "run", hosts=tmp_path / "hosts.json", keys=("ab" * 32,), http_port=0)


def test_what_envoy_starts_with_is_written(settings: EgressSettings) -> None:
    run.prepare(settings)
    found = json.loads((settings.dir / "bootstrap.json").read_text())
    assert [c["name"] for c in found["static_resources"]["clusters"]] == ["check", HOSTS[0].name]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "SLM_EGRESS_KEYS"),
        ({"SLM_EGRESS_KEYS": ""}, "SLM_EGRESS_KEYS: Value error, give at least one"),
        ({"SLM_EGRESS_KEYS": "ab"}, "SLM_EGRESS_KEYS"),
        ({"SLM_EGRESS_KEYS": "ab" * 32, "SLM_EGRESS_HOSTS": "/nowhere/hosts.json"}, "hosts.json"),
    ],
)
def test_without_a_key_or_hosts_it_does_not_start(
    env: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands.logging, "configure", lambda *_: None)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for command in (commands.prepare, commands.run):
        assert command() in (1, 2)
        assert said in capsys.readouterr().err


async def test_it_answers_until_it_is_told_to_end(settings: EgressSettings) -> None:
    settings.dir.mkdir()
    process = asyncio.create_task(run.run(settings))
    socket = settings.site.check_socket
    await until(lambda: process.done() or os.path.exists(socket), 10)
    assert stat.S_IMODE(os.stat(socket).st_mode) == 0o600
    connector = aiohttp.UnixConnector(socket)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://check/v1/chat/completions", data=b"{}") as answer,
    ):
        assert (answer.status, answer.headers["x-slm-cause"]) == (503, "unknown-target")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(process, 10)
    await until(lambda: not os.path.exists(socket))


@pytest.mark.parametrize(("ago", "said"), [(0, "used before this began"), (LEAD_MS + 1000, "Envoy is not ready")])
async def test_it_is_not_ready_while_nothing_could_pass(tmp_path: Path, ago: int, said: str) -> None:
    async with Admin(tmp_path / "admin.sock") as admin:
        runner = await http.serve(0, admin, milliseconds() - ago)
        try:
            port = next(address[1] for address in runner.addresses if len(address) == 2)  # each family has its own
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    assert (answer.status, said in await answer.text()) == (503, True)
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    assert "smallmodel_egress_checked" in await answer.text()
        finally:
            await runner.cleanup()
