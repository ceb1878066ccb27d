"""How a download goes on: what an answer means for the bytes that are there, what a failure is, how long to wait. Pure.

The SHA-256 in the spec decides in the end whether the file is right; an ETag only tells early that it is another one.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import store
from smallmodel_operator.weights.result import MAX_WAIT, Failure

REASONS: Final = frozenset(
    {
        Reason.DOWNLOAD_FAILED,
        Reason.SOURCE_UNREACHABLE,
        Reason.SOURCE_UNTRUSTED,
        Reason.SOURCE_UNAUTHORIZED,
        Reason.SOURCE_FORBIDDEN,
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_RATE_LIMITED,
        Reason.SOURCE_FAILING,
        Reason.SOURCE_STALLED,
        Reason.CLAIM_FULL,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_INVALID,
    }
)
"""Why a download may fail besides the file being the wrong one."""
TRIES: Final = 8
"""Tries in a row that bring no new byte; then the Job ends and the operator begins another one later."""
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 60.0
WAIT_HERE: Final = 600.0
"""Seconds of pauses, all in all, before a try has to bring a byte; who wants more is asked by the next Job."""
_CONTENT_RANGE: Final = re.compile(r"^bytes (\d{1,16})-\d{1,16}/(\d{1,16}|\*)$")


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier answers said of the file: its bytes in all (0: unknown) and its strong ETag (may be empty)."""

    total: int = 0
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer. `length`: of the body, 0 where it is not told; `content_range` and `tag` as sent."""

    status: int
    length: int = 0
    content_range: str = ""
    tag: str = ""


class Step(Enum):
    """What to do with an answer."""

    TAKE = "its body is the file from the first byte on"
    APPEND = "its body is the rest"
    ASK_WITHOUT_TAG = "the length is the same and only the ETag is not: go on, asking without it"
    ASK_FROM_START = "what is there is of another file, or the server gives something else than was asked for"


def headers(have: int, known: Known) -> dict[str, str]:
    """What to ask with, to get the bytes that are missing."""
    if not have:
        return {}
    return {"Range": f"bytes={have}-", **({"If-Range": known.tag} if known.tag else {})}


def judge(have: int, known: Known, answer: Answer, *, exact: bool = False) -> Step:
    """What an answer with status 200, 206 or 416 means, when `have` bytes are there.

    `exact`: no SHA-256 will decide, so what has not the same ETag is another file.
    Several machines behind one name often give one file different ETags: when the length has not changed, the bytes
    that are there are kept, and the SHA-256 decides.
    """
    if answer.status == 200:
        other = bool(have and known.tag) and answer.tag != known.tag
        return Step.ASK_WITHOUT_TAG if other and not exact and answer.length == known.total else Step.TAKE
    match = _CONTENT_RANGE.match(answer.content_range)
    if answer.status != 206 or not match or not have or int(match[1]) != have:
        return Step.ASK_FROM_START
    changed = (known.total and match[2] != "*" and int(match[2]) != known.total) or (exact and answer.tag != known.tag)
    return Step.ASK_FROM_START if changed else Step.APPEND


def learnt(have: int, answer: Answer) -> Known:
    """What the answer tells of the file. A weak ETag may be the same for different bytes: it counts for nothing."""
    match = _CONTENT_RANGE.match(answer.content_range)
    length = answer.length + (have if answer.status == 206 else 0) if answer.length else 0
    strong = answer.tag.startswith('"') and answer.tag.isascii() and answer.tag.isprintable()
    return Known(
        int(match[2]) if match and match[2] != "*" else length,
        answer.tag if strong and len(answer.tag) <= 256 else "",
    )


def pause(tries: int, waited: float, wish: float, chance: float) -> float | None:
    """Seconds until the next try; None: give up here.

    Args:
        tries: in a row that brought nothing; 0 when the last one brought something before it broke off.
        waited: seconds of pauses since bytes came last.
        wish: what the server asks for (Retry-After), 0 for nothing.
        chance: a random number from 0 to 1, so that pods that were cut off together do not come back together.
    """
    if tries >= TRIES:
        return None
    own = min(LAST_PAUSE, FIRST_PAUSE * 2**tries) * (0.5 + chance / 2)
    seconds = max(own, wish + chance if wish else 0.0)
    return seconds if waited + seconds <= WAIT_HERE else None


def retry_after(text: str, now: datetime) -> int:
    """Seconds a server asks to wait for; 0 when it does not say or says nonsense."""
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return min(int(text[:9]), MAX_WAIT)
    try:
        then = parsedate_to_datetime(text)
        return max(0, min(MAX_WAIT, round((then - now).total_seconds())))
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return 0


def refused(host: str, status: int, phrase: str, wait: int, code: str = "") -> Failure:
    """What an HTTP error is. `wait`: seconds the server asks for; `code`: a hub's or an S3 store's own word for it."""
    said = f"{host} answers {status} {phrase}{f' ({code})' if code else ''}".rstrip()
    if (known := store.refused(said, code, wait)) is not None:
        return known
    if code == "GatedRepo":
        way = "Accept its terms on its page with the account whose token is in `spec.source.credentialsSecretRef`."
        return Failure(Reason.SOURCE_FORBIDDEN, f"{said}: the repository is gated. {way}")
    if code == "RevisionNotFound":
        return Failure(
            Reason.SOURCE_NOT_FOUND,
            f"{said}: the repository has no such commit (or branch). Correct `spec.source.uri`; `git ls-remote` prints "
            "the commits of its branches.",
        )
    if code == "RepoNotFound" and status == 404:
        return Failure(
            Reason.SOURCE_NOT_FOUND,
            f"{said}: there is no such repository, or it is private. Correct `spec.source.uri`, or name a Secret with "
            "`token` in `spec.source.credentialsSecretRef`.",
        )
    if status == 401:
        private = "there is no such repository, or it is private"
        what = private if code == "RepoNotFound" else "it wants credentials, or other ones than it was sent"
        way = "Name a Secret with `token`, or `username` and `password`, in `spec.source.credentialsSecretRef`"
        return Failure(Reason.SOURCE_UNAUTHORIZED, f"{said}: {what}. {way}, or correct `spec.source.uri`.")
    if status == 403:
        way = "Have the file's owner allow the download, or correct `spec.source.uri`."
        return Failure(Reason.SOURCE_FORBIDDEN, f"{said}: it gives the file to others only. {way}")
    if status in (404, 410):
        return Failure(Reason.SOURCE_NOT_FOUND, f"{said}: there is no such file. Correct `spec.source.uri`.")
    if status == 429:
        asked = f"; it asks for a pause of {wait} s" if wait else ""
        return Failure(Reason.SOURCE_RATE_LIMITED, f"{said}{asked}.", passing=True, after_seconds=wait)
    if status >= 500 or status in (408, 425):
        return Failure(Reason.SOURCE_FAILING, f"{said}.", passing=True, after_seconds=wait)
    return Failure(Reason.DOWNLOAD_FAILED, f"{said}. Correct `spec.source.uri`.")


def mismatch(host: str, found: str, wanted: str, *, frozen: bool = False) -> Failure:
    """The file came whole, and it is another one. `frozen`: than the one that was resolved."""
    if frozen:
        way = "Raise `spec.source.resolveGeneration` to take what the source holds now."
        said = f"`status.source` is frozen to {wanted}. The file was changed; it was thrown away. {way}"
    else:
        said = (
            f"`spec.source.sha256` says {wanted}. The file was changed or is another one; it was thrown away. Correct "
            "whichever is wrong."
        )
    return Failure(Reason.DIGEST_MISMATCH, f"{host} sends a file whose SHA-256 is {found}; {said}")


def unlike(host: str, sent: int, listed: int) -> Failure:
    """A hub's list and whoever holds its files do not agree on a file's length."""
    return Failure(
        Reason.DOWNLOAD_FAILED,
        f"{host} sends {sent} bytes of a file that has {listed} by the hub's list. Whoever runs the hub or its mirror "
        "has to mend it.",
    )


def no_room(needed: int, free: int, kept: int) -> Failure:
    """The claim is too small for what is still to come."""
    return Failure(
        Reason.CLAIM_FULL,
        f"The claim `smallmodel-weights` is too full: the download needs {human(needed)} ({needed} bytes), "
        f"{human(free)} ({free} bytes) are free and {human(kept)} of them stay free. Enlarge it, or delete folders in "
        "it that no SmallModel uses.",
        needed_bytes=needed + kept,
    )
