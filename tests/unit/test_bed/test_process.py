"""Programs are found by their record, which is there before they are; what ends by itself is not silent."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hack.cluster import process


def _until_dead(name: str, folder: Path) -> None:
    end = time.monotonic() + 10
    while process.pid_of(name, folder) is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_record_names_the_program_itself(tmp_path: Path) -> None:
    pid = process.start("sleeper", ["sleep", "60"], tmp_path)
    try:
        assert process.pid_of("sleeper", tmp_path) == pid
        end = time.monotonic() + 10
        while Path(f"/proc/{pid}/comm").read_text().strip() != "sleep":
            assert time.monotonic() < end
    finally:
        process.stop("sleeper", tmp_path)
    assert process.pid_of("sleeper", tmp_path) is None
    assert process.names(tmp_path) == []


def test_the_program_sees_its_record_before_its_first_step(tmp_path: Path) -> None:
    """So an interrupted start leaves nothing that `down` does not find."""
    record = tmp_path / "pids" / "reader"
    process.start("reader", ["sh", "-c", f'read -r pid rest <{record}; echo "$pid $$"'], tmp_path)
    _until_dead("reader", tmp_path)
    recorded, own = process.log_tail("reader", tmp_path).split()
    assert recorded == own


def test_arguments_and_environment_arrive_as_they_are(tmp_path: Path) -> None:
    process.start("echo", ["sh", "-c", 'printf "%s|" "$WORD" "$@"', "x", "a b", "*", ""], tmp_path, {"WORD": "c d"})
    _until_dead("echo", tmp_path)
    assert process.log_tail("echo", tmp_path) == "c d|a b|*||"


def test_what_ended_by_itself_is_told_from_what_was_stopped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["sh", "-c", "echo my last words; exec sleep 60"]
    pid = process.start("worker", command, tmp_path)
    end = time.monotonic() + 10
    while not process.log_tail("worker", tmp_path):
        assert time.monotonic() < end
    assert not process.ended("worker", tmp_path)
    os.kill(pid, signal.SIGKILL)
    _until_dead("worker", tmp_path)
    assert process.ended("worker", tmp_path)
    process.start("worker", command, tmp_path)
    said = capfd.readouterr().err
    assert "worker had ended and is started again" in said
    assert "my last words" in said
    process.stop("worker", tmp_path)
    assert not process.ended("worker", tmp_path)


def test_no_such_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program is not installed"):
        process.start("x", ["no-such-program"], tmp_path)


def test_a_record_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "pids" / "worker.new").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="could not be recorded"):
        process.start("worker", ["touch", str(tmp_path / "ran")], tmp_path)
    assert not (tmp_path / "ran").exists()


def test_one_whose_first_thread_alone_has_ended_still_runs(tmp_path: Path) -> None:
    """As a killed program of many threads on a busy machine: the others have its ports for a moment."""
    program = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
        "print('on', flush=True); ctypes.CDLL(None).pthread_exit(None)"
    )
    pid = process.start("half", [sys.executable, "-c", program], tmp_path)
    try:
        end = time.monotonic() + 60
        while " Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        assert process.pid_of("half", tmp_path) == pid
    finally:
        process.stop("half", tmp_path, grace=0)
    assert process.pid_of("half", tmp_path) is None
    assert not Path(f"/proc/{pid}").exists()
