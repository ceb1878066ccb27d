"""The canary's pods with real sockets on loopback; what a network plugin would block is blocked in the attempts."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hack.ports import free_port

from smallmodel_operator.boundary import canary
from smallmodel_operator.boundary.canary import Outcome, Target, Way, decide
from smallmodel_operator.cli import canary as module
from smallmodel_operator.cli.canary import Lead, lead, nameservers
from smallmodel_operator.cli.canary_net import Listener, attempt, attempts, say, told

RUN, NAME = "word", "kubernetes.default.svc.cluster.local"
MODEL, STRANGER, CALLER, NODE = "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"


@pytest.fixture
def dns() -> Iterator[int]:
    """A server of names that answers everything with "no such name"."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    packet, who = server.recvfrom(4096)
                except TimeoutError:
                    continue
                server.sendto(packet[:2] + struct.pack(">5H", 0x8183, 1, 0, 0, 0) + packet[12:], who)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        ended.set()
        thread.join()


def goal(way: Way, port: int, address: str = "127.0.0.1") -> Target:
    return Target("it", way, address, port)


def test_a_name_server_that_answers_is_reached(dns: int) -> None:
    assert attempt(goal(Way.ASK, dns), RUN, NAME) is Outcome.ANSWERED


def test_nobody_there(dns: int) -> None:
    for way in Way:
        assert attempt(goal(way, free_port()), RUN, NAME, timeout=0.5) is Outcome.REFUSED


def test_silence() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        assert attempt(goal(Way.ASK, mute.getsockname()[1]), RUN, NAME, timeout=0.3) is Outcome.SILENT


def test_an_address_that_is_none_fails() -> None:
    assert attempt(goal(Way.CONNECT, 80, "not an address"), RUN, NAME) is Outcome.FAILED


def test_a_stranger_behind_the_address_is_a_connection_and_no_answer() -> None:
    with Listener("another run", NAME, 0, "127.0.0.1") as other:
        assert attempt(goal(Way.TALK, other.port), RUN, NAME) is Outcome.CONNECTED
        assert attempt(goal(Way.CONNECT, other.port), RUN, NAME) is Outcome.ANSWERED
        assert say("127.0.0.1", other.port, {"run": RUN, "end": True}) is None
        assert not other.ended.is_set()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"run":"word","try":[{}]}\n', b"no end"])
def test_nonsense_is_not_answered_and_ends_nothing(line: bytes) -> None:
    with Listener(RUN, NAME, 0, "127.0.0.1") as listener:
        with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert attempt(goal(Way.TALK, listener.port), RUN, NAME) is Outcome.ANSWERED


def test_it_listens_on_all_addresses_of_both_families() -> None:
    with Listener(RUN, NAME, 0) as listener:
        assert attempt(goal(Way.TALK, listener.port), RUN, NAME) is Outcome.ANSWERED
        if socket.has_dualstack_ipv6() and Path("/proc/net/if_inet6").exists():
            assert attempt(goal(Way.TALK, listener.port, "::1"), RUN, NAME) is Outcome.ANSWERED


def test_it_tries_what_it_is_told(dns: int) -> None:
    with Listener(RUN, NAME, 0, "127.0.0.1") as listener:
        goals = [goal(Way.ASK, dns), goal(Way.CONNECT, free_port())]
        answer = say("127.0.0.1", listener.port, {"run": RUN, "try": told(goals)})
    assert answer is not None
    assert answer["outcomes"] == ["answered", "refused"]


@dataclass
class Network:
    """Three pods and a node on loopback; `blocked` says what a pod's attempts do not get through to."""

    port: int
    root: Path
    blocked: Callable[[str, Target], bool] = lambda who, target: True
    rounds: int = field(default=0)

    def tries(self, who: str) -> Callable[[Sequence[Target], str, str], list[Outcome]]:
        def result(goals: Sequence[Target], run: str, question: str) -> list[Outcome]:
            self.rounds += who == MODEL
            really = attempts(goals, run, question)
            return [Outcome.SILENT if self.blocked(who, g) else o for g, o in zip(goals, really, strict=True)]

        return result

    def lead(self, *, settle: float = 10.0, without: str = "") -> tuple[int, canary.Report]:
        message, resolv = self.root / "termination-log", self.root / "resolv.conf"
        resolv.write_text("search x\nnameserver 127.0.0.1\n")
        environ = {"KUBERNETES_SERVICE_HOST": NODE, "KUBERNETES_SERVICE_PORT": str(self.port), "SLM_POD_IP": CALLER}
        with ExitStack() as stack:
            for address in (MODEL, STRANGER):
                if address != without:
                    pod = Listener(RUN, NAME, self.port, address, self.tries(address))
                    stack.enter_context(pod)
            stack.enter_context(Listener("the node", NAME, self.port, NODE))
            code = lead(
                Lead(RUN, MODEL, (STRANGER,), NODE, "cluster.local"),
                environ, message, resolv, settle, self.port, CALLER,
            )  # fmt: skip
        return code, canary.decode(message.read_text())


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dns: int) -> Network:
    """Ports of the world outside the test are the test's."""
    made = Network(free_port(), tmp_path)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    real = canary.targets

    def targets(*args: object) -> tuple[Target, ...]:
        found = []
        for one in real(*args):  # type: ignore[arg-type]
            port = {53: dns, canary.KUBELET_PORT: made.port, 80: free_port()}.get(one.port, one.port)
            address = "127.0.0.1" if one.what == "the metadata service" else one.address
            if (one.what, one.way) != ("DNS", Way.CONNECT):
                found.append(Target(one.what, one.way, address, port, one.needed))
        return tuple(found)

    monkeypatch.setattr(canary, "targets", targets)
    return made


