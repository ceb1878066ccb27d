"""One file over a bad line into a `.part` file: goes on where it broke off, hashes as it streams, sees stalls."""

import errno
import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import request
from smallmodel_operator.cli.progress import Board
from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.core.facts import Progress
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import download
from smallmodel_operator.weights.download import Known, Step
from smallmodel_operator.weights.meter import STALL_SECONDS, Meter, Stall
from smallmodel_operator.weights.result import Failure

T = TypeVar("T")
CHUNK: Final = 2**20
MAX_BYTES: Final = 200 * 2**30
"""No model of this operator is larger; a server that sends for ever must not fill the claim."""
KEEP_FREE: Final = 64 * 2**20
BEGINNINGS: Final = 3
"""How often what is there may turn out to be of another file, before the server is said to change it all the time."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Time and chance, for tests to pass others in. `stall`: seconds without enough bytes that end a connection."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    stall: float = STALL_SECONDS
    aside: Callable[[float], None] | None = None
    """A pause in which another pod may go on with the same file."""

    def rest(self, seconds: float) -> None:
        """A pause after a try that brought nothing."""
        (self.aside or self.sleep)(seconds)


class Transfer:
    """The file `part`, from what an earlier pod left of it to the whole.

    `size`: bytes it has, where a list tells; 0 where none does. `wrong`: what it means that its SHA-256 is another one,
    of the host, the one that came and the one that is meant.
    """

    def __init__(
        self,
        wanted: request.Wanted,
        sha256: str,
        part: Path,
        edge: Edge,
        board: Board,
        *,
        size: int = 0,
        wrong: Callable[[str, str, str], Failure] = download.mismatch,
    ) -> None:
        self._board, self._size, self._wrong = board, size, wrong
        self._wanted, self._sha256, self._part, self._edge = wanted, sha256, part, edge
        self._note = part.with_suffix(".part.json")
        self._have, self._hash = _hashed(part)
        self._known = _read_note(self._note) if self._have else Known()
        self._best = self._have
        self._doubtful = self._have > 0
        """Bytes may be of another file than the rest: an earlier pod's, or the server gives no ETag to compare."""
        self._tagless = False
        self._beginnings = 0
        self._meter = Meter(edge.clock(), self._have)
        self._say()

    @property
    def sha256(self) -> str:
        """Of what is there."""
        return str(self._hash.hexdigest())

    def run(self) -> None:
        """Until the file is whole and the one that is meant; without a SHA-256 any is, but all of it of one ETag.

        When the sum is off that may be because the file at the server has changed between two connections, so it is
        fetched once more in whole before the server is blamed.

        Raises:
            Trouble: it is not, and why.
            OSError: the claim cannot be written.
        """
        if not (self._have and self._right()):
            self._rest()
        if not self._sha256:
            self._note.unlink(missing_ok=True)
            return
        if not self._right() and self._doubtful:
            print("what an earlier try left does not belong to this file; beginning anew", flush=True)
            self._anew()
            self._rest()
        self._note.unlink(missing_ok=True)
        if not self._right():
            self._part.unlink(missing_ok=True)
            raise Trouble(self._wrong(self._wanted.host, self.sha256, self._sha256))

    def _right(self) -> bool:
        return self.sha256 == self._sha256

    def _rest(self) -> None:
        """All that is missing, over as many connections as it takes while each of them brings something."""
        tries, waited = 0, 0.0
        while True:
            best = self._best
            try:
                if self._once():
                    return
            except Trouble as trouble:
                if not trouble.failure.passing:
                    raise
                tries, waited = (0, 0.0) if self._best > best else (tries + 1, waited)
                wait = download.pause(tries, waited, trouble.failure.after_seconds, self._edge.chance())
                if wait is None:
                    raise
                if tries:  # a line that breaks and still brings something is no news
                    self._say(trouble.failure)
                print(f"{trouble.failure.message} Going on at {human(self._have)} in {wait:.1f} s.", flush=True)
                (self._edge.rest if tries else self._edge.sleep)(wait)  # what still brings something lets nobody in
                waited += wait

    def _once(self) -> bool:
        """One connection; True when the file is whole after it."""
        if not self._sha256 and self._have and not self._known.tag:
            print("nothing tells whether the rest is of the same file; beginning anew", flush=True)
            self._anew()
        known = replace(self._known, tag="") if self._tagless else self._known
        answer = request.open_url(self._wanted, download.headers(self._have, known), self._edge.stall)
        with answer:
            head = request.head(answer)
            step = download.judge(self._have, known, head, exact=not self._sha256)
            if step is Step.ASK_WITHOUT_TAG:
                self._tagless = True
                return False
            if step is Step.ASK_FROM_START:
                self._begin_anew()
                return False
            if step is Step.TAKE:
                self._anew()
            elif not known.tag:
                self._doubtful = True
            said = download.learnt(self._have, head)
            self._learn(Known(said.total or self._known.total, said.tag or self._known.tag))
            self._room(head.length)
            self._copy(answer)
        if self._known.total and self._have < self._known.total:
            raise Trouble(request.dropped(self._wanted.host, self._have, self._known.total))
        return True

    def _learn(self, known: Known) -> None:
        self._known = known
        if known.total > MAX_BYTES:
            raise Trouble(_too_large())
        if self._size and known.total not in (0, self._size):
            raise Trouble(download.unlike(self._wanted.host, known.total, self._size))
        self._note.write_text(json.dumps(asdict(known)))

    def _begin_anew(self) -> None:
        if not self._have:
            raise Trouble(
                Failure(Reason.DOWNLOAD_FAILED, f"{self._wanted.host} sends another part than was asked for.")
            )
        self._beginnings += 1
        if self._beginnings > BEGINNINGS:
            message = f"The file at {self._wanted.host} changes while it is fetched."
            raise Trouble(Failure(Reason.DOWNLOAD_FAILED, message, passing=True))
        print("what is there is of another file; beginning anew", flush=True)
        self._anew()
        self._best = 0

    def _anew(self) -> None:
        """Nothing is there. The most that ever was stays known: a server that cannot go on brings nothing new."""
        self._part.unlink(missing_ok=True)
        self._have, self._hash, self._known, self._doubtful = 0, hashlib.sha256(), Known(), False

    def _room(self, needed: int) -> None:
        free = shutil.disk_usage(self._part.parent).free
        if needed > free - KEEP_FREE:
            raise Trouble(download.no_room(needed, free, KEEP_FREE))

    def _copy(self, answer: Any) -> None:
        """Every piece as it comes: what arrived before a connection broke is never fetched again."""
        watch = Stall(self._edge.clock(), self._edge.stall)
        with self._part.open("ab") as out:
            while block := request.read(self._wanted.host, answer, CHUNK):
                out.write(block)
                self._hash.update(block)
                self._have += len(block)
                self._best = max(self._best, self._have)
                if self._have > MAX_BYTES:
                    raise Trouble(_too_large())
                if self._size and self._have > self._size:
                    raise Trouble(download.unlike(self._wanted.host, self._have, self._size))
                now = self._edge.clock()
                self._meter.at(self._have, self._known.total, now)
                self._tell(now)
                if watch.stalled(len(block), now):
                    raise Trouble(request.stalled(self._wanted.host, self._edge.stall))
            out.flush()
            os.fsync(out.fileno())

    def _say(self, trouble: Failure | None = None) -> None:
        """What the operator hears when it asks."""
        left = self._meter.seconds_left(self._edge.clock())
        reason, message = (trouble.reason.value, trouble.message) if trouble else ("", "")
        self._board.tell(Progress(self._have, self._known.total, left, reason, message))

    def _tell(self, now: float) -> None:
        self._say()
        if not self._meter.due(now):
            return
        meter, left = self._meter, self._meter.seconds_left(now)
        of = f" of {human(meter.total)} ({meter.percent} %)" if meter.total else ""
        print(f"downloaded {human(meter.done)}{of}{'' if left is None else f', {left} s left'}", flush=True)


