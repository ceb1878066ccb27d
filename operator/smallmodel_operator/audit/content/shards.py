"""The gateways' ring of subjects' keys, in pieces that each fit into a Secret. Pure.

A subject's piece follows from its pseudonym, so that one request reads and changes one piece. All pieces have the same
pepper, and the first one says which it is: it is the one that is made first.
"""

from collections.abc import Mapping
from typing import Final

from smallmodel_operator.audit.content.keyring import Keyring

SHARDS: Final = 16
ENTRY: Final = "ring.json"
"""Of the Secret's data."""
MOST_BYTES: Final = 1_000_000
"""Of a piece: Kubernetes takes a Secret of 1 MiB. That are some 5,500 subjects, 90,000 in all."""
MOST_SUBJECT: Final = 192
"""Characters of what a request calls its subject: with its namespace it has to be a name (`keyring.MOST_SUBJECT`)."""


def secret_name(shard: int) -> str:
    """The Secret of a piece, in the gateways' namespace; the chart makes it, empty."""
    return f"smallmodel-subject-keys-{shard}"


def shard_of(pseudonym: str) -> int:
    """The piece that has a subject's keys."""
    return int(pseudonym[:2], 16) % SHARDS


def scoped(namespace: str, subject: str) -> str:
    """The same name in two namespaces is two subjects.

    Raises:
        ValueError: it is no name of a subject.
    """
    if not subject.strip() or len(subject) > MOST_SUBJECT:
        raise ValueError(f"a subject is a name of 1 to {MOST_SUBJECT} characters that are not all blank")
    return f"{namespace}/{subject}"


def joined(pieces: Mapping[int, Keyring | None]) -> Keyring | None:
    """All of them in one; None: there is none yet.

    Raises:
        ValueError: one is of another pepper than the first, so it was put there from somewhere else.
    """
    first = pieces.get(0)
    if first is None:
        return None
    for number, piece in pieces.items():
        if piece is not None and piece.pepper != first.pepper:
            raise ValueError(f"Secret {secret_name(number)} is of another ring than {secret_name(0)}")
    whole = [piece for piece in pieces.values() if piece is not None]
    keys = {name: key for piece in whole for name, key in piece.keys.items()}
    erased = {name: one for piece in whole for name, one in piece.erased.items()}
    return Keyring(first.pepper, keys, erased)
