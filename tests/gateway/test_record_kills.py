"""kill -9 at any moment, of everything: no record twice, none lost that was in the log, and the chain goes on."""

import asyncio
import json
import os
import random
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.chain import Fixture, line
from tests.fakes.clock import until
from tests.fakes.recording import MASTER
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT
from tests.gateway.test_record import CHAT, answered, recording, state, verified

from smallmodel_operator.audit.head import Head
from smallmodel_operator.audit.report import Report
from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.cli.audit import check
from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.core.keys import audit_seed
from smallmodel_operator.gateway.record import part

SIGNER = Signer(audit_seed(MASTER, "gateway-0"))
WAIT_SECONDS = 150


class Writer(threading.Thread):
    """Writes a log as an Envoy does that is killed now and then: in pieces, half a line at the end, another file."""

    def __init__(self, log: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.log, self._rng = log, random.Random(seed)
        self.whole: list[str] = []
        """Request ids of whole lines."""
        self.torn = 0
        self._number = self._file = 0
        self.done = threading.Event()
        self.pause = threading.Lock()

    def run(self) -> None:
        while not self.done.wait(0.02):
            with self.pause:
                self.write()

    def write(self) -> None:
        """A piece, which may end anywhere and go on in the next one."""
        act = self._rng.random()
        with self.log.open("ab", buffering=0) as file:
            for _ in range(self._rng.randrange(1, 12)):
                self._number += 1
                text = line(self._number)
                at = self._rng.randrange(len(text))
                if act < 0.02:  # killed within a line; another one appends
                    file.write(text[: max(at, 1)])
                    self.torn += 1
                    return
                file.write(text[:at])
                file.write(text[at:])
                self.whole.append(f"request-{self._number}")
        if act > 0.99:
            self._file += 1
            self.log.rename(self.log.with_name(f"access.log.{self._file}"))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    found = Writer(tmp_path / "access.log", 11)
    found.start()
    yield found
    found.done.set()
    found.join()


def ids(folder: Path) -> list[str]:
    records = [json.loads(x) for p in sorted((folder / "audit").glob("*.jsonl")) for x in p.read_bytes().splitlines()]
    return [record["request.id"] for record in records if record["kind"] == "answer"]


def report(folder: Path) -> Report:
    (chain,) = chains([str(folder / "audit")])
    return check(chain, [SIGNER.public])


def without_power(folder: Path, rng: random.Random) -> None:
    """The last segment as a disk may have it: whole up to where the head was signed, anything behind that."""
    head = Head.load((folder / "audit" / "head.json").read_bytes())
    path = max((folder / "audit").glob("*.jsonl"))
    data, at = path.read_bytes(), 0
    for text in data.split(b"\n")[:-1]:
        if json.loads(text)["seq"] > head.seq:
            break
        at += len(text) + 1
    size = rng.randrange(at, len(data) + 1)
    hole = rng.randrange(at, size + 1)
    path.write_bytes(rng.choice([data[:size], data[:hole] + b"\0" * (size - hole), data[:size] + b"\0" * 4096]))


def read_again(folder: Path) -> list[str]:
    """A recorder goes on from what is there: request ids of all records."""
    last = Fixture(folder, segment_bytes=8 << 20, signer=SIGNER, batch_bytes=part.BATCH_BYTES)
    last.read()
    last.stop()
    return last.answered


async def killed(folder: Path, rng: random.Random, before: int) -> None:
    """A recorder that records something more, and is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.fakes.recording", str(folder))
    head = folder / "audit" / "head.json"

    def more() -> bool:
        assert process.returncode is None, "it ended by itself"
        with suppress(OSError):
            return Head.load(head.read_bytes()).seq > before
        return False

    try:
        await until(more, WAIT_SECONDS)
        await asyncio.sleep(rng.random())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_recorder_killed_at_any_moment_and_a_node_without_power(tmp_path: Path, writer: Writer) -> None:
    """The real recorder beside a real log; after each kill a copy of the claim as a node without power leaves it."""
    rng, seq = random.Random(3), 0
    for _ in range(15):
        await asyncio.to_thread(killed_in_turn, tmp_path, rng, seq)
        with writer.pause:
            found = report(tmp_path)
            assert found.faults == []
            recorded = ids(tmp_path)
            assert recorded == writer.whole[: len(recorded)]
            copy = tmp_path.with_name("copy")
            shutil.copytree(tmp_path, copy)
            expected = list(writer.whole)
        without_power(copy, rng)
        assert report(copy).faults == []
        assert read_again(copy) == expected
        assert report(copy).faults == []
        shutil.rmtree(copy)
        seq = found.last
    writer.done.set()
    writer.join()
    assert read_again(tmp_path) == writer.whole
    found = report(tmp_path)
    assert found.faults == []
    assert writer.torn > 3
    torn = [note for note in found.notes if note["event"] == "log-garbage"]
    assert {note["reason"] for note in torn} <= {"torn", "unreadable"}
    assert torn


def killed_in_turn(folder: Path, rng: random.Random, before: int) -> None:
    """In a thread of its own: the writer goes on meanwhile."""
    asyncio.run(killed(folder, rng, before))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_node_that_dies_again_and_again(
    tmp_path_factory: pytest.TempPathFactory, bot: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Envoy and agent killed together, whatever they are doing; both start again over what they left."""
    monkeypatch.setattr(part, "CHECKPOINT_SECONDS", 0.5)
    folder, rng = tmp_path_factory.mktemp("n"), random.Random(5)
    for _ in range(6):
        before = len(answered(folder))
        with Gateway(folder, state(bot)) as gateway:
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.fakes.recording", str(folder))
            done = threading.Event()

            def traffic(gateway: Gateway = gateway, done: threading.Event = done) -> None:
                while not done.is_set():
                    with suppress(Exception):  # it is killed while it answers
                        gateway.post(CHAT, {"model": "bot"}, SUPPORT)

            asking = [asyncio.create_task(asyncio.to_thread(traffic)) for _ in range(3)]
            await until(lambda before=before: len(answered(folder)) > before, WAIT_SECONDS)  # type: ignore[misc]
            await asyncio.sleep(rng.random())
            assert process.returncode is None
            for kill in rng.sample([process.kill, lambda pid=gateway.pid: os.kill(pid, 9)], 2):  # type: ignore[misc]
                kill()
            await process.wait()
            done.set()
            await asyncio.gather(*asking)
        assert verified(folder).faults == []
    with Gateway(folder, state(bot)) as gateway:
        sent: list[str] = []
        async with recording(folder):
            for _ in range(5):
                answer = await asyncio.to_thread(gateway.post, CHAT, {"model": "bot"}, SUPPORT)
                sent.append(answer.headers["x-request-id"])

            def settled() -> bool:
                counts = verified(folder).counts()
                return bool(counts) and counts[-1]["finished"] == 5 == counts[-1]["recorded"]

            await until(settled, WAIT_SECONDS)
    found, recorded = verified(folder), answered(folder)
    assert found.faults == []
    assert len(recorded) == len(set(recorded))
    assert recorded[-5:] == sent
    assert (found.counts()[-1]["missing"], {count["surplus"] for count in found.counts()}) == (0, {0})
    whole = []
    for text in (folder / "access.log").read_bytes().split(b"\n"):
        with suppress(ValueError):
            whole.append(json.loads(text)["request.id"])
    assert set(whole) <= set(recorded), "what is in the log is in the record"
