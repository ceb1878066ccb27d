"""The record as a part of the agent: it waits for its key, says what fails, and ends with a signature."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.fakes.chain import line
from tests.fakes.clock import until
from tests.fakes.recording import MASTER, agent_of, counted_of
from tests.gateway.states import model

from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.audit.verify import BEGAN
from smallmodel_operator.boundary.said import Said
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.core.keys import audit_seed
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.record import count, part, silent
from smallmodel_operator.gateway.record.segments import Segments
from smallmodel_operator.gateway.view import Keys


class Envoy:
    """An admin interface that counts what it is told."""

    def __init__(self, total: int = 0) -> None:
        self.finished = total

    async def total(self, pattern: str) -> int:
        return self.finished if pattern == count.TOTAL else 0


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"smallmodel_gateway_audit_{name}", labels) or 0


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name in ((part, "CHECKPOINT_SECONDS"), (part, "RETRY_SECONDS"), (part, "POLL_SECONDS")):
        monkeypatch.setattr(where, name, 0.02)
    monkeypatch.setattr(count, "FLUSH_SECONDS", 0.02)


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[None]:
    counted = counted_of(agent.settings.gateway_data_dir)
    task = asyncio.create_task(part.record(agent, counted))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def log(folder: Path, first: int, last: int) -> None:
    with (folder / "access.log").open("ab") as file:
        file.writelines(line(number) for number in range(first, last + 1))


def report(folder: Path, key: str = "") -> Report:
    """Of an empty chain where there is none yet."""
    found = chains([str(folder / "audit")]) if list(folder.glob("audit/*.jsonl")) else []
    return check(found[0], [key] if key else []) if found else Report()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for p in sorted((folder / "audit").glob("*.jsonl")) for x in p.read_bytes().splitlines()]


async def test_lines_become_records_with_a_count_and_a_signature(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").touch()
    os.utime(tmp_path / "admin.sock", (1, 1))
    before, envoy = value("records_total"), Envoy(3)
    async with running(agent_of(tmp_path, envoy)):
        log(tmp_path, 1, 3)
        await until(lambda: value("records_total") == before + 3)
        await until(lambda: report(tmp_path).counts(), 10)
        envoy.finished = 5
        await until(lambda: value("unrecorded_requests") == 2)
        log(tmp_path, 4, 5)
        await until(lambda: value("unrecorded_requests") == 0)
        log(tmp_path, 6, 6)
    found = report(tmp_path, Signer(audit_seed(MASTER, "gateway-0")).public)
    assert found.faults == []
    assert found.answers == 6, "the last line was read when it ended"
    assert found.signed_to == found.last
    assert "configuration" in {n["event"] for n in found.notes}
    assert value("failing") == 0


async def test_the_last_count_is_in_the_chain_though_nothing_comes_after_it(tmp_path: Path) -> None:
    """A checkpoint has the count of a look that began before it: what came meanwhile is in the next one only."""
    (tmp_path / "admin.sock").touch()
    os.utime(tmp_path / "admin.sock", (1, 1))
    envoy = Envoy(3)
    async with running(agent_of(tmp_path, envoy)):
        log(tmp_path, 1, 3)
        await until(lambda: [c["finished"] for c in report(tmp_path).counts()] == [3], 10)
        envoy.finished = 5  # no line of them comes
        await until(lambda: [(c["finished"], c["missing"]) for c in report(tmp_path).counts()] == [(5, 2)], 10)


async def test_what_is_given_to_envoy_is_recorded_without_any_answer(tmp_path: Path) -> None:
    agent, remembered = agent_of(tmp_path, Envoy()), tmp_path / "audit" / "in-force.json"
    bot = model("support/bot")
    agent.writer.given.append({bot.target: bot})
    async with running(agent):
        await until(lambda: bot.target in (remembered.read_text() if remembered.exists() else ""), 10)
        agent.writer.given.append({})
        await until(lambda: report(tmp_path).in_force == 3)
    assert remembered.read_text() == "{}", "what was recorded last is remembered when it ends"
    found = [(r["event"], r.get("slm.target")) for r in records(tmp_path) if r["kind"] == "in-force"]
    assert found == [("set", bot.target), ("all", None), ("removed", bot.target)]


async def test_without_a_key_it_waits_and_says_so(tmp_path: Path) -> None:
    agent = agent_of(tmp_path, Envoy())
    agent.world.keys = None
    log(tmp_path, 1, 2)
    async with running(agent):
        await until(lambda: agent.troubles)
        assert "not recorded yet" in agent.troubles[0]()
        assert not (tmp_path / "audit").exists()
        agent.world.keys = Keys({}, MASTER)
        await until(lambda: (tmp_path / "audit" / "head.json").exists())
        assert [trouble() for trouble in agent.troubles] == ["", ""]
    assert report(tmp_path).answers == 2


async def test_what_the_canary_found_is_recorded_once_over_restarts(tmp_path: Path) -> None:
    agent, now = agent_of(tmp_path, Envoy()), datetime.now(UTC).replace(microsecond=0)
    proven = Said("True", "PoliciesEnforced", "words", (), now, now, now + timedelta(hours=1))

    def found() -> list[tuple[str, str]]:
        return [(r["status"], r["since"]) for r in records(tmp_path) if r.get("event") == "enforcement"]

    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    async with running(agent):
        agent.world.boundaries.synced, agent.world.boundaries.said = True, proven
        await until(lambda: found() == [("True", at)], 10)
        await until((tmp_path / "finding.json").exists, 10)
    async with running(agent):  # the same is found when it starts again
        await asyncio.sleep(1.2)
        agent.world.boundaries.said = replace(proven, status="False", through=("a reached b",))
        await until(lambda: len(found()) > 1, 10)
    assert found() == [("True", at), ("False", at)]
    assert report(tmp_path).faults == []


async def test_a_claim_that_does_not_answer_is_said_and_refuses_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes there waits and hears of no error."""
    monkeypatch.setattr(silent, "SILENT_SECONDS", 0.2)
    agent, answers, failures = agent_of(tmp_path, Envoy(), audit_on_failure="Refuse"), Event(), value("failures_total")
    refuse, write = tmp_path / "refuse", Segments.append

    def waits(self: Segments, data: bytes, first: int, **more: Any) -> None:
        answers.wait()
        write(self, data, first, **more)

    refuse.write_bytes(b"1")
    async with running(agent):
        log(tmp_path, 1, 1)
        await until(lambda: report(tmp_path).answers == 1 and refuse.read_bytes() == b"0", 10)
        with monkeypatch.context() as patch:
            patch.setattr(Segments, "append", waits)
            log(tmp_path, 2, 2)
            try:
                await until(lambda: refuse.read_bytes() == b"1", 10)
                assert "the claim does not answer. Requests are refused. See to" in agent.troubles[1]()
                assert value("failing") == 1
                assert value("failures_total") > failures
            finally:
                answers.set()
            await until(lambda: refuse.read_bytes() == b"0", 10)
        assert agent.troubles[1]() == ""
        assert value("failing") == 0
    assert (report(tmp_path).answers, report(tmp_path).faults) == (2, [])


