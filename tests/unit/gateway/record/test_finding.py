"""What the canary found is recorded: each change once, once a day besides, and never more than is known."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.boundary.said import Said
from smallmodel_operator.gateway.record.finding import Findings
from smallmodel_operator.gateway.record.recorder import Recorder

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEAK = "a stranger reached a model's pod on TCP 8080"


def said(status: str, probed: datetime, since: datetime = NOON, *through: str) -> Said:
    reason = {"True": "PoliciesEnforced", "False": "PoliciesNotEnforced"}.get(status, "ProbePending")
    if status == "Unknown":
        return Said(status, reason, since=since)
    return Said(status, reason, "words", through, since, probed, probed + 1.5 * HOUR)


class Chain:
    """A chain, what is remembered beside it, and the clock of both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, NOON
        self.start()

    def start(self) -> None:
        """An agent begins."""
        self.recorder = Recorder(
            self.folder / "audit", "gateway-0", Signer(b"s" * 32), life=lambda: "", clock=lambda: self.now
        )
        self.recorder.open()
        self.findings = Findings(self.folder)
        self.findings.open()

    def restart(self) -> None:
        self.recorder.close()
        self.start()

    def look(self, word: Said | None, now: datetime, listed: bool = True) -> bool:
        """One look of the agent; true when something was due."""
        self.now = now
        due = self.findings.due(word, listed, now)
        if due:
            self.findings.note(self.recorder, word, listed, now)
            self.findings.save(self.recorder)
        assert not self.findings.due(word, listed, now), "the same again is not due again"
        return due

    @property
    def records(self) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in sorted(self.folder.glob("audit/*.jsonl"))]
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        return [line for line in lines if line.get("event") == "enforcement"]

    def brief(self) -> list[tuple[str, str, str, str]]:
        """Status, from, until, and until when the one before it held; times as hours of the first day."""
        rows = []
        for record in self.records:
            before = record.get("before", {}).get("until", "")
            times = (record["since"], record.get("until", ""), before)
            rows.append((record["status"], *(_hour(text) for text in times)))
        return rows


