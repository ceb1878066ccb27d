"""The journal on the disk: whole entries, one process, made anew when it has grown."""

import asyncio
from pathlib import Path

import pytest

from smallmodel_operator.budget.counter import Counter, Unit
from smallmodel_operator.budget.journal import Granted, Reserved, Settled
from smallmodel_operator.budget.purse import Reservation
from smallmodel_operator.budget.window import Window
from smallmodel_operator.gateway.budget import journal as module
from smallmodel_operator.gateway.budget.journal import NAME, InUse, Journal

COUNTER = Counter("desk/front", Unit.REQUESTS, Window("2026-11-22"))


def opened(folder: Path) -> Journal:
    journal = Journal(folder)
    journal.open()
    return journal


def reserved(request: str) -> Reserved:
    return Reserved(request, Reservation(1.5, {COUNTER: 1}))


async def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    journal = opened(tmp_path / "new")
    await journal.keep(Granted({COUNTER: 9}))
    await asyncio.gather(*(journal.keep(reserved(f"r{n}")) for n in range(5)))
    await journal.keep(Settled((("r1", {Unit.REQUESTS: 1}),), {"inode": 7}))
    content = (tmp_path / "new" / NAME).read_bytes()
    journal.close()
    again = opened(tmp_path / "new")
    assert again.kept == journal.kept
    assert again.kept.position == {"inode": 7}
    assert len((tmp_path / "new" / NAME).read_bytes().splitlines()) == 1
    assert len(content.splitlines()) > 1
    again.close()


async def test_a_torn_entry_never_was(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    await journal.keep(Granted({COUNTER: 9}))
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"granted":[["desk/front Requests 2026-11-22",1000]]}')
    again = opened(tmp_path)
    assert again.kept == journal.kept
    again.close()


async def test_a_damaged_one_is_set_aside_and_another_begun(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.close()
    (tmp_path / NAME).write_bytes(b"\0" * 100 + b"\n")
    again = opened(tmp_path)
    assert again.kept.journal not in ("", journal.kept.journal)
    assert (tmp_path / f"{NAME}.damaged").read_bytes() == b"\0" * 100 + b"\n"
    again.close()


async def test_two_processes_do_not_share_one(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(InUse):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


async def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 4000)
    journal = opened(tmp_path)
    await journal.keep(Granted({COUNTER: 1000}))
    largest = 0
    for number in range(200):
        await journal.keep(reserved(f"r{number}"))
        await journal.keep(Settled(((f"r{number}", {Unit.REQUESTS: 1}),)))
        largest = max(largest, (tmp_path / NAME).stat().st_size)
    assert 2000 < largest <= 4000
    journal.close()
    again = opened(tmp_path)
    assert again.kept == journal.kept
    assert again.kept.purse.parts[COUNTER].used == 200
    again.close()


async def test_a_journal_that_begins_anew_holds_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    waiting = [journal.soon(reserved(f"r{n}")) for n in range(3)]
    before = journal.kept.journal
    await journal.begin_anew()
    await asyncio.gather(*waiting)
    journal.close()
    again = opened(tmp_path)
    assert again.kept.journal == journal.kept.journal != before
    assert not again.kept.purse.parts
    assert not again.kept.purse.reservations
    again.close()