async def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, failures = agent_of(tmp_path, Envoy()), value("failures_total")
    async with running(agent):
        log(tmp_path, 1, 2)
        await until(lambda: (tmp_path / "audit" / "head.json").exists())

        def full(self: Segments, data: bytes, first: int, **_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Segments, "append", full)
            log(tmp_path, 3, 4)
            await until(lambda: value("failing") == 1)
            assert value("failures_total") > failures
            assert "No space left on device" in agent.troubles[1]()
            assert "Requests are served" in agent.troubles[1]()
            await asyncio.sleep(0.1)
        await until(lambda: value("failing") == 0)
        await until(lambda: agent.troubles[1]() == "")
    found = report(tmp_path)
    assert (found.faults, found.answers) == ([], 4)
    assert [n["error"] for n in found.notes if n["event"] == "writing-failed"] == ["No space left on device"]


async def test_a_bug_does_not_end_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_of(tmp_path, Envoy())
    async with running(agent):
        with monkeypatch.context() as patch:
            patch.setattr(Segments, "append", lambda *_, **__: 1 / 0)
            log(tmp_path, 1, 2)
            await until(lambda: agent.troubles and "ZeroDivision" in agent.troubles[-1]())
        await until(lambda: agent.troubles[-1]() == "")
    assert report(tmp_path).answers == 2


