"""Passes of what may leave: signed with the gateways' key, for the body as it goes on."""

from collections.abc import Callable

from smallmodel_operator.boundary.passes import Pass, Signer, sha256
from smallmodel_operator.core.keys import egress_seed
from smallmodel_operator.gateway.decide.call import Call
from smallmodel_operator.gateway.egress.server import milliseconds
from smallmodel_operator.routing.verdict import Decision


class Unsigned(Exception):  # noqa: N818 - says what is the matter
    """There is no key to sign with."""


class Passes:
    """Of one gateway. `master`: the key all gateways share; empty while it is not known."""

    def __init__(self, master: Callable[[], bytes], clock: Callable[[], int] = milliseconds) -> None:
        self._master, self._clock = master, clock
        self._made: tuple[bytes, Signer] | None = None

    def __call__(self, call: Call, decision: Decision) -> str:
        """The pass of a request that was decided to leave; empty for what stays.

        Raises:
            Unsigned: the key is not known yet.
            ValueError: the request's id cannot be signed, or its body has no such place for the model's name.
        """
        target = decision.target
        if target is None or target.inside:
            return ""
        body = renamed(call.request.body, call.place, target.model)
        given = Pass(call.id, f"{call.route}/{target.name}", decision.policy, sha256(body), self._clock())
        return self._signer().sign(given)

    def _signer(self) -> Signer:
        master = self._master()
        if not master:
            raise Unsigned
        if self._made is None or self._made[0] != master:
            self._made = master, Signer(egress_seed(master))
        return self._made[1]


def renamed(body: bytes, place: str, model: str) -> bytes:
    """The body with the outside's name of the model, byte for byte as the gateway's Envoy makes it (xds/lua/lead.lua);
    as it is where nobody said where the name is. The egress compares: a mistake here lets nothing out.

    Raises:
        ValueError: `place` is none in it.
    """
    if not place:
        return body
    first, last = map(int, place.split(","))
    if not 0 <= first < last <= len(body):
        raise ValueError("the body has no such place")
    return b'%b"%b"%b' % (body[:first], model.encode("ascii"), body[last:])