def allowed_for_strangers(who: str, target: Target) -> bool:
    """A model's pod gets nowhere, and a stranger only where no model's policy is."""
    return who == MODEL or target.address == MODEL


def test_where_policies_are_enforced(network: Network) -> None:
    network.blocked = allowed_for_strangers
    code, report = network.lead()
    assert code == 0
    found = decide(report, "n1")
    assert found.status is True, found.message
    assert "the metadata service" in found.message.split("Not tested")[1]
    assert network.rounds == module.ROUNDS
    assert report.late_seconds == 0


def test_where_they_are_not(network: Network) -> None:
    network.blocked = lambda who, target: False
    _, report = network.lead(settle=0.2)
    found = decide(report, "n1")
    assert found.status is False
    assert "a stranger reached a model's pod on TCP" in found.message
    assert "a model's pod reached DNS" in found.message
    assert "a model's pod reached its node" in found.message


def test_where_only_the_way_in_is_open(network: Network) -> None:
    network.blocked = lambda who, target: who == MODEL
    _, report = network.lead(settle=0.2)
    assert len(decide(report, "n1").through) == 1


def test_policies_that_come_late_are_waited_for(network: Network) -> None:
    network.blocked = lambda who, target: allowed_for_strangers(who, target) and network.rounds > 2
    _, report = network.lead()
    assert decide(report, "n1").status is True
    assert report.late_seconds >= 0
    assert network.rounds >= 2 + module.ROUNDS


CLEAN, LEAK, MUTE = "clean", "leak", "mute"
ROUND = {CLEAN: Outcome.SILENT, LEAK: Outcome.ANSWERED}


class Walk:
    """A survey whose rounds take a second each and end as they are put; the clock is its own."""

    def __init__(self, rounds: Sequence[str]) -> None:
        self.rounds = iter(rounds)
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Rounds alone take time."""

    def settled(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> bool | None:
        monkeypatch.setattr(module, "time", self)
        return decide(module.Survey.settled(self, seconds), "n1").status  # type: ignore[arg-type]

    def _controls(self) -> list[Outcome]:
        return []

    def _round(self, before: object) -> tuple[object, list[Outcome]]:
        self.now += 1
        how, goal = next(self.rounds), Target(canary.MODEL, Way.TALK, MODEL, 8080, needed=True)
        if how == MUTE:
            return module._Round(canary.Report(problem="nobody answered.")), []
        return module._Round(canary.Report((canary.Check("x", goal, ROUND[how], Outcome.ANSWERED),))), []


@pytest.mark.parametrize(("rounds", "status"), [
    ([LEAK, CLEAN, LEAK, CLEAN, LEAK], False),  # time is up at the clean one: one more says what it was worth
    ([LEAK, MUTE, MUTE, MUTE], False),
    ([LEAK, LEAK, LEAK, CLEAN, CLEAN], True),
    ([MUTE, MUTE, MUTE, CLEAN, MUTE], None),
    ([MUTE, MUTE, MUTE, MUTE], None),
])  # fmt: skip
def test_when_time_is_up_a_leak_counts_whatever_the_last_round_was(
    monkeypatch: pytest.MonkeyPatch, rounds: list[str], status: bool | None
) -> None:
    assert Walk(rounds).settled(3.5, monkeypatch) is status


def test_a_network_that_leaks_on_and_off_is_not_enforced(network: Network) -> None:
    network.blocked = lambda who, target: allowed_for_strangers(who, target) and network.rounds % 2 == 0
    _, report = network.lead(settle=0.2)
    assert decide(report, "n1").status is False


def test_a_stranger_that_reaches_nobody_proves_nothing(network: Network) -> None:
    """Something else keeps it from everything: that it does not reach the model's pod says nothing of its policy."""
    network.blocked = lambda who, target: True
    _, report = network.lead(settle=0.2)
    assert decide(report, "n1").status is None


@pytest.mark.parametrize("dead", [MODEL, STRANGER])
def test_a_pod_that_does_not_answer_proves_nothing(network: Network, dead: str) -> None:
    network.blocked = allowed_for_strangers
    code, report = network.lead(settle=0.2, without=dead)
    assert code == 0
    found = decide(report, "n1")
    assert found.status is None
    assert "does not" in found.message or "did not answer" in found.message


def test_a_canary_that_fails_says_so(tmp_path: Path) -> None:
    message = tmp_path / "termination-log"
    code = lead(Lead(RUN, MODEL, (STRANGER,), NODE, "x"), {}, message, tmp_path / "none")
    assert code == 0
    assert decide(canary.decode(message.read_text()), "").status is None
    assert json.loads(message.read_text())["problem"]


def test_name_servers(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search a b\nnameserver 10.96.0.10\noptions ndots:5\nnameserver fd00::a\nnameserver 10.0.0.1\n")
    assert nameservers(conf) == ["10.96.0.10", "fd00::a"]


def test_listening_ends_when_it_is_told_to() -> None:
    port, codes = free_port(), []
    thread = threading.Thread(target=lambda: codes.append(module.listen(RUN, "cluster.local", port, 30)))
    thread.start()
    end = None
    while end is None:
        end = say("127.0.0.1", port, {"run": RUN, "end": True})
    thread.join()
    assert codes == [0]


def test_listening_ends_when_nobody_comes() -> None:
    assert module.listen(RUN, "cluster.local", free_port(), 0.1) == 1