async def test_another_master_key_signs_from_then_on(tmp_path: Path) -> None:
    agent = agent_of(tmp_path, Envoy())
    async with running(agent):
        log(tmp_path, 1, 2)
        await until(lambda: any(r["kind"] == "checkpoint" for r in records(tmp_path)))
        agent.world.keys = Keys({}, b"o" * 32)
        await until(lambda: len(report(tmp_path).keys) == 2)
    assert report(tmp_path).faults == []
    assert report(tmp_path).keys[1] == Signer(audit_seed(b"o" * 32, "gateway-0")).public


async def test_old_segments_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "TIDY_SECONDS", 0.0)
    monkeypatch.setattr(part, "Recorder", partial(part.Recorder, segment_bytes=1))
    agent, removed = agent_of(tmp_path, Envoy(), audit_retention_days=1), value("removed_records_total", reason="age")
    async with running(agent):
        log(tmp_path, 1, 2)
        await until(lambda: (tmp_path / "audit" / "head.json").exists())
        log(tmp_path, 3, 4)
        await until(lambda: len(list((tmp_path / "audit").glob("*.jsonl"))) > 1)
        os.utime(min((tmp_path / "audit").glob("*.jsonl")), (1, 1))
        await until(lambda: value("removed_records_total", reason="age") > removed, 10)
    assert report(tmp_path).faults == []
    assert report(tmp_path).first > 1


async def test_the_last_segment_goes_when_it_is_old_though_nothing_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [timedelta()]
    monkeypatch.setattr(part, "TIDY_SECONDS", 0.0)
    monkeypatch.setattr(part, "Recorder", partial(part.Recorder, clock=lambda: datetime.now(UTC) + later[0]))
    async with running(agent_of(tmp_path, Envoy(), audit_retention_days=1)):
        log(tmp_path, 1, 2)
        await until(lambda: report(tmp_path).answers == 2, 10)
        await until(lambda: "configuration" in {n["event"] for n in report(tmp_path).notes}, 10)
        await until(lambda: report(tmp_path).signed_to == report(tmp_path).last, 10)
        later[0] = timedelta(days=2)
        first = min((tmp_path / "audit").glob("*.jsonl"))
        os.utime(first, (1, 1))
        await until(lambda: not first.exists(), 10)
    assert (report(tmp_path).faults, report(tmp_path).answers) == ([], 0)


def test_what_life_an_envoy_has(tmp_path: Path) -> None:
    socket = tmp_path / "admin.sock"
    assert count.life_of(socket) == ""
    socket.touch()
    os.utime(socket, (1763728899.5, 1763728899.5))
    assert count.life_of(socket) == "2025-11-21T12:41:39.500000Z"


async def test_a_boundary_that_comes_into_force_is_recorded_once_over_restarts(tmp_path: Path) -> None:
    agent = agent_of(tmp_path, Envoy())
    stopped = InForce(Boundary("u", 3, stopped=True, reason="ticket 7"), "2026-11-21T14:00:00.000Z", 2)

    def noted() -> list[int]:
        return [r["generation"] for r in records(tmp_path) if r.get("event") == "boundary"]

    async with running(agent):
        agent.forces.append(stopped)
        await until(lambda: noted() == [3], 10)
    agent.forces.append(replace(stopped, cut=0))  # the same boundary is in force when it starts again
    async with running(agent):
        await until(lambda: not agent.forces, 10)
        agent.forces.append(InForce(Boundary("u", 4), "2026-11-21T14:05:00.000Z"))
        await until(lambda: noted()[-1:] == [4], 10)
    assert noted() == [3, 4]
    async with running(agent):
        await until(lambda: [r.get("event") for r in records(tmp_path)].count(BEGAN) == 3, 10)
        agent.forces.extend([replace(stopped, boundary=Boundary("u", 5, stopped=True)), InForce(Boundary("u", 6), "x")])
    assert noted() == [3, 4, 5, 6], "what came into force just before the end is recorded too"
    assert report(tmp_path).faults == []
