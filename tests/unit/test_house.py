"""The rules of the house that no other tool checks."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from smallmodel_operator.api.conditions import Condition, Reason

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "smallmodel_operator"
MODULES = sorted(PACKAGE.rglob("*.py"))
LIMIT = 300


def tracked() -> list[Path]:
    """Every text file of the repository, as git lists them (committed or about to be)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # a release tarball has no git
        names = [
            str(p.relative_to(ROOT)) for top in ("operator", "tests", "hack", "docs") for p in (ROOT / top).rglob("*")
        ]
    else:
        names = listed.stdout.splitlines()
    return [p for n in names if (p := ROOT / n).is_file() and p.stat().st_size < 2**20]


def text(path: Path) -> str:
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode(errors="replace")


def test_operator_is_no_package() -> None:
    """It would shadow the standard library's module of that name."""
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_modules_are_short() -> None:
    long = {str(m.relative_to(ROOT)): n for m in MODULES if (n := len(m.read_text().splitlines())) > LIMIT}
    assert long == {}


def test_every_module_says_what_it_is() -> None:
    silent = [str(m.relative_to(ROOT)) for m in MODULES if not m.read_text().lstrip().startswith('"""')]
    assert silent == []


def test_no_module_is_named_after_nothing() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
    assert [str(m) for m in MODULES if m.stem in vague and m.parent.name != "v1alpha1"] == []


HOSTS = re.compile(
    r"files\.pythonhosted\.org|pypi\.org/simple|proxy\.golang\.org|sum\.golang\.org|registry\.npmjs\.org"
    r"|deb\.debian\.org|index\.crates\.io"
)
PLACES = re.compile(r"(?<![\w./-])/(?:work|root|home/[a-z]\w*|Users/\w+)/[\w.-]+")


def test_no_file_names_a_package_registry_or_a_developers_machine() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        for number, line in enumerate(text(path).splitlines(), start=1):
            if HOSTS.search(line) or PLACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_the_architecture_contracts_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "0 broken" in done.stdout


@cache
def sources() -> str:
    return "\n".join(m.read_text() for m in MODULES if m.name != "conditions.py")


def test_every_reason_is_given_somewhere() -> None:
    given = set(re.findall(r"\bReason\.(\w+)", sources()))
    assert [reason.name for reason in Reason if reason.name not in given] == [], "nothing reports it: remove it"


def test_every_condition_is_reported_somewhere() -> None:
    reported = set(re.findall(r"\bCondition\.(\w+)", sources()))
    assert [condition.name for condition in Condition if condition.name not in reported] == []


def test_every_reason_is_documented() -> None:
    page = ROOT / "docs" / "reference" / "conditions.md"
    words = page.read_text()
    assert [n.value for n in (*Reason, *Condition) if f"`{n.value}`" not in words] == []
