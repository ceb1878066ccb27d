"""Run the tiers side by side and add them up.

Output of a tier is written to build/test-reports/<tier>.log and shown when it fails; progress lines go to the
terminal meanwhile. The last line is `N passed, N failed, N skipped`. A tier that could run here and did not counts
as failed when CI is set; one that overran its limit, or found no tests where it has some, always does.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from hack.testing.tiers import Tier, tiers

REPORTS = Path("build/test-reports")
PROGRESS_SECONDS = 20
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 2**30
"""So much of it must be free: files of the fast tests take a twentieth of that."""
GRACE_SECONDS = 30
"""For a tier that is ended to take down what it started."""

_running: dict[str, subprocess.Popen[bytes]] = {}
"""By tier; they lead process groups of their own, so a Ctrl-C in the terminal has to be passed on."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a tier came to."""

    tier: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    note: str = ""


def run(tier: Tier) -> Count:
    """Run one tier to its end; never raises."""
    started = time.monotonic()
    if tier.needs:
        return Count(tier.name, 0, 0, 1, 0.0, "; ".join(tier.needs))
    missing = [p for p in tier.paths if not Path(p).is_file() and not any(Path(p).rglob("test_*.py"))]
    if missing:
        return Count(tier.name, 0, len(missing), 0, 0.0, f"no test files in {', '.join(missing)}")
    report, log = REPORTS / f"{tier.name}.xml", REPORTS / f"{tier.name}.log"
    workers = ["-n", str(tier.workers), "--dist", "loadgroup"] if tier.workers > 1 else []
    said = ["-o", "junit_logging=system-out", f"--junitxml={report}"]  # what tests print are figures
    command = [
        "nice",
        "-n",
        str(tier.nice),
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *workers,
        "-m",
        tier.markers,
        *said,
        *(f"--ignore={path}" for path in tier.left_out),
        *tier.paths,
    ]
    with log.open("w") as out, _folder(tier) as folder:
        # Where a test's folder is: as short as on the disk, for the names of sockets in it have 107 bytes.
        place, there = ([f"--basetemp={folder}/t"], {"TMPDIR": folder}) if folder else ([], {})
        process = subprocess.Popen(
            [*command, *place], stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**_environment(tier), **there},
        )  # fmt: skip
        _give_way(process.pid, tier.nice)
        _running[tier.name] = process
        code = _wait(tier, process, log, started)
        del _running[tier.name]
    return _count(tier, code, report, log, time.monotonic() - started)


def side_by_side(chosen: Sequence[Tier], pool: Executor) -> list[Count]:
    """All of them at once, but for those that have to wait for another one of them."""
    begun: dict[str, Future[Count]] = {}

    def in_turn(tier: Tier) -> Count:
        if tier.after in begun:
            wait([begun[tier.after]])
        return run(tier)

    for tier in sorted(chosen, key=lambda one: bool(one.after)):
        begun[tier.name] = pool.submit(in_turn, tier)
    return [begun[tier.name].result() for tier in chosen]


def _give_way(pid: int, nice: int) -> None:
    """Where Linux schedules by session, `nice` counts only against programs of the same one, and a tier is its own."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


@contextlib.contextmanager
def _folder(tier: Tier) -> Iterator[str]:
    """Where a tier's temporary files are: in memory, if it says so and there is enough; a disk is waited for at each
    fsync, and what these tests prove by them is in what is called, not in what survives a power cut."""
    enough = tier.in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    if not enough or not os.access(MEMORY, os.W_OK):
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="slm", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield folder


def _environment(tier: Tier) -> dict[str, str]:
    """Bytecode is kept: without it each of the hundreds of programs that tests start compiles all our code anew."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **dict(tier.environment)}


