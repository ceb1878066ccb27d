"""Whether Envoy is told to refuse requests."""

from pathlib import Path

import pytest

from smallmodel_operator.gateway.record import door
from smallmodel_operator.gateway.record.door import Door
from smallmodel_operator.gateway.settings import GatewaySettings


def settings(folder: Path, what: str = "Refuse") -> GatewaySettings:
    return GatewaySettings(gateway_dir=folder, gateway_data_dir=folder, audit_on_failure=what)  # type: ignore[arg-type]


def test_it_is_closed_until_somebody_opens_it(tmp_path: Path) -> None:
    door.prepare(settings(tmp_path))
    found = Door(settings(tmp_path))
    assert ((tmp_path / "refuse").read_bytes(), found.closed) == (b"1", True)
    found.set(closed=False)
    assert ((tmp_path / "refuse").read_bytes(), found.closed) == (b"0", False)
    door.prepare(settings(tmp_path))
    assert (tmp_path / "refuse").read_bytes() == b"0", "what an agent said stays"


def test_an_agent_that_starts_again_says_what_it_finds(tmp_path: Path) -> None:
    """The one before it may have left it open."""
    Door(settings(tmp_path)).set(closed=False)
    found = Door(settings(tmp_path))
    found.set(closed=True)
    assert (tmp_path / "refuse").read_bytes() == b"1"


def test_where_requests_are_served_all_the_same_there_is_no_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.prepare(settings(tmp_path, "Continue"))
    found = Door(settings(tmp_path, "Continue"))
    found.set(closed=True)
    assert not found.closed
    assert found.room() == ""
    monkeypatch.setattr(door, "LEAST_BYTES", 1 << 60)
    assert found.room() == ""
    monkeypatch.setattr(door, "FULL_BYTES", 1 << 60)
    assert "are free on the claim" in found.room(), "said even where no record fails"
    assert list(tmp_path.iterdir()) == []


def test_it_closes_while_there_is_room_for_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Door(settings(tmp_path)).room() == ""
    monkeypatch.setattr(door, "LEAST_BYTES", 1 << 60)
    assert "KiB are free on the claim" in Door(settings(tmp_path)).room()
