"""Folders of records with everything in them that a gateway writes in its life, and hands that change them.

Everything is in memory, `{"gateway-0/audit/00…1.jsonl": bytes}`, until it is written to a folder to be checked.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.fakes.chain import BEGAN, Fixture

from smallmodel_operator.audit.policies import hash_of
from smallmodel_operator.audit.record import COMMIT, Kind, Record, read, seal
from smallmodel_operator.audit.sign import KEY, SIGNATURE, Signer

Files = dict[str, bytes]
POLICY = {"allow": ["ns:support"], "name": "bot"}
THIEF = Signer(b"t" * 32)
"""Somebody without the gateways' key."""


@dataclass(slots=True)
class Made:
    """What gateways left, and what somebody may have copied on the way. `keys`: the public keys that are known."""

    files: Files = field(default_factory=dict)
    backups: list[Files] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def make(folder: Path, *, rounds: int = 12, answers: int = 9) -> Made:
    """Two gateways: rotated segments, checkpoints, a retention cut, another key, what was in force, stops, restarts."""
    made = Made()
    for number in range(2):
        place = folder / f"gateway-{number}"
        place.mkdir(parents=True)
        signer = Signer(bytes([number + 1]) * 32)
        one = Fixture(place, segment_bytes=6000 + 1500 * number, signer=signer, gateway=place.name)
        made.keys.append(signer.public)
        for turn in range(rounds):
            _live(one, turn, answers)
            if turn == rounds // 2 and number == 0:
                after = Signer(b"a" * 32)
                one.recorder.resign(after)
                one.signer = after
                made.keys.append(after.public)
            made.backups.append(load(folder))
        one.recorder.checkpoint([{"since": one.life, "finished": one.written, "recorded": one.written}])
        one.stop()
    made.files = load(folder)
    return made


def _live(one: Fixture, turn: int, answers: int) -> None:
    said = {"slm.target": "support/bot", "slm.policy": hash_of(POLICY), "policy": POLICY}
    if turn == 0:
        one.recorder.add({"kind": Kind.IN_FORCE, "event": "set", **said})
    one.answer(answers, **{"slm.policy": hash_of(POLICY), "gen_ai.request.model": "böt 🦙"})
    one.read()
    if turn % 3 == 1:
        one.recorder.note("boundary", generation=turn, inference="Stopped", reason="drill", namespaces={}, cut=1)
    if turn % 4 == 2:
        one.recorder.checkpoint([{"since": one.life, "finished": one.written, "recorded": one.written}])
    if turn == 5:
        one.restart()
        one.recorder.commit()
    if turn == 7:
        one.recorder.retain(one.recorder.size() - 8000, BEGAN - timedelta(days=1))
        one.recorder.add({"kind": Kind.IN_FORCE, "event": "set", **said})
        one.recorder.commit()


