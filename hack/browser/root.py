"""A Debian root with Chromium and poppler in the cache, and programs run in it: nothing is installed, nothing reached.

A program there has no network interface, its own processes and an empty /tmp; it sees one folder of ours, at /mnt.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.cluster import packages
from hack.images import bases

SHARED: Final = "/mnt"
"""Where a program finds the folder that was given to it."""
_NEEDED: Final = {
    program: packages.NEEDED[program]
    for program in ("mmdebstrap", "/usr/share/keyrings/debian-archive-keyring.gpg")
}  # fmt: skip
_ENTER: Final = """
root=$1 folder=$2; shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind /dev "$root/dev"
mount --bind "$folder" "$root/mnt"
exec chroot "$root" env -i HOME=/tmp TMPDIR=/tmp LANG=C.UTF-8 TZ=UTC PATH=/usr/bin:/bin "$@"
"""


class NotHere(Exception):  # noqa: N818 - says what happened
    """No root can be made or entered on this machine; the message says what helps."""


def ensure() -> Path:
    """The root's folder, made once (minutes, about 1 GB in the cache).

    Raises:
        NotHere: not root, no mmdebstrap, or Debian's packages could not be fetched.
    """
    if os.geteuid() != 0:
        raise NotHere("a page is looked at in a Debian root of its own, which only root can make and enter: use sudo")
    try:
        packages.ensure(_NEEDED)
        return bases.tree(bases.BROWSER)
    except (packages.Missing, RuntimeError) as error:
        raise NotHere(str(error)) from None


def command(root: Path, folder: Path, words: Sequence[str]) -> list[str]:
    """What runs `words` there; it and all it starts end with the process this becomes."""
    alone = ("--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child")
    return ["unshare", *alone, "sh", "-ec", _ENTER, "enter", str(root), str(folder), *words]


def output(root: Path, folder: Path, *words: str) -> str:
    """What a program there says.

    Raises:
        RuntimeError: it failed; with what it said of that.
    """
    done = subprocess.run(command(root, folder, words), capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(words)}` failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> int:
    """Make it."""
    try:
        print(ensure())
    except NotHere as error:
        print(f"browser: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
