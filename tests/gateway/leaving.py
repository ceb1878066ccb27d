"""A real egress: its Envoy, and the process that checks passes, which can be ended and begun again."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.envoy.binary import program
from tests.gateway.decided import until_ready
from tests.gateway.running import Answer, _Unix

from smallmodel_operator.boundary.declared import Declared, dump
from smallmodel_operator.boundary.passes import LEAD_MS, Pass, Signer, sha256
from smallmodel_operator.gateway.egress.envoy import bootstrap
from smallmodel_operator.gateway.egress.server import milliseconds
from smallmodel_operator.gateway.egress.site import EgressSite

CHAT = "/v1/chat/completions"
POLICY = "sha256:" + "ab" * 32
SIGNER = Signer(b"e" * 32)
SECRET = "sk-nobody-sees-this"


class Egress:
    """Both processes."""

    def __init__(self, folder: Path, hosts: Sequence[Declared], authorities: Path, key: str) -> None:
        self.folder, self.hosts, self._key = folder, hosts, key
        self.log_file = folder / "access.log"
        credentials = folder / "credentials"
        self.site = EgressSite(folder, credentials, authorities, log=str(self.log_file), address="127.0.0.1", port=0)
        self.port = 0
        self.envoy: subprocess.Popen[bytes] | None = None
        self.checker: subprocess.Popen[bytes] | None = None
        self._count = 0
        credentials.mkdir(exist_ok=True)
        for host in hosts:
            if host.credential and not (credentials / host.file).exists():
                (credentials / host.file).write_text(SECRET)
        (folder / "hosts.json").write_text(dump(hosts))
        (folder / "bootstrap.json").write_text(json.dumps(bootstrap(hosts, self.site)))

    def begin_envoy(self) -> None:
        with (self.folder / "envoy.log").open("ab") as out:
            words = [program(), "-c", str(self.folder / "bootstrap.json"), "--disable-hot-restart", "-l", "warning"]
            words += ["--concurrency", "2"]
            self.envoy = subprocess.Popen(words, stdout=out, stderr=out)
        until_ready(self._listens, self.said)

    def begin(self) -> None:
        """The checker; returns when it answers."""
        with (self.folder / "checker.log").open("ab") as out:
            own = {"DIR": self.folder, "HOSTS": self.folder / "hosts.json", "KEYS": self._key, "HTTP_PORT": 0}
            env = {**os.environ, **{f"SLM_EGRESS_{name}": str(value) for name, value in own.items()}}
            words = [sys.executable, "-m", "smallmodel_operator", "egress", "run"]
            self.checker = subprocess.Popen(words, stdout=out, stderr=out, env=env)
        until_ready(lambda: self.ask(b"{}", text="").status == 403, self.said)
        time.sleep(0.2)  # the clock it began by is that much behind what `lead` signs with

    def end(self, sign: int = signal.SIGKILL) -> None:
        assert self.checker is not None
        self.checker.send_signal(sign)
        self.checker.wait(60)

    def said(self) -> str:
        """All that both logged."""
        return "".join(p.read_text() for p in sorted(self.folder.glob("*.log")))

    def _listens(self) -> bool:
        listed = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        self.port = listed[0]["local_address"]["socket_address"]["port_value"] if listed else 0
        return bool(self.port) and self.admin("/ready").strip() == "LIVE"

    def admin(self, path: str, method: str = "GET") -> str:
        connection = _Unix(self.site.admin_socket)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def log(self) -> list[dict[str, Any]]:
        """Lines of the access log so far."""
        self.admin("/reopen_logs", "POST")
        size = -1
        while size != self.log_file.stat().st_size:
            size = self.log_file.stat().st_size
            time.sleep(0.1)
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    # -- asking ------------------------------------------------------------------------------------------------

    def name(self) -> str:
        """A request id nobody had."""
        self._count += 1
        return f"request-{self._count}"

    def sign(self, body: bytes, request: str, target: str = "", signer: Signer = SIGNER, age: int = 0) -> str:
        """A pass. Signed as by a clock that is ahead, so that a checker that has just begun takes it; `age`: how much
        older than that, in milliseconds."""
        issued = milliseconds() + LEAD_MS - 100 - age
        return signer.sign(Pass(request, target or self.hosts[0].name, POLICY, sha256(body), issued))

    @contextmanager
    def sent(
        self, body: Any, text: str | None = None, target: str = "", request: str = "", path: str = CHAT,
        method: str = "POST", **headers: str
    ) -> Iterator[http.client.HTTPResponse]:  # fmt: skip
        """The answer's head. `text`: of the pass; None: one that fits."""
        request = request or self.name()
        if text is None:
            text = self.sign(body, request, target)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"x-request-id": request, "x-slm-target": target or self.hosts[0].name, "x-slm-pass": text}
        sent |= {"content-type": "application/json"} | {n.replace("_", "-"): v for n, v in headers.items()}
        whole = isinstance(body, bytes)
        try:
            connection.request(method, path, body, {n: v for n, v in sent.items() if v}, encode_chunked=not whole)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def ask(self, body: Any, text: str | None = None, **more: Any) -> Answer:
        """The whole answer."""
        with self.sent(body, text, **more) as answer:
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())


@contextmanager
def leaving(folder: Path, hosts: Sequence[Declared], authorities: Path, key: str = SIGNER.public) -> Iterator[Egress]:
    """Both processes, running. `key`: the public one of who signs."""
    found = Egress(folder, hosts, authorities, key)
    try:
        found.begin_envoy()
        found.begin()
        yield found
    finally:
        for process in (found.checker, found.envoy):
            if process is not None:
                process.kill()
                process.wait(60)
