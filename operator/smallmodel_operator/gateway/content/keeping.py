"""What is kept of a request: its texts without what its route wants out of them, under the key of whom it is about.

Fails closed: of what is not understood to its end nothing is kept. Where a key cannot be had, who asks says what
becomes of the request.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from smallmodel_operator.audit.content.keyring import Random, SubjectKey
from smallmodel_operator.audit.content.sealed import Form, Sealed, seal
from smallmodel_operator.audit.content.shards import MOST_SUBJECT
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.gateway.content import metrics
from smallmodel_operator.gateway.content.kept import NOTHING, Kept, Seen, omitted
from smallmodel_operator.gateway.content.keys import Keys
from smallmodel_operator.gateway.decide.call import Call, Route, Unseen
from smallmodel_operator.routing.detect.redact import to_keep
from smallmodel_operator.routing.detect.request import Unread
from smallmodel_operator.routing.detect.scanner import Scanner, Undecided
from smallmodel_operator.routing.policy import Ready
from smallmodel_operator.routing.verdict import unread

WAIT_SECONDS: Final = 0.9
"""For a key; with the looks and the record less than Envoy waits."""
SUBJECT: Final = ("safety_identifier", "user")
"""Members of a request that say whom it is about, the first that is there; else it is its caller."""
BAD_SUBJECT: Final = "BadSubject"

logger = logging.getLogger(__name__)


class NotKept(Exception):  # noqa: N818 - says what is the matter
    """Nothing is kept; `args[0]` is why, a word in CamelCase."""


class Keeping:
    """Of one gateway. `keys`: None while they are not known."""

    def __init__(self, keys: Callable[[], Keys | None], random: Random = secrets.token_bytes) -> None:
        self._keys, self._random = keys, random

    async def __call__(self, call: Call, route: Route, seen: Seen) -> Kept:
        """What is kept of a request; nothing where its route does not say so, or an earlier attempt has kept it. It
        never raises but when cancelled."""
        scanner, policy = route.ready.keeps, route.ready.policy
        if scanner is None or call.kept:
            return NOTHING
        found = await self._kept(call, route.ready, scanner, seen)
        result = found.said.get("slm.content.omitted") or policy.content
        metrics.KEPT.labels(policy.namespace, policy.name, result).inc()
        return found

    async def _kept(self, call: Call, ready: Ready, scanner: Scanner, seen: Seen) -> Kept:
        try:
            subject, plain = await seen(call, _looked, call, scanner, ready.rules.policy.most_bytes)
            key = await self._key(ready.policy.namespace, subject)
            sealed: Sealed = await seen(call, seal, plain, call.id, Form(ready.policy.content), key, self._random)
        except NotKept as error:
            return omitted(error.args[0])
        except Unseen as error:
            return omitted(error.args[0], failed=True)
        except (Away, TimeoutError) as error:
            logger.warning("nothing is kept of request %s to %s: no key: %s", call.id, call.route, error)
            return omitted("NoKey", failed=True)
        except Exception as error:  # it may quote the request: its kind alone is told
            logger.error("nothing is kept of request %s to %s: %s", call.id, call.route, type(error))
            return omitted("Failed", failed=True)
        said = {name: value for name, value in sealed.reference().items() if name != "request.id"}
        return Kept(said, sealed.line())

    async def _key(self, namespace: str, subject: str) -> SubjectKey:
        keys = self._keys()
        if keys is None:
            raise Away("the keys of subjects are not known yet")
        async with asyncio.timeout(WAIT_SECONDS):
            return await keys.of(namespace, subject)


def _looked(call: Call, scanner: Scanner, most_bytes: int) -> tuple[str, bytes]:
    """Whom a request is about, and what may be kept of it.

    Raises:
        NotKept: nothing may.
    """
    for reason in unread(call.request):
        raise NotKept(reason.reason)
    try:
        plain = to_keep(call.request.body, scanner, most_bytes)
    except (Unread, Undecided) as error:
        raise NotKept(str(error.args[0])) from None
    return subject_of(call.caller, call.request.body), plain


def subject_of(caller: str, body: bytes) -> str:
    """Whom a request is about: who it says (SUBJECT), else its caller.

    Raises:
        NotKept: it says somebody whose name is none.
    """
    said: Any = json.loads(body)  # read before, more strictly
    named = (said[member] for member in SUBJECT if said.get(member) is not None)
    subject = next(named, caller)
    if not isinstance(subject, str) or not subject.strip() or len(subject) > MOST_SUBJECT:
        raise NotKept(BAD_SUBJECT)
    return subject
