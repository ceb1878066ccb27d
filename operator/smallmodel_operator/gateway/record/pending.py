"""Records that are made and not committed yet. Each is sealed as soon as the next one comes, so that what was read of
the log need not be kept: under load that is half of the work of a record. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.audit.record import COMMIT, Kind
from smallmodel_operator.gateway.accesslog.line import Line, fields_of
from smallmodel_operator.gateway.record.answer import sealed, sealed_answer, unicode

CHECKPOINT = Kind.CHECKPOINT.value
Sign = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to go back to."""

    owner: "Pending"
    lines: int
    answers: int
    seq: int
    hash: str
    last: Any
    content: int


class Pending:
    """Follows the record `seq` with the hash `hash`. `sign` signs checkpoints, and the last record of each commit."""

    def __init__(self, seq: int, hash_: str, sign: Sign) -> None:
        self.answered: list[str] = []
        """When each answer among them began to arrive, as the log has it."""
        self._sign = sign
        self._lines: list[bytes] = []
        self._content: list[bytes] = []
        self._seq, self._hash = seq, hash_
        self._last: Any = None
        """The last one, an answer as a `Line`: what a commit says goes into it."""

    def __bool__(self) -> bool:
        return self._last is not None

    @property
    def end(self) -> int:
        """Number of the last one."""
        return self._seq + (self._last is not None)

    def add(self, body: Any) -> None:
        """One more: an answer as a `Line`, anything else as a dictionary."""
        last = self._last
        if last is not None:
            self._seq += 1
            if isinstance(last, Line):
                line, self._hash = sealed_answer(last, self._seq, self._hash)
            else:
                line, self._hash = self._sealed(last, self._seq)
            self._lines.append(line)
        self._last = body
        if isinstance(body, Line):
            self.answered.append(body.time)

    def keep(self, line: bytes) -> None:
        """Content that the record added next names; it is encrypted."""
        self._content.append(line)

    @property
    def content(self) -> bytes:
        """What is to be written before them."""
        return b"".join(self._content)

    def _sealed(self, body: dict[str, Any], seq: int) -> tuple[bytes, str]:
        if body["kind"] == CHECKPOINT or COMMIT in body:
            whole = {**body, "seq": seq, "prev": self._hash}
            try:
                body = self._sign(whole)
            except ValueError:
                body = self._sign(unicode(whole))
        return sealed(body, seq, self._hash)

    def whole(self, commit: Mapping[str, Any]) -> tuple[bytes, int, str]:
        """All of them with the word of their commit, and number and hash of the last. They stay until that is written.

        Raises:
            ValueError: there is none.
        """
        if self._last is None:
            raise ValueError("nothing waits to be committed")
        last = fields_of(self._last) if isinstance(self._last, Line) else self._last
        line, made = self._sealed({**last, COMMIT: commit}, self._seq + 1)
        return b"".join((*self._lines, line)), self._seq + 1, made

    def mark(self) -> Mark:
        """Where they end now."""
        return Mark(self, len(self._lines), len(self.answered), self._seq, self._hash, self._last, len(self._content))

    def back_to(self, mark: Mark) -> None:
        """Forget what was added after a mark; what was committed since stays."""
        if mark.owner is not self:
            return
        del self._lines[mark.lines :], self.answered[mark.answers :], self._content[mark.content :]
        self._seq, self._hash, self._last = mark.seq, mark.hash, mark.last
