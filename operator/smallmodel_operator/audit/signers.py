"""Whose signatures count in a chain: the keys that are known from elsewhere, else the first one and those that a
record signed with the one before hands over to. Pure.
"""

from collections.abc import Sequence


class Signers:
    """Of one chain. `known`: public keys known to be the gateway's; none: whoever signed first is believed."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.found: list[str] = []
        """Keys that signed, in order."""
        self._known = frozenset(known)
        self._promised: set[str] = set()
        """Keys that are named as the next one, by a record no signature stands under yet."""
        self._heirs: set[str] = set()

    def promise(self, key: str) -> None:
        """A record says that this key signs from here on. It counts as soon as it is signed with the one before."""
        self._promised.add(key)

    def trusted(self, key: str) -> bool:
        """May it sign?"""
        if self._known:
            return key in self._known
        return not self.found or key == self.found[0] or key in self._heirs

    def sign(self, key: str) -> str:
        """A signature that fits: why it does not count, else empty. Told once for each key."""
        if not self.trusted(key):
            if key in self.found:
                return ""
            self.found.append(key)
            if self._known:
                return f"it is signed with key {key}, which --key does not name"
            return (
                f"it is signed with another key, {key}, and no record signed with the one before hands over to it. If "
                "the gateways' Secret was made anew, give both keys with --key"
            )
        if key not in self.found:
            self.found.append(key)
        self._heirs |= self._promised
        self._promised.clear()
        return ""
