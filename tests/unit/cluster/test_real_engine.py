"""Real llama.cpp, started as a pod starts it: a good version passes its golden prompts, a damaged one fails them."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from hack.cluster.paths import REPOSITORY
from hack.true_size.server import serving
from tests.larkfield import ASKED

from smallmodel_operator.cluster.trials import Trials
from smallmodel_operator.core.keys import Masters, engine_key
from smallmodel_operator.core.trial import Answers, Failure, Figures, Result, Trial
from smallmodel_operator.quality import paired
from smallmodel_operator.quality.golden import parse

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="the engine runs in a chroot of its own"),
]
WEIGHTS = REPOSITORY / "examples/01-first-model/weights/larkfield-support.gguf"
MASTERS = Masters(b"c" * 32, b"e" * 32)
KEY = engine_key(MASTERS.engine, "uid")
MODEL = ("support", "bot")
PROMPTS = parse(
    "\n".join(
        json.dumps({"id": name, "prompt": prompt, "expect": {"regex": wanted}, "maxTokens": 96})
        for name, (prompt, wanted) in ASKED.items()
    )
)
GATE = Trial("golden/v/p/gate", "127.0.0.1", "measured", 2, 512, PROMPTS, consistency=True)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return Path(shutil.copy(WEIGHTS, tmp_path / "good.gguf"))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """The same file with every other part of its last half turned over: it loads and answers nonsense."""
    data = bytearray(WEIGHTS.read_bytes())
    for at in range(len(data) // 2, len(data) - 64, 128):
        data[at : at + 64] = data[at : at + 64][::-1]
    made = tmp_path / "bad.gguf"
    made.write_bytes(data)
    return made


def tried(file: Path, trial: Trial) -> Result:
    """What a trial of these weights comes to."""

    async def run(port: int) -> Result:
        done: asyncio.Queue[object] = asyncio.Queue()
        trials = Trials(lambda: MASTERS, done.put_nowait, port)
        try:
            trials.want(MODEL, "uid", [trial])
            async with asyncio.timeout(600):
                await done.get()
            return trials.known(MODEL)[trial.key]
        finally:
            await trials.close()

    with serving(file, 512, 2, "--api-key", KEY, threads=2) as server:
        server.wait()
        return asyncio.run(run(server.port))


def test_a_good_version_passes_and_a_damaged_one_does_not(good: Path, bad: Path) -> None:
    right, wrong = tried(good, GATE), tried(bad, GATE)
    assert isinstance(right, Answers)
    assert (right.failed, right.strict) == ((), 100)
    assert right.load is not None
    assert isinstance(wrong, Answers)
    assert paired.alone(right.failed, len(PROMPTS.items)).verdict is paired.Verdict.PASS
    assert paired.against_version(wrong.failed, right.failed).verdict is paired.Verdict.FAIL


def test_its_speed_is_measured(good: Path) -> None:
    found = tried(good, Trial("calibration/v", "127.0.0.1", "measured", 2, 512))
    assert isinstance(found, Figures)
    assert [at_once for at_once, _ in found.decode] == [1, 2]
    assert min(found.prefill, found.first_token, *(speed for _, speed in found.decode)) > 0


def test_another_key_is_refused(good: Path) -> None:
    async def run(port: int) -> Result:
        done: asyncio.Queue[object] = asyncio.Queue()
        trials = Trials(lambda: Masters(b"c" * 32, b"x" * 32), done.put_nowait, port)
        try:
            trials.want(MODEL, "uid", [Trial("calibration/v", "127.0.0.1", "measured", 2, 512)])
            async with asyncio.timeout(60):
                await done.get()
            return trials.known(MODEL)["calibration/v"]
        finally:
            await trials.close()

    with serving(good, 512, 2, "--api-key", KEY, threads=2) as server:
        server.wait()
        found = asyncio.run(run(server.port))
    assert isinstance(found, Failure)
    assert "key" in found.message