def patiently(ask: Callable[[], T], edge: Edge, board: Board) -> T:
    """The answer to a question, asked again while asking again may help.

    Raises:
        Trouble: it does not, or not soon enough.
    """
    tries, waited = 0, 0.0
    while True:
        try:
            return ask()
        except Trouble as trouble:
            tries += 1
            wait = download.pause(tries, waited, trouble.failure.after_seconds, edge.chance())
            if wait is None or not trouble.failure.passing:
                raise
            board.tell(Progress(0, 0, None, trouble.failure.reason.value, trouble.failure.message))
            print(f"{trouble.failure.message} Asking again in {wait:.1f} s.", flush=True)
            edge.rest(wait)
            waited += wait


def full(error: OSError) -> bool:
    """Is it the claim that is full?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_failure(error: OSError, reason: Reason, cannot: str) -> Failure:
    """What a disk that does not work means. `reason`, `cannot`: where it is not full, and what cannot be done then."""
    if full(error):
        return Failure(
            Reason.CLAIM_FULL,
            f"The claim `smallmodel-weights` is full: {error.strerror}. Enlarge it, or delete folders in it that no "
            "SmallModel uses.",
        )
    return Failure(reason, f"The claim cannot be {cannot}: {error}.", passing=True)


def _too_large() -> Failure:
    return Failure(Reason.DOWNLOAD_FAILED, f"The file is larger than {human(MAX_BYTES)}; it is refused.")


def _hashed(part: Path) -> tuple[int, Any]:
    """Bytes an earlier pod left, and the state of their sum."""
    state, size = hashlib.sha256(), 0
    if not part.exists():
        return size, state
    print(f"an earlier try left {human(part.stat().st_size)}; going on from there", flush=True)
    with part.open("rb") as stream:
        while block := stream.read(CHUNK):
            state.update(block)
            size += len(block)
    return size, state


def sync(folder: Path) -> None:
    """What was renamed in it stays so when the machine loses power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_note(note: Path) -> Known:
    """What an earlier pod noted of the file; nothing when the note is not whole."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(note.read_text())
        if isinstance(said["total"], int) and isinstance(said["tag"], str):
            return Known(said["total"], said["tag"])
    return Known()
