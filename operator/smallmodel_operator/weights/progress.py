"""How far a download is: what its pod says, and what of it a status shows. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.facts import Progress
from smallmodel_operator.core.outcome import NotYet
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import download
from smallmodel_operator.weights.meter import TELL_PERCENT, TELL_SECONDS

LOOK_SECONDS: Final = 5.0
"""How often the operator asks a download's pod."""
MAX_TEXT: Final = 600
MAX_NUMBER: Final = 2**53


def encode(progress: Progress) -> str:
    """What a download's pod answers."""
    trouble = {"reason": progress.reason, "message": progress.message[:MAX_TEXT]} if progress.reason else None
    said = {"done": progress.done, "total": progress.total, "secondsLeft": progress.seconds_left, "trouble": trouble}
    return json.dumps(said)


def decode(text: str) -> Progress | None:
    """What a pod said; None when it is nothing a download of ours says."""
    try:
        said = json.loads(text)
        left, trouble = said["secondsLeft"], said["trouble"] or {"reason": "", "message": ""}
        numbers = (said["done"], said["total"], 0 if left is None else left)
        known = trouble["reason"] == "" or Reason(trouble["reason"]) in download.REASONS
        message = trouble["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = all(type(n) is int and 0 <= n < MAX_NUMBER for n in numbers) and isinstance(message, str) and known
    return Progress(numbers[0], numbers[1], left, trouble["reason"], message[:MAX_TEXT]) if sound else None


def shown(previous: Mapping[str, Any], now: datetime, progress: Progress | None) -> dict[str, Any]:
    """`status.download`: rewritten every 5 % or 15 s, so that a status is not written for each piece."""
    if progress is None:
        return {}
    percent = min(100, 100 * progress.done // progress.total) if progress.total else 0
    kept = previous.get("download") or {}
    if kept.get("asOf") and not _due(kept, percent, progress, now):
        return dict(kept)
    left = {} if progress.seconds_left is None else {"secondsLeft": progress.seconds_left}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"doneBytes": progress.done, "totalBytes": progress.total, "percent": percent, **left, "asOf": stamp}


def _due(kept: Mapping[str, Any], percent: int, progress: Progress, now: datetime) -> bool:
    before = kept.get("percent", 0)
    moved = percent >= before + TELL_PERCENT or percent < before or (percent == 100 and before < 100)
    old = now - datetime.fromisoformat(kept["asOf"].replace("Z", "+00:00")) >= timedelta(seconds=TELL_SECONDS)
    return moved or old or kept.get("totalBytes", 0) != progress.total


def news(said: Mapping[str, Any], progress: Progress) -> NotYet:
    """What a condition says of a download that runs: how far it is, and what is in its way now."""
    if progress.reason:
        message = f"{progress.message} Trying again."
        return NotYet(Reason(progress.reason), message, after_seconds=LOOK_SECONDS)
    far = in_words(said)
    message = f"The weights are being downloaded and checked{f': {far}' if far else ''}."
    return NotYet(Reason.DOWNLOADING, message, after_seconds=LOOK_SECONDS)


def in_words(said: Mapping[str, Any]) -> str:
    """`status.download` for people; empty before the first byte."""
    done, total = said.get("doneBytes", 0), said.get("totalBytes", 0)
    if not total:
        return human(done) if done else ""
    left = f", {duration(said['secondsLeft'])} left" if "secondsLeft" in said else ""
    return f"{said.get('percent', 0)} % of {human(total)}{left}"


def duration(seconds: int) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
