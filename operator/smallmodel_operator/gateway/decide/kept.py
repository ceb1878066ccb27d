"""Requests whose answers are judged, kept while they are under way: whose they are, and the answer that was doubted.

Their bodies are not kept, Envoy sends them again. Callers may choose a request's id, so it goes by its bytes, too; of
two of one id and the same bytes the second is answered without being judged.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from smallmodel_operator.gateway.decide.call import Call
from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.tools.conversation import Conversation
from smallmodel_operator.routing.verdict import Decision

MOST: Final = 20_000
"""Requests kept at a time."""
SECONDS: Final = 7200.0
"""How long each is, holds and answers included."""
MOST_ANSWERS: Final = 64 * 1024 * 1024
"""Bytes of doubted answers kept at a time; who loses his gets the larger model's, or its error."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why another target is asked. `names`: of those that may, in order; `kind`, `answer`: what was said first."""

    names: tuple[str, ...]
    confidence: float
    turn: Turn
    kind: str
    answer: bytes


@dataclass(slots=True)
class Kept:
    """One request: its call, without the body, what was decided on it, which calls of tools are in it, and who may
    answer in place of the first. `asks`: its caller wants the tokens' probabilities. `demands`: tools of which one has
    to be called; none: it is judged by how sure its model is. `steps`: attempts there are still."""

    call: Call
    decision: Decision
    checked: Conversation
    names: tuple[str, ...]
    asks: bool
    demands: frozenset[str] = frozenset()
    steps: tuple[str, ...] = ()
    step: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    tried: int = 0
    doubt: Doubt | None = None

    def with_body(self, body: bytes) -> Call:
        """Its call, whole again."""
        return replace(self.call, request=replace(self.call.request, body=body), kept=self.tried > 1)


_Key = tuple[str, bytes]


class AllKept:
    """Those of one gateway."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, Kept]] = OrderedDict()
        self._tokens: dict[str, _Key] = {}
        self._answers = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, one: Kept) -> bool:
        """False: there is one of the same id and bytes, it is not kept. Its body is not."""
        call, now = one.call, self._clock()
        key = _key(call.id, call.request.body)
        while self._kept and (len(self._kept) >= MOST or now - next(iter(self._kept.values()))[0] > SECONDS):
            self._forget(next(iter(self._kept)))
        if key in self._kept:
            return False
        one.call = replace(call, request=replace(call.request, body=b""))
        self._kept[key], self._tokens[one.token] = (now, one), key
        return True

    def again(self, request_id: str, body: bytes) -> Kept | None:
        """The one that comes in at the inner door with these bytes, one time more."""
        found = self._kept.get(_key(request_id, body))
        if found is None:
            return None
        found[1].tried += 1
        return found[1]

    def of(self, token: str) -> Kept | None:
        """By its token."""
        key = self._tokens.get(token)
        return self._kept[key][1] if key else None

    def doubted(self, one: Kept, doubt: Doubt) -> None:
        """Its answer is kept, in case nobody gives another; the oldest of others are let go for it."""
        one.doubt = doubt
        self._answers += len(doubt.answer)
        for _, other in list(self._kept.values()):
            if self._answers <= MOST_ANSWERS:
                return
            if other.doubt is not None and other is not one:
                self._answers -= len(other.doubt.answer)
                other.doubt = replace(other.doubt, answer=b"")

    def forget(self, one: Kept) -> None:
        """It is over."""
        if key := self._tokens.get(one.token):
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        _, one = self._kept.pop(key)
        del self._tokens[one.token]
        self._answers -= len(one.doubt.answer) if one.doubt else 0


def _key(request_id: str, body: bytes) -> _Key:
    return request_id, sha256(body).digest()
