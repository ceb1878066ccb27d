"""`slm audit tail`: the last answers of chains, and those that come.

What concerns all gateways is told by each of them, in its own chain; so every line names its gateway.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from smallmodel_operator.audit.record import Kind, Record, read
from smallmodel_operator.cli.audit import failed
from smallmodel_operator.cli.audit_files import NoRecords, chains, opened, why
from smallmodel_operator.cli.audit_words import SAID, plain
from smallmodel_operator.cli.console import stderr

FOLLOW_SECONDS: Final = 0.5
LEAST_SEGMENTS: Final = 2
MOST_SEGMENTS: Final = 30
QUICK_BYTES: Final = 16 * 1024 * 1024
_ALL: Final = sys.maxsize
"""Index behind the end of every list."""

Told = tuple[str, Record]
"""A record and the gateway whose chain it is in."""
Found = tuple[list[Told], Counter[Path]]
"""Records, and how many lines of which file are none."""


def tail(names: list[str], number: int, follow: bool, output: str) -> int:
    """Print the last answers, and with `follow` those that come, until interrupted."""
    read_up_to: dict[Path, int] = {}
    try:
        _print(_said(_new(names, read_up_to))[-number or _ALL :], output)
        while follow:
            time.sleep(FOLLOW_SECONDS)
            _print(_said(_new(names, read_up_to)), output)
    except (NoRecords, OSError) as error:
        return failed(str(error))
    except KeyboardInterrupt:
        pass
    return 0


def _said(found: Found) -> list[Told]:
    """What can be shown; of what cannot it is said where."""
    told, damaged = found
    for path, lines in damaged.items():
        stderr().print(
            f"{path}: {lines} line(s) are no records and not shown: `slm audit verify` says more.",
            style="yellow", markup=False,
        )  # fmt: skip
    return told


def _new(names: list[str], read_up_to: dict[Path, int]) -> Found:
    """Answers, and notes with a sentence of their own, in the newest segments of each chain that were not read yet, by
    time."""
    found: list[Told] = []
    damaged: Counter[Path] = Counter()
    for chain in chains(names):
        gateway = chain.gateway
        for path in _newest(chain.segments):
            lines, read_up_to[path] = _more(path, read_up_to.get(path, 0))
            for line in lines:
                try:
                    found.append((gateway, read(line)))
                except ValueError:
                    damaged[path] += 1
    shown = (told for told in found if told[1].kind == Kind.ANSWER or str(told[1].body.get("event")) in SAID)
    return sorted(shown, key=lambda told: str(told[1].body.get("time"))), damaged


def _newest(paths: Sequence[Path]) -> list[Path]:
    """Two, and where few answers come in a day (each has a segment of its own) as many more as are quickly read."""
    found, size = 0, 0
    for path in reversed(paths[-MOST_SEGMENTS:]):
        with suppress(OSError):  # why it cannot be read is said when it is opened
            size += path.stat().st_size
        if found >= LEAST_SEGMENTS and size > QUICK_BYTES:
            break
        found += 1
    return list(paths[len(paths) - found :])


def _more(path: Path, since: int) -> tuple[list[bytes], int]:
    """Whole lines of a file from a byte on, and where they end."""
    try:
        with opened(path) as file:
            # What a crash left uncommitted is cut off when the gateway's agent starts again.
            at = file.seek(min(since, path.stat().st_size))
            data = file.read()
    except FileNotFoundError:  # an old segment that was removed meanwhile
        return [], 0
    except OSError as error:
        raise NoRecords(f"{path} cannot be read: {why(error)}.") from None
    end = data.rfind(b"\n") + 1
    return data[:end].split(b"\n")[:-1], at + end


def _print(told: list[Told], output: str) -> None:
    for gateway, record in told:
        body = record.body
        value = {**body, "gateway": gateway, "hash": record.hash, "intact": record.intact}
        if output == "json":
            print(json.dumps(value), flush=True)
            continue
        if output == "yaml":
            print(yaml.safe_dump([value]), end="", flush=True)
            continue
        edited = "" if record.intact else "  IS NOT what was written"
        if record.kind == Kind.NOTE:
            print(plain(f"{body.get('time')}  {gateway}  {SAID[body['event']](body)}{edited}"), flush=True)
            continue
        tokens = f"{body.get('gen_ai.usage.input_tokens', '-')}/{body.get('gen_ai.usage.output_tokens', '-')}"
        words = (
            str(body.get("time")),
            gateway,
            str(body.get("http.response.status_code")),
            str(body.get("slm.target", "-")),
            str(body.get("slm.caller", "-")),
            f"{tokens} tokens",
            f"{body.get('slm.duration_ms', '-')} ms",
            str(body.get("request.id", "-")),
        )
        print(plain("  ".join(words) + edited), flush=True)
