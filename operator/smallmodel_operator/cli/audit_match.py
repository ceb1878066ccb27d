"""`slm audit match`: is a body the one a recorded request had? `slm audit key`: what tells it, for an auditor."""

import base64
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from smallmodel_operator.api.names import GATEWAY_KEYS
from smallmodel_operator.audit.record import Record
from smallmodel_operator.audit.request import Judged, RequestKey, Stamp, Verdict, judge, stamp_of
from smallmodel_operator.cli.audit import failed
from smallmodel_operator.cli.audit_files import NoRecords, opened, why
from smallmodel_operator.cli.audit_show import NotOne, Shown, one_request
from smallmodel_operator.cli.audit_words import plain
from smallmodel_operator.cli.console import stderr
from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.keys import ENGINE_MASTER

CODES: Final = {Verdict.MATCH: 0, Verdict.NO_MATCH: 1, Verdict.UNKNOWN: 2}
LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes of a body that are read: twice what any model takes."""
_FAILURES: Final = (ApiError, NoCluster, aiohttp.ClientError, TimeoutError, OSError)


class NoKey(Exception):  # noqa: N818 - says what is the matter
    """The key cannot be had."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the request, and what it says of the body."""

    shown: Shown
    judged: Judged

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        record = self.shown.record
        return {
            "folder": str(self.shown.chain.folder),
            "record": record.seq,
            "time": record.body.get("time"),
            "target": record.body.get("slm.target"),
            "verdict": self.judged.verdict,
            "why": self.judged.why,
        }


async def match(request: str, names: list[str], body_file: str, key_files: list[str], system: str, output: str) -> int:
    """Print whether the body is the one that was sent; 0: it is, 1: it is not, 2: that cannot be told."""
    try:
        body = _body(body_file)
        shown = one_request(request, names)
        keys = list(map(_key_of, key_files)) or await _asked([item.record for item in shown], system)
    except (NoRecords, NoKey, NotOne, OSError) as error:
        return failed(str(error))
    found = [Found(item, judge(item.record, keys, body)) for item in shown]
    verdict = _verdict({item.judged.verdict for item in found})
    if output == "json":
        print(json.dumps({"request": request, "verdict": verdict, "records": [i.dump() for i in found]}, indent=2))
    else:
        for item in found:
            where = f"record {item.shown.record.seq} of {item.shown.chain.folder}"
            print(plain(f"{where}: {item.judged.verdict}: {item.judged.why}"))
    return CODES[verdict]


def _verdict(all_of_them: set[Verdict]) -> Verdict:
    """Of all records with this id: one that fits is the request that is meant."""
    return next(verdict for verdict in (Verdict.MATCH, Verdict.UNKNOWN, Verdict.NO_MATCH) if verdict in all_of_them)


def _body(name: str) -> bytes:
    """The bytes as they are: a line break more at the end is another body.

    Raises:
        NoRecords: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.buffer.read(LARGEST_FILE)
        with opened(Path(name)) as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise NoRecords(f"{name} cannot be read: {why(error)}.") from None


def _key_of(name: str) -> RequestKey:
    try:
        with opened(Path(name)) as file:
            return RequestKey.load(file.read(LARGEST_FILE))
    except OSError as error:
        raise NoKey(f"{name} cannot be read: {why(error)}.") from None
    except ValueError as error:
        raise NoKey(f"{name}: {error}.") from None


# -- from the cluster ------------------------------------------------------------------------------------------------


async def _asked(records: list[Record], system: str) -> list[RequestKey]:
    """The keys these records name, made of the cluster's; the cluster is asked only when there are any."""
    wanted = set(_named(records))
    if not wanted:
        return []
    master = await _master(system)
    return [RequestKey.made(master, namespace, generation) for namespace, generation in sorted(wanted)]


def _named(records: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """Namespace and generation of the keys."""
    for record in records:
        if isinstance(stamp := stamp_of(record), Stamp):
            yield str(record.body.get("slm.target", "")).partition("/")[0], stamp.generation


async def _master(system: str) -> bytes:
    """What all keys of requests are made of.

    Raises:
        NoKey: no cluster gives it.
    """
    hint = "Whoever may read it can export a key (`slm audit key`); give that with --key-file."
    try:
        client = await Client.connect()
        try:
            secret = await client.get("Secret", GATEWAY_KEYS, system)
        finally:
            await client.close()
    except _FAILURES as error:
        said = error.message if isinstance(error, ApiError) else str(error) or "time is up"
        raise NoKey(f"Secret {GATEWAY_KEYS} of namespace {system} cannot be read: {said}. {hint}") from None
    text = ((secret or {}).get("data") or {}).get(ENGINE_MASTER, "")
    if not text:
        missing = f"has no entry {ENGINE_MASTER!r}" if secret else "does not exist"
        raise NoKey(
            f"Secret {GATEWAY_KEYS} of namespace {system} {missing}: is this the cluster, and --system-namespace the "
            "namespace of its gateways?"
        )
    return base64.b64decode(text)


async def export_key(namespace: str, generation: int, system: str) -> int:
    """Print one generation of a namespace's key; 2: the cluster does not give it."""
    try:
        key = RequestKey.made(await _master(system), namespace, generation)
    except NoKey as error:
        return failed(str(error))
    print(key.dump(), end="")
    stderr().print(
        f"Key {key.name} of namespace {namespace}. Who has it and the records can try guesses of what was asked: "
        "keep it as you would keep the prompts.",
        markup=False,
        soft_wrap=True,
    )
    return 0
