"""Writes digest and size of a retrained model beside it: the .sha256 file and the two lines of its model card."""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from hack.demo_model.questions import MODEL


def stamp(model: Path) -> str:
    """Returns the digest. Raises SystemExit if the card has no line to fill."""
    content = model.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    Path(f"{model}.sha256").write_text(f"{digest}  {model.name}\n")
    card = model.parent / "MODEL_CARD.md"
    text = card.read_text()
    for label, value in (("SHA-256", f"`{digest}`"), ("Size", f"{len(content):,} bytes")):
        text, filled = re.subn(rf"^\| {label} \|.*$", f"| {label} | {value} |", text, flags=re.MULTILINE)
        if filled != 1:
            raise SystemExit(f"{card} needs exactly one table row '| {label} | ... |', found {filled}")
    card.write_text(text)
    return digest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    print(stamp(parser.parse_args().model))
