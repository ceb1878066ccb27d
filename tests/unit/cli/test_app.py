"""The command itself: help, version, exit codes."""

import pytest
from typer.testing import CliRunner

from smallmodel_operator import __version__
from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.run import run

COMMANDS = ("run", "render", "lint", "status", "inspect-weights", "fetch-weights", "release", "version")


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_version() -> None:
    assert invoke("version") == (0, f"{__version__}\n")
    assert invoke("--version") == (0, f"{__version__}\n")
    assert invoke("--version", "status") == (0, f"{__version__}\n"), "and nothing else is done"


def test_help_names_every_command() -> None:
    code, text = invoke("--help")
    assert code == 0
    assert [c for c in COMMANDS if c not in text] == ["inspect-weights", "fetch-weights"], "these are for Jobs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    code, text = invoke(command, "--help")
    assert (code, "Usage" in text) == (0, True)


def test_an_unknown_command_is_2() -> None:
    assert invoke("serve")[0] == 2


@pytest.mark.parametrize(
    ("name", "value"), [("SLM_HTTP_PORT", "many"), ("SLM_LOG_FORMAT", "xml"), ("SLM_HTTP_PORT", "99999")]
)
def test_a_wrong_setting_is_named_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert run() == 2
    assert capsys.readouterr().err.startswith(f"{name}: ")


def test_an_operator_without_a_cluster_says_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert run() == 2
    assert "point KUBECONFIG at" in capsys.readouterr().err
