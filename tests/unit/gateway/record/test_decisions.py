"""Decisions in the chain: on the disk before anybody acts on one, together in one commit, and never afterwards."""

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chain import Fixture

from smallmodel_operator.audit.report import Report
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.gateway.record.decisions import Decisions
from smallmodel_operator.routing.policy import Boundary, Escalate, RoutePolicy, Target


def report(made: Fixture) -> Report:
    (chain,) = chains([str(made.audit)])
    return check(chain)


POLICY = RoutePolicy(
    "support",
    "assistant",
    (Target("small", "support/bot"), Target("büro", "support/büro")),
    "small",
    escalation=Escalate(("büro",), 0.62, ""),
    boundary=Boundary(patterns=(("id", "\\bK-[0-9]{6}\\b"),), deny_terms=('Projekt \u2028 \x1f \x7f "Ä"',)),
)
SAID = {POLICY.hash(): POLICY.said()}


def decision(number: int, policy: str = POLICY.hash()) -> dict[str, Any]:
    return {"kind": "decision", "request.id": f"request-{number}", "slm.route": "support/assistant",
            "slm.decision.policy": policy}  # fmt: skip


def policies(made: Fixture) -> list[str]:
    return [r["slm.decision.policy"] for r in made.records if r.get("event") == "route"]


def decided(made: Fixture) -> list[str]:
    return [r["request.id"] for r in made.records if r["kind"] == "decision"]


class Stalled(ThreadPoolExecutor):
    """A thread that is busy until `go`."""

    def __init__(self) -> None:
        super().__init__(1)
        self.go = threading.Event()
        super().submit(self.go.wait)


async def test_one_is_on_the_disk_when_its_asker_goes_on(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        await Decisions(made.recorder, thread, SAID).record(decision(1))
        assert decided(made) == ["request-1"]
        assert "commit" in made.records[-1]
    made.restart()
    assert decided(made) == ["request-1"]
    made.answer(2)
    made.read()
    assert report(made).faults == []


async def test_one_that_need_not_be_on_the_disk_outlives_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Fixture(tmp_path)
    made.recorder.commit()
    synced: list[int] = []
    whole = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(descriptor), whole(descriptor))[1])
    with ThreadPoolExecutor(1) as thread:
        decisions = Decisions(made.recorder, thread, SAID)
        await decisions.record(decision(1), sync=False)
        assert (decided(made), synced) == (["request-1"], []), "in the chain's file, signed, and not synced"
        made.recorder.commit()  # as the recorder does by itself, within two seconds
        chain = made.recorder._segments._descriptor
        assert synced[0] == chain, "before the head that names it"
        assert synced.count(chain) == 1
        await decisions.record(decision(2), sync=False)
        await decisions.record(decision(3))
        assert synced.count(chain) == 2
    made.restart()
    assert decided(made) == ["request-1", "request-2", "request-3"]
    assert report(made).faults == []


async def test_all_that_wait_are_one_commit(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.recorder.commit()
    thread = Stalled()
    decisions = Decisions(made.recorder, thread, SAID)
    tasks = [asyncio.ensure_future(decisions.record(decision(n))) for n in range(50)]
    await asyncio.sleep(0)
    thread.go.set()
    await asyncio.gather(*tasks)
    thread.shutdown()
    found = [r for r in made.records if r["kind"] == "decision"]
    assert (len(found), sum("commit" in r for r in found)) == (50, 1)


async def test_what_could_not_be_written_is_said_and_never_turns_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Fixture(tmp_path)
    made.answer(3)
    made.reader.step()  # waits beside them, and stays
    whole = os.fdatasync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ThreadPoolExecutor(1) as thread:
        decisions = Decisions(made.recorder, thread, SAID)
        monkeypatch.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            await decisions.record(decision(1))
        assert not policies(made)
        monkeypatch.setattr(os, "fdatasync", whole)
        with pytest.raises(OSError, match="No space"):  # whoever reads the log tries again
            await decisions.record(decision(2))
        made.read()
        await decisions.record(decision(3))
    assert decided(made) == ["request-3"]
    assert len(policies(made)) == 1
    assert len(made.answered) == 3
    assert report(made).faults == []


async def test_what_a_policy_is_stands_once_before_the_first_decision_by_it(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        decisions = Decisions(made.recorder, thread, SAID)
        await decisions.record(decision(1))
        await decisions.record(decision(2))
        assert policies(made) == [POLICY.hash()]
        kinds = [r["kind"] for r in made.records]
        assert kinds.index("in-force") < kinds.index("decision")
        assert [w for w in report(made).warnings if "policy" in w] == []
        decisions.keep(made.recorder.seq)  # what said it went with an old segment
        await decisions.record(decision(3))
        assert len(policies(made)) == 2
        await decisions.record(decision(4, "sha256:unheard-of"))
    said = report(made)
    assert said.faults == []
    assert [w for w in said.warnings if "policy" in w] == [
        f"1 decision(s), the first in record {made.recorder.seq}, name the policy sha256:unheard-of, and no record "
        "before them says what it is"
    ]


async def test_what_is_said_of_a_policy_is_what_its_hash_is_of(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        other = {**POLICY.said(), "default": "büro"}
        await Decisions(made.recorder, thread, {POLICY.hash(): other}).record(decision(1))
    assert any("says another policy than the hash" in warning for warning in report(made).warnings)


async def test_before_the_chain_is_open_nothing_is_decided(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        made.recorder.hash = ""
        with pytest.raises(OSError, match="not open"):
            await Decisions(made.recorder, thread, SAID).record(decision(1))


async def test_after_the_end_nothing_is_decided(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.recorder.commit()
    thread = ThreadPoolExecutor(1)
    thread.shutdown()
    with pytest.raises(OSError, match="shutdown"):
        await Decisions(made.recorder, thread, SAID).record(decision(1))


async def test_between_batches_they_are_taken_too(tmp_path: Path) -> None:
    made = Fixture(tmp_path)
    made.recorder.commit()
    thread = Stalled()
    decisions = Decisions(made.recorder, thread, SAID)
    task = asyncio.ensure_future(decisions.record(decision(1)))
    await asyncio.sleep(0)
    decisions.take()
    await task
    assert decided(made) == ["request-1"]
    thread.go.set()
    thread.shutdown()
