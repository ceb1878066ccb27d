"""Who may speak to the activator over the network: the other gateways. All hold the key engines' keys are made of.

Where no NetworkPolicies are enforced every pod reaches the port, and could wake models and fill queues.
"""

import hmac
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from smallmodel_operator.core.keys import engine_key, peer_key
from smallmodel_operator.gateway.activate.ports import Ports

SCHEME: Final = "Bearer "


class Verdict(Enum):
    """On who asks."""

    TRUSTED = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    """The keys or the models are not known yet."""


class Trust:
    """Compares keys. `master` gives the key engines' keys are made of; empty while it is not known."""

    def __init__(self, ports: Ports, master: Callable[[], bytes]) -> None:
        self._ports = ports
        self._master = master

    def envoy(self, target: str, authorization: str) -> Verdict:
        """Another gateway's Envoy brings a request for a model: with the key of its engine, as it would to a pod."""
        master, model = self._master(), self._ports.model(target)
        if not master or (model is None and not self._ports.synced()):
            return Verdict.UNKNOWN
        if model is None:
            return Verdict.REFUSED  # as with a wrong key: nobody learns here which models there are
        return _judge(authorization, engine_key(master, model.uid))

    def peer(self, authorization: str) -> Verdict:
        """Another gateway's agent asks what is held here."""
        master = self._master()
        return _judge(authorization, peer_key(master)) if master else Verdict.REFUSED

    def introduction(self) -> dict[str, str]:
        """Headers that say who we are; none while we cannot."""
        master = self._master()
        return {"Authorization": SCHEME + peer_key(master)} if master else {}


def _judge(authorization: str, key: str) -> Verdict:
    # As bytes: compare_digest refuses text that is not ASCII, and headers come as they like.
    same = hmac.compare_digest(authorization.encode(errors="replace"), (SCHEME + key).encode())
    return Verdict.TRUSTED if same else Verdict.REFUSED
