"""Documents say what is true: links lead somewhere, commands exist, YAML is accepted, slm commands run."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hack.cluster.paths import REPOSITORY

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import strict_errors

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


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_make_targets(page: Path) -> None:
    known = set(re.findall(r"^([a-z][a-z0-9-]*):", "\n".join(_makefiles()), re.M))
    for command in (*_commands(page), *re.findall(r"`(make [^`]+)`", page.read_text())):
        words = command.split()
        if words[:1] == ["make"]:
            targets = [w for w in words[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", w)]
            assert targets, command
            assert {t for t in targets if not t.endswith("-")} <= known, command


def _makefiles() -> list[str]:
    return [p.read_text() for p in (REPOSITORY / "Makefile", *REPOSITORY.glob("hack/*/targets.mk"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_manifests(page: Path) -> None:
    for body in _blocks(page, "yaml"):
        for obj in yaml.safe_load_all(body):
            if isinstance(obj, dict) and obj.get("apiVersion") == API_VERSION:
                shortened = "…" in body  # a digest written as … stands for any
                assert strict_errors(obj) == []
                assert shortened or violations(obj) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_slm_commands(page: Path) -> None:
    """Those that need no cluster are run as they stand, from the top of the repository."""
    for command in _commands(page):
        if command.startswith(("slm lint", "slm render", "slm version", "slm cost breakeven examples")):
            done = subprocess.run(
                [str(REPOSITORY / ".venv/bin/slm"), *command.split()[1:]],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr


def test_help_lists_every_documented_target() -> None:
    out = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "test-long", "install", "cluster-up", "cluster-down", "bench-reconcile"):
        assert target in out


def test_every_condition_and_reason_is_documented() -> None:
    page = (REPOSITORY / "docs/reference/conditions.md").read_text()
    assert all(f"`{c.value}`" in page for c in Condition)
    assert all(f"`{r.value}`" in page for r in Reason)
