"""Each destroyed key is said once in the chain, over restarts, too."""

from pathlib import Path

from tests.fakes.chain import Fixture

from smallmodel_operator.audit.content.keyring import Tombstone
from smallmodel_operator.gateway.record.erased import NOTED, Erased

TIME = "2026-11-23T05:26:00.000000Z"
ADA = {"0" * 16: Tombstone("0" * 16, "a" * 32, TIME)}
BOTH = {**ADA, "1" * 16: Tombstone("1" * 16, "b" * 32, TIME)}


def notes(made: Fixture) -> list[tuple[str, str, str]]:
    found = [record for record in made.records if record.get("event") == "erasure"]
    return [(record["keys"], record["slm.subject"], record["destroyed"]) for record in found]


def test_once_each_and_over_a_restart(tmp_path: Path) -> None:
    made, erased = Fixture(tmp_path), Erased(tmp_path)
    erased.open()
    assert not erased.due({})
    assert erased.due(ADA)
    erased.note(made.recorder, ADA)
    assert not erased.due(ADA)
    again = Erased(tmp_path)
    again.open()
    assert not again.due(ADA)
    again.note(made.recorder, BOTH)
    assert notes(made) == [("0" * 16, "a" * 32, TIME), ("1" * 16, "b" * 32, TIME)]


def test_a_file_that_says_nothing_has_all_said_again(tmp_path: Path) -> None:
    (tmp_path / NOTED).write_text("{")
    erased = Erased(tmp_path)
    erased.open()
    assert erased.due(ADA)
