"""Run the tiers side by side and add them up.

Output of a tier is written to build/test-reports/<tier>.log and shown when it fails; progress lines go to the
terminal meanwhile. The last line is `N passed, N failed, N skipped`. A tier that could run here and did not counts
as failed when CI is set.
"""

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hack.testing.tiers import Tier, tiers

REPORTS = Path("build/test-reports")
NO_TESTS = 5
PROGRESS_SECONDS = 20


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
    paths = [p for p in tier.paths if any(Path(p).rglob("test_*.py"))]
    if not paths:
        return Count(tier.name, 0, 0, 0, 0.0, "no tests")
    report, log = REPORTS / f"{tier.name}.xml", REPORTS / f"{tier.name}.log"
    workers = ["-n", str(tier.workers), "--dist", "loadgroup"] if tier.workers > 1 else []
    command = [sys.executable, "-m", "pytest", "-q", *workers, "-m", tier.markers, f"--junitxml={report}", *paths]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while True:
            try:
                code = process.wait(PROGRESS_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"  {tier.name}: {time.monotonic() - started:.0f} s, {_last_line(log)}", flush=True)
    return _count(tier, code, report, log, time.monotonic() - started)


def _count(tier: Tier, code: int, report: Path, log: Path, seconds: float) -> Count:
    if code == NO_TESTS:
        return Count(tier.name, 0, 0, 0, seconds, "no tests")
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))
        total, bad, skipped = (
            sum(int(s.get(k, 0)) for s in suites for k in keys)
            for keys in (("tests",), ("failures", "errors"), ("skipped",))
        )
    except (OSError, ET.ParseError):
        total, bad, skipped = 1, 1, 0
    if code and not bad:
        bad = 1
        total = max(total, 1)
    if bad:
        print(f"----- {tier.name} -----\n{log.read_text()[-20000:]}", flush=True)
    elif skipped:
        lines = [line for line in log.read_text().splitlines() if line.startswith("SKIPPED")]
        print("\n".join(f"  {tier.name}: {line}" for line in lines), flush=True)
    return Count(tier.name, max(0, total - bad - skipped), bad, skipped, seconds)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-90:] if lines else "starting"


def main() -> int:
    """Run, print a table and the closing line; 0 only when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long tiers of `make test-long`")
    parser.add_argument("--only", default="", help="run only this tier")
    args = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in REPORTS.iterdir():
        old.unlink()
    chosen = [t for t in tiers(args.long) if args.only in ("", t.name)]
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        counts = list(pool.map(run, chosen))
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
