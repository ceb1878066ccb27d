"""Requests and tokens by model, over restarts."""

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from tests.fakes.clock import Clock

from smallmodel_operator.gateway.accesslog.counted import POSITION, Counted
from smallmodel_operator.gateway.accesslog.metrics import RequestMetrics
from smallmodel_operator.gateway.accesslog.usage import KEPT_SECONDS

EPOCH = 1_782_000_000.0
EARLY, LATE = "2026-06-20T00:00:00.000000Z", "2026-06-22T00:00:00.000000Z"
"""Before and after the epoch."""


def line(time: str = LATE, target: str = "support/bot", prompt: int = 10, generated: int = 3) -> bytes:
    value = {
        "time": time,
        "http.response.status_code": 200,
        "slm.target": target,
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": generated,
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


class Agent:
    """The reading half of an agent, that may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.today = folder, folder / "access.log", EPOCH
        self.start()

    def start(self) -> None:
        self.counted = Counted(self.folder, RequestMetrics(CollectorRegistry()), today=lambda: self.today)

    def read(self) -> dict[str, list[int]]:
        while self.counted.step():
            pass
        usage = self.counted.usage()
        assert usage is not None
        self.epoch = usage["epoch"]
        return dict(usage["models"])

    def write(self, *lines: bytes) -> None:
        with self.log.open("ab") as log:
            log.writelines(lines)


def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.write(line(), line(prompt=5, generated=1), line(target="crm/bot"))
    assert agent.read() == {"crm/bot": [1, 10, 3], "support/bot": [2, 15, 4]}
    epoch = agent.epoch
    agent.write(line())
    agent.start()
    agent.today += 60
    assert agent.read()["support/bot"] == [3, 25, 7]
    assert agent.epoch == epoch


def test_a_batch_whose_position_was_not_kept_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(tmp_path)
    agent.write(line())
    agent.read()
    with monkeypatch.context() as broken:
        broken.setattr("os.replace", _full)
        agent.write(line())
        agent.counted.step()
    agent.start()
    assert agent.read()["support/bot"] == [2, 20, 6]


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "kept",
    [b"", b"{", b'{"inode": 1, "offset": 0, "usage": {"epoch": 5, "models": {"support/bot": [1, 2]}}}', b"[]",
     b'{"inode": 1, "usage": {"epoch": "x", "models": {}}}', b'{"inode": 1, "usage": {"epoch": -1, "models": {}}}'],
)  # fmt: skip
def test_what_cannot_be_read_begins_anew_and_pays_no_old_log_again(tmp_path: Path, kept: bytes) -> None:
    agent = Agent(tmp_path)
    agent.write(line(EARLY), line(EARLY))
    (tmp_path / POSITION).write_bytes(kept)
    assert agent.read() == {}
    agent.write(line(LATE))
    assert agent.read() == {"support/bot": [1, 10, 3]}
    assert agent.epoch == int(EPOCH * 1e6)


def test_a_position_of_an_older_release_is_gone_on_from(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.write(line())
    agent.read()
    value = json.loads((tmp_path / POSITION).read_text())
    del value["usage"]
    (tmp_path / POSITION).write_text(json.dumps(value))
    agent.write(line())
    agent.start()
    assert agent.read() == {"support/bot": [1, 10, 3]}


def test_requests_for_no_model_are_no_usage(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.write(line(target=""))
    assert agent.read() == {}


def test_a_model_that_is_gone_is_kept_until_it_was_heard_of(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.write(line(), line(target="crm/bot"))
    agent.read()
    agent.counted.keep_only(frozenset({"crm/bot"}))
    agent.today += KEPT_SECONDS + 1
    agent.counted.keep_only(frozenset({"crm/bot", "support/bot"}))
    assert set(agent.read()) == {"crm/bot", "support/bot"}, "it came back in time"
    agent.counted.keep_only(frozenset({"crm/bot"}))
    agent.today += KEPT_SECONDS + 1
    agent.counted.keep_only(frozenset({"crm/bot"}))
    assert set(agent.read()) == {"crm/bot"}


def test_before_the_log_was_looked_at_nothing_is_known(tmp_path: Path) -> None:
    counted = Counted(tmp_path, RequestMetrics(CollectorRegistry()), clock=Clock())
    assert counted.usage() is None
    counted.step()
    assert counted.usage() == {"epoch": counted.usages.report()["epoch"], "models": {}}
