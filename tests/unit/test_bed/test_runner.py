"""The runner of the tiers: what must not pass for a success."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hack.testing import run as module
from hack.testing.prepare import compiled
from hack.testing.run import Count, run
from hack.testing.tiers import Tier, tiers

CONFIG = "[pytest]\naddopts = --import-mode=importlib\nmarkers =\n    long: long\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they need none, and start twice as fast
    (tmp_path / "pytest.ini").write_text(CONFIG)
    module.REPORTS.mkdir(parents=True)
    for name, text in (
        ("one", "def test_x(): pass\n"),
        ("two", "import pytest\n@pytest.mark.long\ndef test_y(): pass\n"),
    ):
        (tmp_path / "tests" / name).mkdir(parents=True)
        (tmp_path / "tests" / name / "test_it.py").write_text(text)
    return tmp_path


def tier(*paths: str, limit: float = 60, each: bool = True, markers: str = "not long") -> Tier:
    return Tier("t", paths, markers, 1, limit, each)


@pytest.mark.usefixtures("place")
def test_a_tier_that_passes() -> None:
    count = run(tier("tests/one"))
    assert (count.passed, count.failed, count.note) == (1, 0, "")


def test_tests_are_compiled_again_when_they_changed(place: Path) -> None:
    test = place / "tests" / "one" / "test_it.py"
    assert not compiled(test)
    run(tier("tests/one"))
    assert compiled(test)
    os.utime(test, (time.time() + 60, time.time() + 60))
    assert not compiled(test)


def test_files_are_in_memory_where_there_is_enough(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = place / "memory"
    memory.mkdir()
    monkeypatch.setattr(module, "MEMORY", memory)
    (place / "tests" / "one" / "test_it.py").write_text(
        "import tempfile\n"
        "def test_x(tmp_path):\n"
        f"    assert str(tmp_path).startswith({str(memory)!r})\n"
        f"    assert tempfile.gettempdir().startswith({str(memory)!r})\n"
    )
    quick = replace(tier("tests/one"), in_memory=True)
    assert run(quick).failed == 0
    assert list(memory.iterdir()) == [], "nothing stays"
    monkeypatch.setattr(module, "MEMORY_BYTES", 2**80)
    assert run(quick).failed == 1


@pytest.mark.usefixtures("place")
def test_a_path_without_a_collected_test_fails() -> None:
    count = run(tier("tests/one", "tests/two"))
    assert (count.passed, count.failed) == (1, 1)
    assert count.note == "no tests were collected in tests/two"


@pytest.mark.usefixtures("place")
def test_where_one_test_is_enough_an_empty_path_is_no_failure_and_two_are() -> None:
    assert run(tier("tests/one", "tests/two", each=False)).failed == 0
    assert run(tier("tests/one", each=False, markers="long")).failed == 1


@pytest.mark.usefixtures("place")
def test_a_path_that_is_not_there_fails() -> None:
    count = run(tier("tests/one", "tests/gone"))
    assert count.failed == 1
    assert "tests/gone" in count.note


def test_a_tier_that_hangs_is_ended_with_its_children_and_its_log_is_shown(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    (place / "tests/one/test_it.py").write_text(
        "import signal, subprocess, time\n"
        "def test_x():\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        "    open('child', 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
    )
    began = time.monotonic()
    count = run(tier("tests/one", limit=6))
    assert time.monotonic() - began < 30
    assert count.failed >= 1
    assert "limit of 6 s" in count.note
    assert "----- t -----" in capsys.readouterr().out
    child = int((place / "child").read_text())
    end = time.monotonic() + 20
    while not _gone(child) and time.monotonic() < end:
        time.sleep(0.05)  # it was told to end; on a busy machine that takes a moment
    assert _gone(child)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_started_in_the_background_it_can_be_ended_and_so_can_what_it_starts() -> None:
    """There SIGINT is ignored, and whoever is started inherits that."""
    before = {sign: signal.signal(sign, signal.SIG_IGN) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        module._listen()
        for sign in before:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(sign)
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def test_reports_of_the_last_run_go_folders_too(tmp_path: Path) -> None:
    (tmp_path / "logs" / "slm").mkdir(parents=True)
    (tmp_path / "logs" / "slm" / "kubelet.log").touch()
    (tmp_path / "fast.xml").touch()
    module._clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("long", [False, True])
def test_every_tier_has_a_limit_and_paths_that_exist(long: bool) -> None:
    for each in tiers(long):
        assert 20 * 60 <= each.limit_seconds <= 40 * 60
        assert all(Path(p).is_file() or any(Path(p).rglob("test_*.py")) for p in each.paths)


@pytest.mark.parametrize("long", [False, True])
def test_what_a_tier_leaves_out_another_one_runs(long: bool) -> None:
    for each in tiers(long):
        others = {path for other in tiers(long) if other is not each for path in other.paths}
        assert set(each.left_out) <= others


def test_tiers_on_nodes_have_nodes_of_their_own() -> None:
    for long in (False, True):
        nodes = [t.environment for t in tiers(long) if any(p.startswith("tests/cluster") for p in t.paths)]
        assert len(set(nodes)) == len(nodes) >= 2


def test_a_tier_waits_for_the_one_it_names_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    both = threading.Barrier(2, timeout=30)

    def running(one: Tier) -> Count:
        happened.append(f"{one.name} begins")
        if not one.after:
            both.wait()
        happened.append(f"{one.name} ended")
        return Count(one.name, 1, 0, 0, 0.0)

    monkeypatch.setattr(module, "run", running)
    chosen = [replace(tier(), name="late", after="b"), replace(tier(), name="a"), replace(tier(), name="b")]
    with ThreadPoolExecutor(3) as pool:
        assert [one.tier for one in module.side_by_side(chosen, pool)] == ["late", "a", "b"]
    assert happened.index("late begins") > happened.index("b ended")
    with ThreadPoolExecutor(1) as pool:  # where the other one was not chosen
        assert [one.tier for one in module.side_by_side(chosen[:1], pool)] == ["late"]
    for long in (False, True):
        names = {one.name: one.after for one in tiers(long)}
        assert all(not after or names[after] == "" for after in names.values())


def test_a_tier_gives_way_as_a_session_too() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        group = Path(f"/proc/{process.pid}/autogroup")
        module._give_way(process.pid, 7)
        said = group.read_text().split() if group.exists() else ["nice", "7"]  # a kernel that knows no sessions
        process.kill()
    assert said[-2:] == ["nice", "7"]
    module._give_way(process.pid, 7)  # it has ended by now


def test_files_that_are_left_out_are_not_run(place: Path) -> None:
    left = Tier("t", ("tests",), "not long", 1, 60, each_path=False, left_out=("tests/one/test_it.py",))
    (place / "tests/one/test_it.py").write_text("def test_x(): assert False\n")
    (place / "tests/two/test_it.py").write_text("def test_y(): pass\n")
    assert (run(left).passed, run(left).failed) == (1, 0)


@pytest.mark.usefixtures("place")
def test_a_tier_of_files_counts_each_of_them_and_has_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_OTHER", "kept")
    Path("tests/one/test_it.py").write_text(
        "import os\ndef test_x(): assert (os.environ['SLM_OTHER'], os.environ['SLM_OWN']) == ('kept', 'set')\n"
    )
    files = ("tests/one/test_it.py", "tests/two/test_it.py")
    count = run(Tier("t", files, "not long", 1, 60, environment=(("SLM_OWN", "set"),)))
    assert (count.passed, count.failed) == (1, 1)
    assert count.note == "no tests were collected in tests/two/test_it.py"


def test_figures_of_long_tests_are_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import pytest\n@pytest.mark.long\ndef test_y(): print('half of it in 3.1 s')\n"
    (place / "tests/two/test_it.py").write_text(text)
    assert run(tier("tests/two", markers="long")).passed == 1
    assert "t: test_y: half of it in 3.1 s" in capsys.readouterr().out