def load(folder: Path) -> Files:
    """All files of records below a folder."""
    paths = (p for p in sorted(folder.rglob("*")) if p.suffix in (".jsonl", ".json"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def write(files: Files, folder: Path) -> None:
    """Nothing else is in the folder afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def segments(files: Files, gateway: str = "gateway-") -> list[str]:
    return [name for name in sorted(files) if name.startswith(gateway) and name.endswith(".jsonl")]


def head(name: str) -> str:
    """The head beside a segment."""
    return f"{name.rpartition('/')[0]}/head.json"


def lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def committed(data: bytes) -> list[int]:
    """Where commits of a segment end."""
    at, found = 0, []
    for line in lines(data):
        at += len(line)
        if b'"commit":' in line:
            found.append(at)
    return found


# -- one line ------------------------------------------------------------------------------------------------------


def _digit(rng: random.Random, line: bytes) -> bytes:
    at = rng.choice([i for i, b in enumerate(line) if 48 <= b < 58])
    return line[:at] + bytes([48 + (line[at] - 47) % 10]) + line[at + 1 :]


def _letter(rng: random.Random, line: bytes) -> bytes:
    at = rng.choice([i for i, b in enumerate(line) if 97 <= b < 123])
    return line[:at] + bytes([line[at] - 32]) + line[at + 1 :]


def _space(rng: random.Random, line: bytes) -> bytes:
    at = rng.choice([i for i, b in enumerate(line) if b in b",:{}"])
    return line[: at + 1] + rng.choice([b" ", b"\t"]) + line[at + 1 :]


def _escape(rng: random.Random, line: bytes) -> bytes:
    at = rng.choice([i for i, b in enumerate(line) if 97 <= b < 123])
    return line[:at] + b"\\u%04x" % line[at] + line[at + 1 :]


def _joined(rng: random.Random, line: bytes) -> bytes:
    return line[:-1]


def _split(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(1, len(line) - 1)
    return line[:at] + b"\n" + line[at:]


def _order(rng: random.Random, line: bytes) -> bytes:
    kind = b'"kind":"%s"' % read(line).kind.encode()
    return line.replace(b"," + kind, b"", 1).replace(b"{", b"{" + kind + b",", 1)


def _twice(rng: random.Random, line: bytes) -> bytes:
    return line.replace(b"{", b'{"kind":"note",', 1)


def _zero(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line) - 1)
    return line[:at] + b"\0" + line[at + 1 :]


def _flip(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line))
    return line[:at] + bytes([line[at] ^ 1 << rng.randrange(8)]) + line[at + 1 :]


def _lost(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line))
    return line[:at] + line[at + 1 :]


def _more(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line))
    return line[:at] + bytes([rng.randrange(256)]) + line[at:]


def _return(rng: random.Random, line: bytes) -> bytes:
    return line[:-1] + b"\r\n"


def _mark(rng: random.Random, line: bytes) -> bytes:
    return b"\xef\xbb\xbf" + line


def _gone(rng: random.Random, line: bytes) -> bytes:
    return b""


def _again(rng: random.Random, line: bytes) -> bytes:
    return line + line


def _empty(rng: random.Random, line: bytes) -> bytes:
    return b"\n" + line


def _forged(rng: random.Random, line: bytes) -> bytes:
    record = read(line)
    return seal({**record.body, "gen_ai.request.model": "forged"}, record.seq, record.prev)[0]


EDITS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    edit.__name__.strip("_"): edit
    for edit in (
        _digit, _letter, _space, _escape, _joined, _split, _order, _twice, _zero, _flip, _lost, _more, _return, _mark,
        _gone, _again, _empty, _forged,
    )
}  # fmt: skip


# -- somebody who makes the hashes fit -----------------------------------------------------------------------------


def rechain(files: Files, gateway: str, first: int, *, sign: bool, strip: bool = False, note: bool = False) -> Files:
    """The record number `first`, and every one after it, made anew with hashes that fit, without the gateways' key.

    Args:
        sign: with a key of one's own, the head as well; else the signatures stay as they were.
        strip: take away what says that there were commits.
        note: say before that another key signs from here on.
    """
    found, prev = dict(files), ""
    for name in segments(files, gateway):
        made = []
        for line in lines(files[name]):
            record = read(line)
            if record.seq < first:
                made.append(line)
                continue
            body = _changed(record, first, strip=strip, note=note)
            whole = {**body, "seq": record.seq, "prev": prev or record.prev}
            if sign and SIGNATURE in whole:
                whole = THIEF.sign({k: v for k, v in whole.items() if k not in (KEY, SIGNATURE)})
            text, prev = seal(whole, record.seq, prev or record.prev)
            made.append(text)
        found[name] = b"".join(made)
    return found


def _changed(record: Record, first: int, *, strip: bool, note: bool) -> dict[str, object]:
    body = dict(record.body)
    if record.seq == first:
        body["gen_ai.request.model"] = "forged"
    if strip:
        body = {k: v for k, v in body.items() if k not in (COMMIT, KEY, SIGNATURE)}
    if note and record.seq == first:
        body |= {"kind": "note", "event": "key-changed", "before": "", "now": THIEF.public}
    return body


def numbers(files: Files, gateway: str) -> Iterator[Record]:
    """All records of a gateway."""
    for name in segments(files, gateway):
        for line in lines(files[name]):
            yield read(line)
