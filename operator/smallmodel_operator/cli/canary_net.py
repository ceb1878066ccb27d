"""What the canary's pods do with sockets: try a target, listen, talk to each other. Standard library only.

One line of JSON is asked and answered. Whoever does not know the run's word gets no answer.
"""

import errno
import json
import secrets
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final, cast

from smallmodel_operator.boundary.canary import Outcome, Target, Way, target

ATTEMPT_SECONDS: Final = 2.0
"""A lost first packet is sent again after one."""
PATIENCE_SECONDS: Final = 15.0
"""For an answer to "try these": all are tried at once, on a machine that may be busy."""
LINE_BYTES: Final = 16384
NO_WAY: Final = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EPERM, errno.EACCES}
"""No route, or a policy that says no aloud. Anything else (no more sockets, no such address) is no answer."""


def attempt(goal: Target, run: str, question: str, timeout: float = ATTEMPT_SECONDS) -> Outcome:
    """Try one target once. `question` is the name a DNS server is asked for."""
    try:
        if goal.way is Way.ASK:
            return _ask(goal, question, timeout)
        with socket.create_connection((goal.address, goal.port), timeout) as connection:
            if goal.way is Way.CONNECT:
                return Outcome.ANSWERED
            return _greet(connection, run)
    except TimeoutError:
        return Outcome.SILENT
    except ConnectionError:
        return Outcome.REFUSED
    except OSError as error:
        return Outcome.UNREACHABLE if error.errno in NO_WAY else Outcome.FAILED


def attempts(goals: Sequence[Target], run: str, question: str, timeout: float = ATTEMPT_SECONDS) -> list[Outcome]:
    """Try all at once."""
    with ThreadPoolExecutor(max(1, len(goals))) as pool:
        return list(pool.map(lambda goal: attempt(goal, run, question, timeout), goals))


def say(address: str, port: int, words: Mapping[str, Any], timeout: float = PATIENCE_SECONDS) -> dict[str, Any] | None:
    """Say something to a pod of the same run; None when it does not answer."""
    try:
        with socket.create_connection((address, port), ATTEMPT_SECONDS) as connection:
            return _exchange(connection, words, timeout)
    except OSError:
        return None


def _greet(connection: socket.socket, run: str) -> Outcome:
    try:
        return Outcome.ANSWERED if _exchange(connection, {"run": run}, ATTEMPT_SECONDS) else Outcome.CONNECTED
    except OSError:
        return Outcome.CONNECTED


def _exchange(connection: socket.socket, words: Mapping[str, Any], timeout: float) -> dict[str, Any] | None:
    connection.settimeout(timeout)
    connection.sendall(json.dumps(words).encode() + b"\n")
    with connection.makefile("rb") as stream:
        line = stream.readline(LINE_BYTES)
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.get("run") == words["run"] else None


def _ask(goal: Target, name: str, timeout: float) -> Outcome:
    """A DNS question for an address; any answer to it will do, also that there is no such name."""
    number = secrets.randbits(16)
    labels = b"".join(bytes([len(part)]) + part for part in name.encode("ascii").split(b"."))
    packet = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    family = socket.AF_INET6 if ":" in goal.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.connect((goal.address, goal.port))
        end = time.monotonic() + timeout
        for wait in (timeout / 2, timeout / 2):
            sender.send(packet)
            try:
                if _answered(sender, number, min(end, time.monotonic() + wait)):
                    return Outcome.ANSWERED
            except TimeoutError:
                continue
    return Outcome.SILENT


def _answered(sender: socket.socket, number: int, until: float) -> bool:
    while (left := until - time.monotonic()) > 0:
        sender.settimeout(left)
        if sender.recv(4096)[:2] == struct.pack(">H", number):
            return True
    return False


Tries = Callable[[Sequence[Target], str, str], list[Outcome]]


class Listener:
    """Answers pods of the same run, and tries for them what they name.

    Args:
        run: the run's word.
        question: the name DNS servers are asked for.
        port: to listen on; 0 for any free one, see `port`.
        host: address to listen on; empty for all.
        tries: how targets are tried.
    """

    def __init__(self, run: str, question: str, port: int, host: str = "", tries: Tries | None = None) -> None:
        self._tries = tries or attempts
        self._run = run
        self._question = question
        self._began = time.monotonic()
        self.ended = threading.Event()
        six = not host and socket.has_dualstack_ipv6()
        self._server = _Server((host, port), self._reply, six=six)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, line: bytes) -> dict[str, Any] | None:
        try:
            said = json.loads(line)
            if said["run"] != self._run:
                return None
            answer: dict[str, Any] = {"run": self._run, "age": time.monotonic() - self._began}
            if goals := [target(one) for one in said.get("try", ())]:
                answer["outcomes"] = self._tries(goals, self._run, self._question)
        except (ValueError, KeyError, TypeError):
            return None
        if said.get("end"):
            self.ended.set()
        return answer


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], reply: Any, *, six: bool) -> None:
        self.address_family = socket.AF_INET6 if six else socket.AF_INET
        self._six = six
        self.reply = reply
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        if self._six:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(socketserver.StreamRequestHandler):
    timeout = PATIENCE_SECONDS

    def handle(self) -> None:
        try:
            answer = cast(_Server, self.server).reply(self.rfile.readline(LINE_BYTES))
            if answer is not None:
                self.wfile.write(json.dumps(answer).encode() + b"\n")
        except OSError:
            return  # who asked is gone; that is its business


def told(goals: Sequence[Target]) -> list[dict[str, Any]]:
    """Targets as they are told to another pod."""
    return [asdict(goal) for goal in goals]
