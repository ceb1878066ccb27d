"""Documents say what is true: links lead somewhere, commands exist, YAML is accepted, slm commands run."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hack.cluster.paths import REPOSITORY
from typer.testing import CliRunner

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import strict_errors
from smallmodel_operator.cli.app import app
from smallmodel_operator.gateway.decide.tools import REFUSED
from smallmodel_operator.routing.decision import Because

PAGES = sorted(
    p
    for p in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/**/*.md"))
    if ".venv" not in p.parts
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")


def _blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(page.read_text()) if language in languages]


def _commands(page: Path) -> list[str]:
    lines = [line for body in _blocks(page, "sh", "console", "bash") for line in body.splitlines()]
    return [line.split("#")[0].removeprefix("$ ").strip() for line in lines if line.strip()]


def test_links() -> None:
    for page, target in ((p, target) for p in PAGES for target in LINK.findall(p.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), (page, target)


def test_each_field_of_a_decision_has_a_row() -> None:
    page = (REPOSITORY / "docs/reference/audit.md").read_text()
    section = page.split("### What was decided")[1].split("\n## ")[0]
    told = set(re.findall(r"`(slm\.(?:decision|tools)[a-z.]*)`", "".join(re.findall(r"^\|([^|]+)\|", section, re.M))))
    source = "".join(p.read_text() for p in (REPOSITORY / "operator/smallmodel_operator/gateway").rglob("*.py"))
    assert told == set(re.findall(r'"(slm\.(?:decision|tools)[a-z.]*)"', source))
    assert [one for one in (*Because, REFUSED) if f"`{one}`" not in section] == []


def test_make_targets() -> None:
    known = set(re.findall(r"^([a-z][a-z0-9-]*):", "\n".join(_makefiles()), re.M))
    named = [(p, command) for p in PAGES for command in re.findall(r"`(make [^`]+)`", p.read_text())]
    for page, command in (*named, *((p, command) for p in PAGES for command in _commands(p))):
        words = command.split()
        if words[:1] == ["make"]:
            targets = [w for w in words[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", w)]
            assert targets, (page, command)
            assert {t for t in targets if not t.endswith("-")} <= known, (page, command)


def _makefiles() -> list[str]:
    return [p.read_text() for p in (REPOSITORY / "Makefile", *REPOSITORY.glob("hack/*/targets.mk"))]


def test_manifests() -> None:
    for page, body in ((p, body) for p in PAGES for body in _blocks(p, "yaml")):
        for obj in yaml.load_all(body, yaml.CSafeLoader):
            if isinstance(obj, dict) and obj.get("apiVersion") == API_VERSION:
                shortened = "…" in body  # a digest written as … stands for any
                assert strict_errors(obj) == [], page
                assert shortened or violations(obj) == [], page


def test_slm_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no cluster are run as they stand, from the top of the repository."""
    local = ("slm lint", "slm render", "slm version", "slm cost breakeven examples")
    commands = sorted({command for page in PAGES for command in _commands(page) if command.startswith(local)})
    assert len(commands) > 3
    monkeypatch.chdir(REPOSITORY)
    for command in commands:
        done = CliRunner().invoke(app, command.split()[1:])
        assert done.exit_code == 0, (command, done.output)


def test_slm_is_a_program() -> None:
    command = [str(REPOSITORY / ".venv/bin/slm"), "lint", "examples/04-compute-profile"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_lists_every_documented_target() -> None:
    out = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "test-long", "install", "cluster-up", "cluster-down", "bench-reconcile"):
        assert target in out


def test_every_condition_and_reason_is_documented() -> None:
    page = (REPOSITORY / "docs/reference/conditions.md").read_text()
    assert all(f"`{c.value}`" in page for c in Condition)
    assert all(f"`{r.value}`" in page for r in Reason)
