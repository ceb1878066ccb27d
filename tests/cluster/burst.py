"""Many requests at once, straight to the gateway pods, each with the times at which it was answered."""

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from tests.cluster.conftest import GATEWAYS, Bed

QUESTION = {"messages": [{"role": "user", "content": "When do you open?"}], "max_tokens": 1, "temperature": 0}


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. Times are Unix times in seconds; `error` is empty where a whole stream arrived."""

    gateway: str
    sent: float
    first: float
    error: str = ""
    timing: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks which model, through which gateway pods."""

    gateways: tuple[str, ...]
    host: str
    key: str
    model: str

    def burst(self, count: int, seconds: float = 90) -> list[Answer]:
        """`count` streamed requests at once, shared out over the gateways; no retry."""
        return asyncio.run(self._burst(count, seconds))

    async def _burst(self, count: int, seconds: float) -> list[Answer]:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            each = (self.ask(session, self.gateways[n % len(self.gateways)]) for n in range(count))
            return list(await asyncio.gather(*each))

    async def ask(self, session: aiohttp.ClientSession, gateway: str) -> Answer:
        """One streamed request."""
        sent = time.time()
        headers = {"Host": self.host, "Authorization": f"Bearer {self.key}"}
        body = {"model": self.model, "stream": True, **QUESTION}
        try:
            async with session.post(f"http://{gateway}:10080/v1/chat/completions", json=body, headers=headers) as got:
                begun = await got.content.readany()
                first, text = time.time(), begun + await got.content.read()
                whole = got.status == 200 and text.rstrip().endswith(b"data: [DONE]")
                error = "" if whole else f"{got.status} {text[-300:]!r}"
                return Answer(gateway, sent, first, error, got.headers.get("Server-Timing", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            return Answer(gateway, sent, time.time(), repr(failed))


def caller(bed: Bed, name: str, namespace: str) -> Caller:
    """A caller of one model that knows every gateway pod."""
    pods = bed.items("pods", "smallmodel-system", GATEWAYS)
    addresses = tuple(sorted(p["status"]["podIP"] for p in pods))
    assert len(addresses) == 2, addresses
    return Caller(addresses, f"{name}.{namespace}.svc.cluster.local", bed.key(name, namespace), name)


def lost(answers: Sequence[Answer]) -> list[str]:
    return [f"{a.gateway} after {a.first - a.sent:.1f} s: {a.error}" for a in answers if a.error]


class ReadySeen:
    """A watcher of a namespace's model pods: when it first saw each new one Ready=True (Unix time, by pod name)."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        command = ["-n", namespace, "get", "pods", "-l", "smallmodel.dev/role=server", "-w", "-o=json"]
        self._seen: dict[str, float] = {}
        # A pod that still drains when the watch begins may be Ready, too.
        self._old = {p["metadata"]["name"] for p in bed.items("pods", namespace, "smallmodel.dev/role=server")}
        self._process = subprocess.Popen(
            [*bed.node.prefix, _kubectl(), f"--kubeconfig={bed.node.kubeconfig}", *command],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text += line
            if line.rstrip() != "}":
                continue
            pod, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            if ready:
                self._seen.setdefault(pod["metadata"]["name"], time.time())

    def new(self) -> dict[str, float]:
        return {name: at for name, at in self._seen.items() if name not in self._old}

    def __enter__(self) -> "ReadySeen":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _kubectl() -> str:
    from hack.cluster.binaries import program

    return program("kube", "kubectl")
