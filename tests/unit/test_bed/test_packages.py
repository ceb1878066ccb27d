"""Debian packages are installed with consent only, and what was asked for is what is looked for afterwards."""

import io
import subprocess

import pytest
from hack.cluster import packages


@pytest.mark.parametrize("environment", [{"YES": "1"}, {"CI": "true"}, {"CI": "1"}])
def test_the_environment_agrees(environment: dict[str, str]) -> None:
    assert packages.consent(environment, interactive=False, packages=["runc"])


@pytest.mark.parametrize("environment", [{}, {"YES": "0"}, {"CI": "false"}])
def test_nobody_to_ask_is_a_no(environment: dict[str, str]) -> None:
    assert not packages.consent(environment, interactive=False, packages=["runc"])


def test_a_refusal_names_the_command_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("something was run"))
    with pytest.raises(packages.Missing, match="apt-get install -y --no-install-recommends no-such-package"):
        packages.ensure({"/no/such/file": "no-such-package"})


def test_only_what_was_asked_for_must_be_there_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    wanted = f"{tmp_path}/program"

    def apt(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "install" in words:
            open(wanted, "w").close()
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setenv("YES", "1")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", apt)
    # A machine without the test bed's own packages: they are none of this call's business.
    monkeypatch.setattr(packages, "NEEDED", {"/no/such/file": "no-such-package"})
    packages.ensure({wanted: "some-package"})
