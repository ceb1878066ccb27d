"""What is in force is recorded: each change once, before an answer that names it, whatever ends the process."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chain import Fixture
from tests.gateway.states import model

from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.gateway.policy import policy_hash
from smallmodel_operator.gateway.record.inforce import FILE, InForce
from smallmodel_operator.gateway.record.segments import first_of
from smallmodel_operator.gateway.state import Model

BOT, NOTES = model("support/bot"), model("crm/notes")


class Gateway:
    """A chain and what its gateway gives to Envoy."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.chain = Fixture(folder, **options)
        self.start()

    def start(self) -> None:
        self.given: deque[Mapping[str, Model]] = deque()
        recorder = self.chain.recorder
        self.in_force = InForce(self.chain.audit, self.given, recorder.add)
        recorder.explained, recorder.explain = self.in_force.hashes, self.in_force.explain
        self.in_force.load(first_of(self.chain.audit), recorder.seq)

    def restart(self) -> None:
        self.chain.restart()
        self.start()

    def give(self, *models: Model) -> None:
        self.given.append({m.target: m for m in models})

    def work(self) -> list[tuple[str, str]]:
        """One look, committed and remembered; what it recorded: event and target."""
        before = len(self.chain.records)
        self.in_force.look()
        self.chain.read()
        self.in_force.save(self.chain.recorder.seq)
        found = [r for r in self.chain.records[before:] if r["kind"] == "in-force"]
        return [(r["event"], r.get("slm.target", "")) for r in found]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


ALL = ("all", "")


def test_each_change_is_recorded_once(gateway: Gateway) -> None:
    assert gateway.work() == []
    gateway.give(BOT, NOTES)
    assert gateway.work() == [("set", "crm/notes"), ("set", "support/bot"), ALL]
    gateway.give(BOT, replace(NOTES, generation=7, replicas=3))
    assert gateway.work() == []
    gateway.give(replace(BOT, off=True), NOTES)
    gateway.give(BOT)
    assert gateway.work() == [("set", "support/bot"), ("set", "support/bot"), ("removed", "crm/notes")]
    recorded = [r for r in gateway.chain.records if r["kind"] == "in-force" and r["event"] == "set"]
    assert [r["policy"].get("off", False) for r in recorded if r["slm.target"] == "support/bot"] == [False, True, False]


def test_a_start_records_what_changed_meanwhile_and_the_whole(gateway: Gateway) -> None:
    gateway.give(BOT, NOTES)
    gateway.work()
    for models, expected in (
        ((BOT, NOTES), [ALL]),
        ((replace(BOT, digest="sha256:2"), NOTES), [("set", "support/bot"), ALL]),
        ((NOTES,), [("removed", "support/bot"), ALL]),
    ):
        gateway.restart()
        gateway.give(*models)
        assert gateway.work() == expected
    (chain,) = chains([str(gateway.chain.audit)])
    assert check(chain).warnings == []
    wholes = [r["slm.in_force"] for r in gateway.chain.records if r.get("event") == "all"]
    assert wholes[0] == wholes[1]
    assert len(set(wholes)) == 3


def test_a_policy_comes_before_the_first_answer_under_it(gateway: Gateway) -> None:
    gateway.give(BOT)
    gateway.work()
    other = replace(BOT, access=replace(BOT.access, requests_per_minute=9))
    gateway.chain.answer(1, **{"slm.policy": policy_hash(BOT)})
    gateway.chain.answer(1, **{"slm.policy": policy_hash(other)})
    gateway.give(other, NOTES)  # after the look, before the line is read
    gateway.chain.read()
    assert [r["kind"] for r in gateway.chain.records][-4:] == ["answer", "in-force", "in-force", "answer"]
    gateway.give(other)
    assert gateway.work() == [("removed", "crm/notes")]


def test_what_was_taken_back_is_recorded_again(gateway: Gateway) -> None:
    gateway.give(BOT)
    gateway.work()
    other = replace(BOT, off=True)
    mark = gateway.chain.recorder.mark()
    gateway.give(other)
    gateway.in_force.explain(policy_hash(other))
    gateway.chain.recorder.back_to(mark)
    gateway.in_force.keep(0, gateway.chain.recorder.end)
    assert policy_hash(other) not in gateway.in_force.hashes
    assert gateway.work() == [("set", "support/bot")]


def test_what_was_never_committed_is_not_remembered(gateway: Gateway) -> None:
    gateway.give(BOT)
    gateway.in_force.look()
    gateway.in_force.save(gateway.chain.recorder.seq)
    gateway.restart()
    gateway.give(BOT)
    assert gateway.work() == [("set", "support/bot"), ALL]


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"support/bot": 1}', '{"support/bot": ["a", "b", "c"]}'])
def test_a_file_that_is_gone_or_none_costs_a_second_record(gateway: Gateway, text: str | None) -> None:
    gateway.give(BOT)
    gateway.work()
    path = gateway.chain.audit / FILE
    path.unlink() if text is None else path.write_text(text)
    gateway.restart()
    gateway.give(BOT)
    assert gateway.work() == [("set", "support/bot"), ALL]


def test_what_goes_with_old_segments_is_recorded_anew(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, segment_bytes=1)
    gateway.give(BOT)
    gateway.work()
    gateway.chain.answer(1)
    gateway.work()
    gateway.in_force.keep(first_of(gateway.chain.audit), gateway.chain.recorder.end)
    assert gateway.work() == []
    last = gateway.chain.recorder.seq
    gateway.in_force.keep(last, last)
    assert gateway.work() == [("set", "support/bot")]


def test_a_thousand_models_are_one_record_at_a_start(gateway: Gateway) -> None:
    many = [model(f"support/m{n}") for n in range(1000)]
    gateway.give(*many)
    assert len(gateway.work()) == 1001
    gateway.restart()
    gateway.give(*many)
    assert gateway.work() == [ALL]
