"""Into a file or a pipe lines stay whole: what reads them there searches and compares lines."""

import sys
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cli.audit import failed
from smallmodel_operator.cli.console import stderr, stdout
from smallmodel_operator.cli.status import show

LONG = " ".join(f"word{n}" for n in range(60))


def table() -> Table:
    made = Table(box=None, pad_edge=False)
    made.add_column("MESSAGE", overflow="fold")
    made.add_row(LONG)
    return made


@pytest.mark.parametrize(("stream", "console"), [("stdout", stdout), ("stderr", stderr)])
@pytest.mark.parametrize(("terminal", "lines"), [(True, False), (False, True)])
def test_only_a_terminal_folds(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stream: str,
    console: Callable[[], Console],
    terminal: bool,
    lines: bool,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: terminal)
    console().print(LONG)
    console().print(table())
    said = getattr(capsys.readouterr(), "out" if stream == "stdout" else "err")
    assert (said.count(LONG) == 2) is lines
    assert (len(said.splitlines()) == 3) is lines


async def test_a_status_into_a_pipe_has_a_line_for_each_model(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("a", "b"):
        body = objects.model(name)
        body["metadata"]["uid"] = name
        body["status"] = {"conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": LONG}]}
        connected.put(body)
    assert await show("", "support", "table", 0) == 1
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "NAME"
    assert [(row.split()[0], row.rstrip().endswith(LONG)) for row in rows] == [("a", True), ("b", True)]
    assert max(map(len, rows)) < 1000, "as wide as what is in it"


def test_what_is_the_matter_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    failed(LONG)
    assert capsys.readouterr().err == f"{LONG}\n"
