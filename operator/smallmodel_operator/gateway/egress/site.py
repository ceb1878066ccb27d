"""Where the egress listens and keeps its files. Values only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smallmodel_operator.api.names import EGRESS_PORT
from smallmodel_operator.routing.detect.decide import MOST_BYTES

MOST_BODY: Final = MOST_BYTES + 128
"""Bytes of a body that may leave: longer ones are not looked through, so they stay inside. The outside's name of the
model may be that much longer than the route's."""


@dataclass(frozen=True, slots=True)
class EgressSite:
    """Folders and ports of the egress's pod; the defaults are those its objects have."""

    folder: Path = Path("/run/smallmodel")
    """In memory: bootstrap.json, admin.sock, check.sock."""
    credentials: Path = Path("/etc/smallmodel/credentials")
    """One file for each declared host that has a credential: only Envoy's container has it."""
    authorities: Path = Path("/etc/smallmodel/authorities/ca.crt")
    """PEM bundle: who may say that somebody is a declared host."""
    log: str = "/dev/stdout"
    address: str = "0.0.0.0"  # noqa: S104 - a pod serves on all its addresses
    port: int = EGRESS_PORT
    memory: int = 256 << 20
    """Bytes Envoy may use."""

    @property
    def admin_socket(self) -> str:
        return str(self.folder / "admin.sock")

    @property
    def check_socket(self) -> str:
        """Where Envoy asks whether a request has a pass."""
        return str(self.folder / "check.sock")
