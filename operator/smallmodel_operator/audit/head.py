"""The head of a chain: its last record's number and hash, signed, kept beside the segments. Pure.

Without it a chain that was cut off at its end would look like a shorter one.
"""

import json
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.audit.record import canonical
from smallmodel_operator.audit.sign import KEY, Signer, signed


@dataclass(frozen=True, slots=True)
class Head:
    """All records up to `seq` were on the disk when this was signed."""

    seq: int
    hash: str
    gateway: str = ""
    time: str = ""
    key: str = ""

    def dump(self, signer: Signer) -> bytes:
        """As it stands in the file."""
        value = {"gateway": self.gateway, "head": self.hash, "seq": self.seq, "time": self.time}
        return canonical(signer.sign(value)) + b"\n"

    @classmethod
    def load(cls, text: bytes) -> "Head":
        """Read it.

        Raises:
            ValueError: it is none, or its signature does not fit.
        """
        try:
            value: Any = json.loads(text)
            found = cls(value["seq"], value["head"], value["gateway"], value["time"], value[KEY])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"it is no head of a chain: {error!r}") from None
        if type(found.seq) is not int or not signed(value):
            raise ValueError("its signature does not fit what it says")
        return found
