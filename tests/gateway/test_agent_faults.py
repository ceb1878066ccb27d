"""The agent of a gateway with a target outside is stopped, starved and killed under load, its record on the disk."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from tests.gateway.outward import Outward, outward
from tests.gateway.outward_agent import agent
from tests.gateway.test_record import verified
from tests.gateway.under_load import IBAN, Load, leaves

NOBODY = ["503 unavailable"]
UNDECIDED = {"named": NOBODY, "ruled": NOBODY, "sensitive": NOBODY, "inside": ["inside"]}


@contextmanager
def starved(process: Popen[bytes]) -> Iterator[None]:
    """It has one part in twenty of the time, and never more than 50 ms of it at once."""
    fed = threading.Event()

    def starve() -> None:
        while not fed.is_set():
            process.send_signal(signal.SIGSTOP)
            fed.wait(0.95)
            process.send_signal(signal.SIGCONT)
            fed.wait(0.05)

    thread = threading.Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        fed.set()
        thread.join(10)
        process.send_signal(signal.SIGCONT)


def sensitive(way: Outward) -> list[bytes]:
    """Bodies outside that should not be there."""
    return [asked.body for asked in way.outside.asked if IBAN.encode() in asked.body]


@pytest.mark.long
def test_under_load_an_agent_is_stopped_starved_and_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with outward(tmp_path_factory.mktemp("a")) as way, agent(way) as process, Load(way) as load:
        assert leaves(load.more())
        process.send_signal(signal.SIGSTOP)
        load.settled("named", *NOBODY)
        before = way.outside.bytes
        assert load.more(4) == UNDECIDED
        assert way.outside.bytes == before
        process.send_signal(signal.SIGCONT)
        load.settled("named", "outside")
        load.settled("sensitive", "inside")
        with starved(process):
            seen = load.more(20)
        assert seen["inside"] == ["inside"], "nobody is asked about them"
        assert set(seen["sensitive"]) <= {"inside", *NOBODY}
        for kind in ("named", "ruled"):
            assert set(seen[kind]) <= {"outside", "inside", "403 kept_inside", *NOBODY}
        load.settled("ruled", "outside")
        process.kill()
        process.wait(10)
        load.settled("ruled", *NOBODY)
        assert load.more(4) == UNDECIDED
        assert not sensitive(way)
    assert verified(Path(way.gateway.site.data)).faults == []
