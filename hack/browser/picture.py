"""The picture of a boundary report in the docs: `make report-screenshot`."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from hack.browser.chromium import Chromium, Failed, View
from hack.browser.root import NotHere, ensure
from hack.browser.sample import MONTH, report
from hack.cluster.paths import REPOSITORY

PICTURE: Final = REPOSITORY / "docs/how-to/report.png"
VIEW: Final = View(1080, 800)
MOST_BYTES: Final = 150_000
"""It lies in every clone."""


def take(root: Path, folder: Path) -> bytes:
    """A PNG of the top of a sample report, made in `folder`."""
    made = report(folder, MONTH)
    with Chromium(root, folder) as browser:
        return browser.open(made.name).picture(VIEW)


def main() -> int:
    """Write it."""
    try:
        root = ensure()
        with tempfile.TemporaryDirectory() as folder:
            found = take(root, Path(folder))
    except (NotHere, Failed, RuntimeError) as error:
        print(f"report-screenshot: {error}", file=sys.stderr)
        return 2
    if len(found) > MOST_BYTES:
        print(f"report-screenshot: {len(found)} bytes are more than {MOST_BYTES}: show less", file=sys.stderr)
        return 1
    PICTURE.write_bytes(found)
    print(f"{PICTURE.relative_to(REPOSITORY)}: {len(found)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
