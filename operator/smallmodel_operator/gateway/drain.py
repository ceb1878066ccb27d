"""preStop hook of container envoy: `python3 -m smallmodel_operator.gateway.drain <admin socket> <seconds>`.

Envoy cuts off what is open at SIGTERM. So the hook first makes it say so (every answer from now on closes its
connection, /ready is no longer LIVE), waits until nodes have heard that the pod leaves, and then until no request is
open, held ones included. Standard library only: it has to start in a tenth of a second on a node that is busy.
"""

import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

SETTLE_SECONDS: Final = 5.0
"""How long nodes may take to hear that a pod is leaving; kube-proxy syncs within 1 s."""
LOOK_SECONDS: Final = 0.5
QUIET_LOOKS: Final = 3
"""Consecutive looks without a request; one look can fall between two requests of one client."""
OPEN: Final = "/stats?format=json&filter=%5Ehttp%5C..*%5C.downstream_rq_active%24"
OWN: Final = "http.admin."
"""Our question is itself a request."""


class _Admin(http.client.HTTPConnection):
    """Envoy's admin interface on its Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str) -> str:
    """The answer's text. Raises OSError or http.client.HTTPException when there is none."""
    connection = _Admin(path)
    try:
        connection.request(method, target)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def active(text: str) -> int:
    """Open requests, from Envoy's statistics."""
    stats = json.loads(text)["stats"]
    return sum(int(s.get("value", 0)) for s in stats if not str(s.get("name", OWN)).startswith(OWN))


def drain(
    path: str,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Drain and wait; True when no request was open at the end, False when the time was up or Envoy is gone."""
    end = clock() + seconds
    try:
        ask(path, "POST", "/healthcheck/fail")
        sleep(min(SETTLE_SECONDS, seconds))
        quiet = 0
        while quiet < QUIET_LOOKS:
            quiet = quiet + 1 if active(ask(path, "GET", OPEN)) == 0 else 0
            if clock() >= end:
                return False
            sleep(LOOK_SECONDS)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        print(f"drain: Envoy does not answer: {error!r}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    drain(sys.argv[1], float(sys.argv[2]))
