"""Subjects' keys for `slm content`: of a file, or of the gateways' Secrets in the cluster."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import aiohttp

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.shards import SHARDS, joined, scoped, secret_name, shard_of
from smallmodel_operator.cli.content_store import Unusable, ring_of
from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.cluster.subject_keys import SubjectKeys

NOTHING_THERE: Final = 1
ALLOW: Final = "Who erases needs Role smallmodel-erasure of that namespace, which is bound to nobody."
T = TypeVar("T")


def ring(keys: Path | None, system: str) -> Keyring:
    """The keys in a file, else those of the cluster's gateways.

    Raises:
        Unusable: they cannot be had.
    """
    found = _asked(system, _whole) if keys is None else ring_of(keys)
    if found is None:
        raise Unusable(f"{keys} is not there." if keys else f"The gateways of namespace {system} have no keys yet.")
    return found


def export(system: str) -> int:
    """Print the gateways' keys, for who checks without access to the cluster."""
    sys.stdout.buffer.write(ring(None, system).dump())
    print("Who has these keys and the content reads all of it, erased later or not: keep them.", file=sys.stderr)
    return 0


def erase(subject: str, namespace: str, system: str, yes: bool, output: str) -> int:
    """Destroy a subject's keys in the cluster; without `yes`, say what would be."""
    try:
        name = scoped(namespace, subject)
    except ValueError as error:
        raise Unusable(f"--subject: {error}.") from None
    pseudonym, there, before = _asked(system, lambda rings: _found(rings, name))
    if yes and there:
        _asked(system, lambda rings: _destroyed(rings, pseudonym))
    said = {"subject": pseudonym, "keys": there, "erasedBefore": before, "erased": bool(yes and there)}
    print(json.dumps(said) if output == "json" else _told(pseudonym, there, before, yes))
    return 0 if there else NOTHING_THERE


def _told(pseudonym: str, there: list[str], before: list[str], yes: bool) -> str:
    earlier = f" {len(before)} were destroyed before." if before else ""
    if not there:
        return f"No key of subject {pseudonym} is there: nothing to erase.{earlier}"
    what = f"{len(there)} key(s) of subject {pseudonym} ({', '.join(there)})"
    if not yes:
        return f"To be erased: {what}.{earlier} Nothing was done; --yes does it, for ever."
    return f"Erased: {what}.{earlier} Each gateway records it within a quarter of a minute."


async def _whole(rings: SubjectKeys) -> Keyring | None:
    return joined({number: await rings.read(secret_name(number)) for number in range(SHARDS)})


async def _found(rings: SubjectKeys, name: str) -> tuple[str, list[str], list[str]]:
    first = await rings.read(secret_name(0))
    if first is None:
        raise ValueError("the gateways have no keys yet")
    pseudonym = first.pseudonym(name)
    piece = await rings.read(secret_name(shard_of(pseudonym)))
    if piece is None:
        return pseudonym, [], []
    return (
        pseudonym,
        [key.name for key in piece.keys.values() if key.subject == pseudonym],
        [one.name for one in piece.tombstones(pseudonym)],
    )


async def _destroyed(rings: SubjectKeys, pseudonym: str) -> None:
    at = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    await rings.change(
        secret_name(shard_of(pseudonym)), lambda found: found.without(pseudonym, at) if found is not None else None
    )


def _asked(system: str, ask: Callable[[SubjectKeys], Awaitable[T]]) -> T:
    async def work() -> T:
        client = await Client.connect()
        try:
            return await ask(SubjectKeys(client, system))
        finally:
            await client.close()

    try:
        return asyncio.run(work())
    except (Away, ApiError, NoCluster, aiohttp.ClientError, OSError, ValueError) as error:
        said = error.message if isinstance(error, ApiError) else str(error) or "time is up"
        raise Unusable(
            f"The keys of namespace {system} cannot be had: {said}. On files, name one with --keys. {ALLOW}"
        ) from None
