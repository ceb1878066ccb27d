"""Read the few instructions our Containerfiles use. Anything else is refused: docker would understand it, we not."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KNOWN = {"ARG", "FROM", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD", "WORKDIR", "LABEL"}


@dataclass(slots=True)
class Containerfile:
    """What a file says: steps in order (COPY and RUN), and the configuration of the image."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


def parse(path: Path) -> Containerfile:
    """Parse a file.

    Raises:
        ValueError: an instruction we do not run ourselves.
    """
    made = Containerfile()
    environment: dict[str, str] = {}
    for number, line in _lines(path.read_text()):
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if word not in KNOWN:
            raise ValueError(f"{path}:{number}: {word} is not supported here; keep to {', '.join(sorted(KNOWN))}")
        if word in ("COPY", "RUN"):
            made.steps.append((word, rest))
        elif word == "ENV":
            environment.update(item.split("=", 1) for item in shlex.split(rest))
        elif word == "USER":
            made.config["User"] = rest
        elif word == "WORKDIR":
            made.config["WorkingDir"] = rest
        elif word == "LABEL":
            made.config.setdefault("Labels", {}).update(item.split("=", 1) for item in shlex.split(rest))
        elif word in ("ENTRYPOINT", "CMD"):
            made.config[word.capitalize()] = json.loads(rest)
    if environment:
        made.config["Env"] = [f"{k}={v}" for k, v in environment.items()]
    return made


def _lines(text: str) -> list[tuple[int, str]]:
    made: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        start = start if pending else number
        pending += line.removesuffix("\\")
        if not line.endswith("\\"):
            made.append((start, pending.strip()))
            pending = ""
    return made
