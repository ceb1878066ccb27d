"""A boundary is recorded once when it comes into force, whatever restarts."""

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.record.boundary import Noted
from smallmodel_operator.gateway.record.recorder import Recorder

AT = "2026-11-21T14:00:00.000Z"
STOPPED = InForce(Boundary("u", 3, stopped=True, reason="ticket 7", namespaces={"crm": "leak"}), AT, 2, 1)


def recorder(folder: Path) -> Recorder:
    made = Recorder(folder / "audit", "gateway-0", Signer(b"s" * 32), life=lambda: "", clock=lambda: datetime.now(UTC))
    made.open()
    return made


def recorded(folder: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(folder.glob("audit/*.jsonl"))]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    return [line for line in lines if line.get("event") == "boundary"]


def test_each_once_over_restarts(tmp_path: Path) -> None:
    noted = Noted(tmp_path)
    noted.open()
    assert not noted.news(InForce(Boundary(), AT)), "where there has never been one there is nothing to say"
    assert noted.news(STOPPED)
    chain = recorder(tmp_path)
    noted.note(chain, STOPPED)
    noted.save(chain)
    assert not noted.news(replace(STOPPED, cut=0, others=0))
    chain.close()
    again = Noted(tmp_path)
    again.open()
    assert not again.news(InForce(STOPPED.boundary, "later", 0, 0)), "the same after a restart"
    gone = InForce(Boundary(), AT)
    assert again.news(gone)
    chain = recorder(tmp_path)
    again.note(chain, gone)
    again.save(chain)
    chain.close()
    first, second = recorded(tmp_path)
    assert {k: first[k] for k in ("generation", "inference", "reason", "namespaces", "cut", "cut_others")} == {
        "generation": 3,
        "inference": "Stopped",
        "reason": "ticket 7",
        "namespaces": {"crm": "leak"},
        "cut": 2,
        "cut_others": 1,
    }
    assert second["inference"] == "Allowed"


def test_a_stop_that_was_lifted_at_once_and_cuts_after_it_are_recorded(tmp_path: Path) -> None:
    noted, chain = Noted(tmp_path), recorder(tmp_path)
    later, lifted = replace(STOPPED, cut=1, others=0), InForce(Boundary("u", 4), AT)
    forces = deque([STOPPED, later, replace(later, cut=0), lifted])
    noted.take(chain, forces)
    chain.close()
    assert not forces
    found = [(r["generation"], r["reason"], r["cut"], r["cut_others"]) for r in recorded(tmp_path)]
    assert found == [(3, "ticket 7", 2, 1), (3, "ticket 7", 1, 0), (4, "", 0, 0)]


def test_what_could_not_be_written_is_written_later_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, chain = Noted(tmp_path), recorder(tmp_path)
    noted.note(chain, STOPPED)
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "commit", lambda self: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            noted.save(chain)
    assert noted.unsaved
    noted.take(chain, deque([replace(STOPPED, cut=0, others=0)]))
    chain.close()
    assert len(recorded(tmp_path)) == 1