def _wait(tier: Tier, process: subprocess.Popen[bytes], log: Path, started: float) -> int | None:
    """The exit code; None: it was ended at its limit."""
    end = started + tier.limit_seconds
    while True:
        try:
            return process.wait(max(0.0, min(PROGRESS_SECONDS, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            print(f"  {tier.name}: {time.monotonic() - started:.0f} s, {_last_line(log)}", flush=True)
        if time.monotonic() >= end:
            _end(process)
            return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asked first, as by Ctrl-C, so that fixtures take down what they made; then killed, with all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _count(tier: Tier, code: int | None, report: Path, log: Path, seconds: float) -> Count:
    note, skipped = "", 0
    try:
        root = ET.parse(report).getroot()
        suites = list(root.iter("testsuite"))
        total, bad, skipped = (
            sum(int(s.get(k, 0)) for s in suites for k in keys)
            for keys in (("tests",), ("failures", "errors"), ("skipped",))
        )
        empty = _empty(tier, [case.get("classname", "") for case in root.iter("testcase")])
    except (OSError, ET.ParseError):
        total, bad, empty = 1, 1, []
    if tier.markers == "long":
        _figures(tier, report)
    if code is None:
        note = f"ended at its limit of {tier.limit_seconds:g} s"
        bad, total = bad + 1, total + 1
    elif empty:
        note = f"no tests were collected in {', '.join(empty)}"
        bad, total = bad + len(empty), total + len(empty)
    elif code and not bad:
        bad, total = 1, max(total, 1)
    if bad:
        print(f"----- {tier.name} ----- {note}\n{log.read_text(errors='replace')[-20000:]}", flush=True)
    elif skipped:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("SKIPPED")]
        print("\n".join(f"  {tier.name}: {line}" for line in lines), flush=True)
    return Count(tier.name, max(0, total - bad - skipped), bad, skipped, seconds, note)


def _figures(tier: Tier, report: Path) -> None:
    """What the long tests measured."""
    with contextlib.suppress(OSError, ET.ParseError):
        for case in ET.parse(report).getroot().iter("testcase"):
            lines = [line for line in (case.findtext("system-out") or "").splitlines() if not line.startswith("---")]
            for line in filter(None, lines):
                print(f"  {tier.name}: {case.get('name')}: {line}", flush=True)


def _empty(tier: Tier, classes: list[str]) -> list[str]:
    """Paths that should have had a test and had none: each of them, or all together where one test is enough."""
    names = {p: p.removesuffix(".py").replace("/", ".") + "." for p in tier.paths}
    empty = [p for p, name in names.items() if not any(f"{c}.".startswith(name) for c in classes)]
    return empty if tier.each_path or len(empty) == len(tier.paths) else []


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-90:] if lines else "starting"


def _listen() -> None:
    """SIGTERM and SIGINT are a Ctrl-C. What a shell starts in the background ignores SIGINT, and so would all that is
    started from here: nothing could be ended by asking, and every end would take its whole grace.
    """
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.default_int_handler)


def _clear(folder: Path) -> None:
    for old in folder.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()


def main() -> int:
    """Run, print a table and the closing line; 0 only when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long tiers of `make test-long`")
    parser.add_argument("--only", default="", help="run only this tier, or these: NAME,NAME")
    args = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    _clear(REPORTS)
    chosen = [t for t in tiers(args.long) if not args.only or t.name in args.only.split(",")]
    _listen()
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        try:
            counts = side_by_side(chosen, pool)
        except KeyboardInterrupt:
            for process in list(_running.values()):
                _end(process)
            return 130
    ci = os.environ.get("CI", "").lower() in ("1", "true")
    print(f"\n{'tier':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for c in counts:
        print(f"{c.tier:<12}{c.passed:>8}{c.failed:>8}{c.skipped:>9}{c.seconds:>9.1f}  {c.note}")
    passed, failed, skipped = (sum(getattr(c, k) for c in counts) for k in ("passed", "failed", "skipped"))
    unrun = [c.tier for c in counts if not c.passed and not c.failed]
    if ci and unrun:
        print(f"these tiers did not run, which CI does not accept: {', '.join(unrun)}")
        failed += len(unrun)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
