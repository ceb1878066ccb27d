"""Each control of the table is taken away in turn, and the test it names has to go red.

In a copy of the package, so that nothing of the repository changes. That the tests are green with everything in place
is looked at first, with the same copy: a test that is always red proves nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hack.cluster.paths import REPOSITORY
from tests.controls.removals import REMOVALS

from smallmodel_operator.boundary.controls import CONTROLS, Control

PACKAGE = REPOSITORY / "operator" / "smallmodel_operator"
FAILED = 1
"""Exit code of pytest when tests ran and failed; anything else is a test that did not run."""


def run(copy: Path, *tests: str, within: float = 400) -> subprocess.CompletedProcess[str]:
    """Without pytest's own limit: it breaks off an event loop, which then waits for ever for what it had begun. What
    tasks and threads wait for after `within` seconds is said."""
    path = os.pathsep.join((str(copy), str(REPOSITORY)))
    without = [word for name in ("cacheprovider", "randomly") for word in ("-p", f"no:{name}")]
    plain = ("-x", "-q", *without, "-p", "tests.controls.stacks", "-o", "timeout=0")
    words = [sys.executable, "-m", "pytest", *plain, *tests]
    with subprocess.Popen(
        words, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            said = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR1)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the Envoys it began
            said = process.communicate()
            pytest.fail(f"had not ended after {within:.0f} s:\n{said[0][-6000:]}\n{said[1][-20000:]}")
    return subprocess.CompletedProcess(words, process.returncode, *said)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder to import the package from."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_control_has_a_test_and_a_removal() -> None:
    assert {control.name for control in CONTROLS} == set(REMOVALS)
    assert len({control.name for control in CONTROLS}) == len(CONTROLS)
    for control in CONTROLS:
        assert control.duties
        file, _, name = control.test.partition("::")
        assert f"def {name}(" in (REPOSITORY / file).read_text()
        removal = REMOVALS[control.name]
        assert (PACKAGE / removal.file).read_text().count(removal.text) == 1, removal


@pytest.mark.long
@pytest.mark.timeout(1200)  # all of them, one after the other
def test_with_everything_in_place_they_are_green(copy: Path) -> None:
    done = run(copy, *sorted({control.test for control in CONTROLS}), within=1140)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.long
@pytest.mark.timeout(480)  # a test that goes red waits for all it can before it does
@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_without_it_its_test_is_red(control: Control, copy: Path) -> None:
    removal = REMOVALS[control.name]
    file = copy / PACKAGE.name / removal.file
    file.write_text(file.read_text().replace(removal.text, removal.without))
    done = run(copy, control.test)
    assert done.returncode == FAILED, f"exit code {done.returncode}: {done.stdout[-4000:]}{done.stderr[-1000:]}"