def _hour(text: str) -> str:
    return text and f"{(datetime.fromisoformat(text) - NOON.replace(hour=0)).total_seconds() / 3600:g}"


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_a_change_is_recorded_with_its_time_and_what_got_through(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.look(said("True", NOON + HOUR), NOON + HOUR)
    chain.look(said("False", NOON + 2 * HOUR, NOON + 2 * HOUR, LEAK), NOON + 2 * HOUR)
    assert chain.brief() == [("True", "12", "12", ""), ("False", "14", "14", "13")]
    last = chain.records[-1]
    assert (last["through"], last["reason"], last["message"]) == ([LEAK], "PoliciesNotEnforced", "words")
    assert last["before"] == {"status": "True", "until": "2026-11-21T13:00:00Z"}


def test_a_run_that_finds_the_same_leaves_no_record_but_is_remembered(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    for hours in range(1, 20):
        assert chain.look(said("True", NOON + hours * HOUR), NOON + hours * HOUR), "until when it holds is remembered"
    assert len(chain.records) == 1


def test_once_a_day_it_is_said_again(chain: Chain) -> None:
    for hours in range(73):
        chain.look(said("True", NOON + hours * HOUR), NOON + hours * HOUR)
    assert chain.brief() == [
        ("True", "12", "12", ""), ("True", "12", "36", "35"), ("True", "12", "60", "59"), ("True", "12", "84", "83"),
    ]  # fmt: skip


def test_an_operator_that_falls_silent_is_unknown_from_its_last_run_on(chain: Chain) -> None:
    word = said("True", NOON + HOUR)
    chain.look(word, NOON + HOUR)
    chain.look(word, NOON + 2 * HOUR)
    assert len(chain.records) == 1, "it counts for a while"
    chain.look(word, NOON + 3 * HOUR)
    assert chain.brief() == [("True", "12", "13", ""), ("Unknown", "13", "", "13")]
    assert chain.records[-1]["reason"] == "ProbeStale"
    chain.look(said("True", NOON + 5 * HOUR), NOON + 5 * HOUR)
    assert chain.brief()[-1] == ("True", "17", "17", ""), "the same transition does not reach back over the silence"


def test_an_operator_that_starts_again_is_unknown_until_it_has_looked(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.look(said("Unknown", NOON, NOON + HOUR), NOON + HOUR)
    chain.look(said("True", NOON + 2 * HOUR, NOON + 2 * HOUR), NOON + 2 * HOUR)
    assert chain.brief() == [("True", "12", "12", ""), ("Unknown", "13", "", "12"), ("True", "14", "14", "")]


def test_a_restart_of_the_agent_records_nothing_that_is_recorded(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.look(said("True", NOON + HOUR), NOON + HOUR)
    chain.restart()
    assert not chain.look(None, NOON + HOUR, listed=False), "before it has asked, the last word counts"
    assert not chain.look(said("True", NOON + HOUR), NOON + HOUR)
    assert len(chain.records) == 1


def test_what_changed_and_changed_back_while_the_agent_was_away_is_seen(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.restart()
    chain.look(said("True", NOON + 5 * HOUR, NOON + 4 * HOUR), NOON + 5 * HOUR)
    assert chain.brief() == [("True", "12", "12", ""), ("True", "16", "17", "12")]


def test_an_agent_that_cannot_ask_knows_nothing_when_the_last_word_is_over(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.restart()
    assert not chain.look(None, NOON + HOUR, listed=False)
    assert chain.look(None, NOON + 2 * HOUR, listed=False)
    assert chain.brief()[-1] == ("Unknown", "12", "", "12")


def test_other_ways_through_are_another_finding(chain: Chain) -> None:
    chain.look(said("False", NOON, NOON, LEAK), NOON)
    chain.look(said("False", NOON + HOUR, NOON, LEAK, "and DNS"), NOON + HOUR)
    assert chain.brief() == [("False", "12", "12", ""), ("False", "12", "13", "12")]
    assert chain.records[-1]["through"] == [LEAK, "and DNS"]


def test_without_a_cluster_boundary_there_is_nothing_to_say_until_there_was_one(chain: Chain) -> None:
    assert not chain.look(None, NOON)
    chain.look(said("True", NOON), NOON)
    chain.look(None, NOON + HOUR)
    assert chain.records[-1]["reason"] == "NotSaid"
    assert len(chain.records) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"said": {}, "since": "", "at": ""}'])
def test_what_is_remembered_and_cannot_be_read_is_recorded_anew(chain: Chain, text: str) -> None:
    chain.look(said("True", NOON), NOON)
    (chain.folder / "finding.json").write_text(text)
    chain.restart()
    chain.look(said("True", NOON + HOUR), NOON + HOUR)
    assert chain.brief() == [("True", "12", "12", ""), ("True", "12", "13", "")]


def test_what_could_not_be_written_is_written_later_and_once(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    word = said("True", NOON)
    chain.findings.note(chain.recorder, word, True, NOON)
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "commit", lambda self: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            chain.findings.save(chain.recorder)
    chain.look(word, NOON)
    assert len(chain.records) == 1
    assert not Findings(chain.folder).due(None, True, NOON), "an agent that read nothing yet knows of nothing"


def test_two_changes_at_one_moment_are_both_recorded(chain: Chain) -> None:
    chain.look(said("True", NOON), NOON)
    chain.look(replace(said("True", NOON), reason="Other"), NOON)
    assert len(chain.records) == 2


def test_of_a_boundary_that_is_new_the_finding_begins_with_the_run_that_showed_it(chain: Chain) -> None:
    """The operator knew it already, and wrote it down as soon as there was where to: that is the transition."""
    chain.look(said("True", NOON - HOUR, NOON), NOON)
    assert chain.brief() == [("True", "11", "11", "")]
    chain.look(said("True", NOON + DAY, NOON), NOON + DAY)
    assert chain.brief()[-1] == ("True", "11", "36", "11")


def test_a_run_is_over_before_it_is_written_down(chain: Chain) -> None:
    late = timedelta(minutes=3)
    chain.look(said("True", NOON), NOON)
    chain.look(said("False", NOON + HOUR, NOON + HOUR + late, LEAK), NOON + HOUR + late)
    assert chain.brief()[-1] == ("False", "13", "13", "12")


def test_a_finding_that_ends_because_its_node_is_gone_is_not_undone_by_an_older_run(chain: Chain) -> None:
    """Something got through on one node at two, all was well on another at one; the first is taken away at three."""
    chain.look(said("True", NOON + HOUR, NOON + HOUR), NOON + HOUR)
    chain.look(said("False", NOON + 2 * HOUR, NOON + 2 * HOUR, LEAK), NOON + 2 * HOUR)
    chain.look(said("True", NOON + HOUR, NOON + 3 * HOUR), NOON + 3 * HOUR - timedelta(minutes=45))
    assert chain.brief()[-1] == ("True", "15", "15", "14"), "no end before its beginning, and nothing proven by it"


@pytest.mark.parametrize("minutes", range(-90, 91, 15))
@pytest.mark.parametrize("before", ["True", "False", "Unknown", ""])
@pytest.mark.parametrize("status", ["True", "False"])
def test_no_finding_ends_before_it_begins(chain: Chain, status: str, before: str, minutes: int) -> None:
    if before:
        chain.look(said(before, NOON, NOON), NOON)
    now = NOON + 2 * HOUR
    chain.look(said(status, now, now + timedelta(minutes=minutes)), now + timedelta(minutes=1))
    assert all(record.get("until", record["since"]) >= record["since"] for record in chain.records)
    assert chain.records
