"""Ports for programs that must be told theirs before they start.

One that the kernel gave and that was closed again may be given to the next who asks, or be the near end of anybody's
connection, until its program listens; and again whenever that program is restarted. So ours are from below what the
kernel gives by itself, and whoever chose one keeps others of us from it until its process ends.
"""

import contextlib
import os
import random
import socket
from pathlib import Path

FIRST, LAST = 20_000, 29_999
"""Above well-known ones, below those that Kubernetes gives to its Services on nodes."""
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOOPBACK = "127.0.0.1"


def free_port(*addresses: str) -> int:
    """One that nobody listens on at any of the addresses (loopback when there are none), and that is ours alone.

    Raises:
        RuntimeError: there is none.
    """
    for port in random.sample(range(FIRST, _last() + 1), 200):
        if all(_free(address, port) for address in addresses or (LOOPBACK,)) and _keep(port):
            return port
    raise RuntimeError(f"no port from {FIRST} to {_last()} is free on {', '.join(addresses) or LOOPBACK}")


def _last() -> int:
    """The last of ours: the kernel gives those of its own range to anybody."""
    with contextlib.suppress(OSError, ValueError):
        first = int(EPHEMERAL.read_text().split()[0])
        if first > FIRST + 1000:
            return min(LAST, first - 1)
    return LAST


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _keep(port: int) -> bool:
    """Names of sockets without a file are one process's at a time, and go with it."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0slm-port-{os.geteuid()}-{port}")
    except OSError:
        mark.close()
        return False
    mark.detach()  # open until the process ends, and not inherited
    return True
