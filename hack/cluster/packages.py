"""Debian packages the test bed needs on the host: named, asked for, installed; nothing else is."""

import os
import shutil
import subprocess
import sys

NEEDED = {
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""A program or file -> the package that brings it."""
FOR_TESTS = {"buildah": "buildah", "skopeo": "skopeo"}
"""What the tests of `make install` need besides: an image builder, and a tool that copies images byte for byte."""


class Missing(Exception):  # noqa: N818 - says what happened
    """Packages are missing and may not be installed."""


def missing(needed: dict[str, str] | None = None) -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = {
        package
        for wanted, package in (NEEDED if needed is None else needed).items()
        if not (os.path.exists(wanted) if wanted.startswith("/") else shutil.which(wanted, path=path))
    }
    return sorted(found)


def consent(environment: dict[str, str], interactive: bool, packages: list[str]) -> bool:
    """May they be installed? YES=1 and CI answer yes; a person at a terminal is asked; nobody else agrees."""
    if environment.get("YES") == "1" or environment.get("CI", "").lower() in ("1", "true"):
        return True
    if not interactive:
        return False
    answer = input(f"Install the Debian packages {' '.join(packages)}? [Y/n] ")
    return answer.strip().lower() in ("", "y", "yes")


def ensure(needed: dict[str, str] | None = None) -> None:
    """Install what is missing.

    Raises:
        Missing: not root, no consent, or apt failed; the message is the command to run.
    """
    wanted = missing(needed)
    if not wanted:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(wanted)}"
    if os.geteuid() != 0:
        raise Missing(f"the test bed needs root and these Debian packages: {command}")
    if not consent(dict(os.environ), sys.stdin.isatty(), wanted):
        raise Missing(f"Debian packages are missing. Set YES=1 to let this command install them, or run: {command}")
    print(f"installing {' '.join(wanted)} ...", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted],
    ):
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise Missing(f"`{' '.join(words)}` failed:\n{done.stderr.strip()[-1500:]}")
    if left := missing(needed):
        raise Missing(f"still missing after the installation: {' '.join(left)}")
