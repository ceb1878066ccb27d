"""Prometheus itself, for tests: Debian's build, unpacked into our cache. Nothing is installed, no service begins."""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.paths import cache

PACKAGE = "prometheus"


class Missing(Exception):  # noqa: N818 - says what happened
    """It cannot be had here; the message says why."""


def program() -> str:
    """Its path: the one on the PATH, else Debian's, fetched once.

    Raises:
        Missing: there is none, and it cannot be fetched.
    """
    if found := shutil.which("prometheus"):
        return found
    target = cache() / "bin" / "prometheus-debian"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".prometheus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(target)
    return str(target)


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        for words in (["apt-get", "download", "-q", PACKAGE], ["sh", "-c", "dpkg-deb -x prometheus_*.deb ."]):
            try:
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Missing(f"`{' '.join(words)}`: {error}") from error
            if done.returncode:
                raise Missing(f"`{' '.join(words)}` failed (try `apt-get update`):\n{done.stderr.strip()[-500:]}")
        shutil.move(folder / "usr/bin/prometheus", target)


def config(folder: Path, targets: Sequence[tuple[str, str]], interval: str) -> Path:
    """A configuration that scrapes these (address, pod's name), with the labels a ServiceMonitor's targets have."""
    jobs: list[dict[str, Any]] = [
        {"targets": [address], "labels": {"pod": pod, "namespace": "smallmodel-system"}} for address, pod in targets
    ]
    text = yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [{"job_name": "gateways", "static_configs": jobs}],
        }
    )
    file = folder / "prometheus.yml"
    file.write_text(text)
    return file


def command(folder: Path, file: Path, listen: str) -> list[str]:
    """How it is started."""
    data = folder / "prometheus-data"
    return [
        program(), f"--config.file={file}", f"--storage.tsdb.path={data}", f"--web.listen-address={listen}",
        "--log.level=warn", "--storage.tsdb.retention.time=1h",
    ]  # fmt: skip
