"""What counts as inside: everything a gateway may connect to, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Address = tuple[str, int]
"""IP address and port."""
WAY_OUT: Final = "egress"
"""The one cluster whose endpoints are no model's: those who check passes."""
PASS: Final = "x-slm-pass"  # noqa: S105 - the name of a header
"""Without it no route leads there."""


@dataclass(frozen=True, slots=True)
class Inside:
    """All that one gateway may connect to and read. An address that is not here is outside."""

    folder: str
    """Where its configuration files are; one read from elsewhere was not checked."""
    pipes: frozenset[str]
    """Unix sockets of the pod."""
    instead: str = ""
    """The socket by which what failed outside comes back in: all that is behind the egress."""
    judged: str = ""
    """The socket at which requests come in whose answers are judged; they are decided on there."""
    models: Mapping[str, frozenset[Address]] = field(default_factory=dict)
    """Addresses of each model's pods, by target: requests for one model never go to another's."""
    gateways: frozenset[Address] = frozenset()
    """The other gateways."""
    programs: frozenset[str] = frozenset()
    """Texts of Lua that may run; in front of one may stand assignments of constants, nothing else."""
    libraries: frozenset[str] = frozenset()
    """Files with compiled filters; they are part of the gateway's image, and read-only there."""
    egress: frozenset[Address] = frozenset()
    """Who checks passes, and lets out what has one."""
