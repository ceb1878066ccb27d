"""What who checks answers Envoy: a request with a pass may go the way the pass is for. Pure but for what was used.

Nothing that is said has a text of the request in it.
"""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.boundary.passes import Gate, Refused, Sent, Why
from smallmodel_operator.gateway.decide.answer import Answer, refusal
from smallmodel_operator.gateway.egress import metrics
from smallmodel_operator.gateway.egress.site import MOST_BODY
from smallmodel_operator.gateway.egress.words import POLICY, STREAM, WAY

PATHS: Final = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"})
"""What may be asked outside, as it is: a query would be a text that nobody looked through."""
LATER: Final = frozenset({Why.FULL, Why.UNSURE})
"""Refused now; a new pass may do in some seconds."""
OTHER_PATH, OTHER_HOST, TOO_LARGE = "not-sent-outside", "unknown-target", "body-too-large"

_STREAM: Final = re.compile(rb'"stream"\s*:\s*true\b')

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as Envoy is about to send it on."""

    method: str
    path: str
    """With its query, if it has one."""
    id: str
    target: str
    pass_: str
    body: bytes


class Checker:
    """One egress's. `hosts`: names of the declared ones."""

    def __init__(self, gate: Gate, hosts: Collection[str]) -> None:
        self._gate, self._hosts = gate, frozenset(hosts)

    def answer(self, asked: Asked, now: int) -> Answer:
        """200 with the way, or the caller's answer. `now`: milliseconds since 1970. It never raises."""
        try:
            found = self._answer(asked, now)
        except Exception as error:  # the error may quote the request: its kind alone is told
            logger.error("request %r is refused: its check failed: %s", asked.id[:64], type(error))
            found = _refused("unchecked", 503)
        metrics.CHECKED.labels(found.headers.get("x-slm-cause", "passed")).inc()
        return found

    def _answer(self, asked: Asked, now: int) -> Answer:
        if asked.method != "POST" or asked.path not in PATHS:
            return _refused(OTHER_PATH, 404)
        if len(asked.body) > MOST_BODY:
            return _refused(TOO_LARGE, 413)
        if asked.target not in self._hosts:
            return _refused(OTHER_HOST, 503)  # gateways may know of it earlier
        try:
            found = self._gate.check(asked.pass_, Sent(asked.id, asked.target, asked.body), now)
        except Refused as refused:
            logger.warning("request %r to %s is refused: %s", asked.id[:64], asked.target, refused.why)
            return _refused(refused.why.value, 503 if refused.why in LATER else 403)
        return Answer(200, {WAY: found.target + STREAM * asks_stream(asked.body), POLICY: found.policy})


def asks_stream(body: bytes) -> bool:
    """Is a stream asked for? It says how long the outside may be silent, nothing else, so bytes will do: inside a text
    quotes have a backslash in front, and the body is not parsed for it, whatever its size."""
    return _STREAM.search(body) is not None


def _refused(cause: str, status: int) -> Answer:
    return refusal(status, cause, f"This request may not leave the cluster: {cause}.", "not_allowed_outside")
