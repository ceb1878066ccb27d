"""Requests that were let out, kept until they could have failed: what one is by when it comes back in.

Their bodies are not kept, for Envoy sends them again. Callers may choose a request's id, so it goes by the bytes that
were let out, too; two of one id and the same bytes cannot be told apart, and neither is answered inside.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from smallmodel_operator.gateway.decide.call import Call
from smallmodel_operator.gateway.decide.passes import renamed
from smallmodel_operator.routing.verdict import Decision

MOST: Final = 20_000
"""Requests remembered at a time."""
SECONDS: Final = 660.0
"""How long each is: more than the outside may be silent (300 s)."""


@dataclass(frozen=True, slots=True)
class LetOut:
    """One of them: its call, without the body, and what was decided on it.

    `name`: of the model, as its caller wrote it between quotes; empty where nobody said where it stands.
    """

    call: Call
    decision: Decision
    name: str = ""


_Key = tuple[str, bytes]


class AllLetOut:
    """Those of one gateway."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, LetOut | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, call: Call, decision: Decision) -> None:
        """It goes to a target outside.

        Raises:
            ValueError: its body has no such place for the model's name, or one of other letters than ASCII's.
        """
        if decision.target is None:
            return
        key = call.id, sha256(renamed(call.request.body, call.place, decision.target.model)).digest()
        first, _, last = call.place.partition(",")
        name = call.request.body[int(first) + 1 : int(last) - 1].decode("ascii") if call.place else ""
        bare = replace(call, request=replace(call.request, body=b""))
        now = self._clock()
        self._kept[key] = now, None if key in self._kept else LetOut(bare, decision, name)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST or now - next(iter(self._kept.values()))[0] > SECONDS:
            self._kept.popitem(last=False)

    def back(self, request_id: str, body: bytes) -> LetOut | None:
        """The one that comes back in with these bytes, once; None: nobody knows whose it is."""
        return self._kept.pop((request_id, sha256(body).digest()), (0.0, None))[1]
