"""Estimated against measured: llama.cpp's real server on models of true size, with the operator's own arguments.

Measured is what the server needs while it answers: its anonymous memory at its peak plus the file pages (weights,
libraries) it touched during the answers. Weights that llama.cpp copied into another layout at load stay mapped
too, but nobody reads them again: the kernel takes those pages back before it ever kills a pod, and they are not
counted. Needs root: the server of the engine image runs in a chroot of its own mount namespace, on loopback only.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.paths import cache
from hack.true_size import write
from smallmodel_operator.quantization.memory import estimate
from smallmodel_operator.serving import llamacpp
from smallmodel_operator.serving.types import ServingRequest
from smallmodel_operator.weights import describe, gguf

MIB = 2**20
CASES = (
    "0.5b:Q4_0:4096:4",
    "0.5b:Q4_K_M:4096:4",
    "0.5b:Q5_K_M:4096:4",
    "0.5b:Q8_0:4096:4",
    "0.5b:F16:4096:4",
    "3b:Q4_K_M:4096:2",
    "8b:Q4_K_M:4096:2",
)
"""size : block types : contextSize : parallelSlots"""
PROMPT_WORDS = 150
"""About 600 tokens: more than one micro batch of 512, so that the compute buffer is touched to its end."""
LOAD_SECONDS, ANSWER_SECONDS = 600, 1800


def engine_root() -> Path:
    """The engine image's file tree; built where it is missing."""
    found = sorted((cache() / "images" / "layers").glob("base-*/usr/bin/llama-server"))
    if not found:
        from hack.images.build import build_image

        build_image("llamacpp")
        found = sorted((cache() / "images" / "layers").glob("base-*/usr/bin/llama-server"))
    return found[-1].parents[2]


@dataclass
class Server:
    """A llama-server under observation."""

    process: subprocess.Popen[bytes]
    port: int
    peak_anonymous: int = 0
    peak_resident: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def watch(self) -> None:
        while not self.ended.wait(0.05):
            try:
                lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            except OSError:
                return
            kib = {k: int(v.split()[0]) for k, _, v in (x.partition(":") for x in lines) if k.startswith(("Rss", "Vm"))}
            self.peak_anonymous = max(self.peak_anonymous, kib.get("RssAnon", 0) * 1024)
            self.peak_resident = max(self.peak_resident, kib.get("VmHWM", 0) * 1024)

    def forget_touched(self) -> None:
        """Clear the kernel's marks of touched pages."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("1")

    def touched_files(self) -> int:
        """Bytes of file pages touched since then."""
        total, of_file = 0, False
        for line in Path(f"/proc/{self.process.pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                of_file = len(words) > 5 and words[5].startswith("/")
            elif of_file and words[0] == "Referenced:":
                total += int(words[1]) * 1024
            elif of_file and words[0] == "Anonymous:":
                total -= int(words[1]) * 1024  # written pages of a library are in the anonymous sum already
        return total


def start(file: Path, context: int, slots: int) -> Server:
    """Start the engine on a file, the way a pod does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    request = ServingRequest(
        name="measured", namespace="", engine_image="", context_size=context, parallel_slots=slots, args=(), env=(),
        cpu_request="2", cpu_limit=None, threads=os.cpu_count() or 1, memory_request="", memory_declared=False,
        memory_limit=None, node_selector={}, tolerations=(), replicas=1, artifact="", volume={}, mount={},
        model_path=f"/mnt/{file.name}",
    )  # fmt: skip
    script = (
        'mount --make-rprivate / && mount --bind "$1" "$0/mnt" && mount -t proc proc "$0/proc" && '
        'mount --rbind /dev "$0/dev" && root=$0 && shift && exec chroot "$root" /usr/bin/llama-server "$@"'
    )
    arguments = [*llamacpp.arguments(request), "--host", "127.0.0.1", "--port", str(port)]
    log = (file.parent / "llama-server.log").open("wb")
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, str(engine_root()), str(file.parent), *arguments],
        stdout=log, stderr=log,
    )  # fmt: skip
    server = Server(process, port)
    threading.Thread(target=server.watch, daemon=True).start()
    return server


def wait(server: Server, log: Path) -> float:
    """Seconds until it answers /health with 200."""
    began = time.monotonic()
    while time.monotonic() - began < LOAD_SECONDS:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return time.monotonic() - began
        except OSError:
            time.sleep(0.1)
    raise SystemExit("llama-server did not become ready:\n" + "\n".join(log.read_text().splitlines()[-20:]))


def ask(url: str, words: int) -> dict[str, float]:
    """One chat completion; its timings."""
    prompt = " ".join(f"w{i % 97}" for i in range(words))
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"llama-server answers {error.code}: {error.read().decode()[:300]}") from error
    if said["usage"]["completion_tokens"] < 1:
        raise SystemExit(f"no answer: {said}")
    return {"prompt_tokens": said["usage"]["prompt_tokens"], **said["timings"]}


def measure(case: str) -> dict[str, object]:
    """One row: load, answer on every slot at once, compare."""
    name, kind, context, slots = case.split(":")
    file = write.ensure(name, kind)
    print(f"{case}: loading {file.stat().st_size // MIB} MiB ...", file=sys.stderr, flush=True)
    with file.open("rb") as stream:
        facts = describe.facts(gguf.read_header(stream, file.stat().st_size), "", file.name)
    expected = estimate(facts, int(context), int(slots))
    words = min(PROMPT_WORDS, int(context) // 5)  # a word is about four tokens
    server = start(file, int(context), int(slots))
    try:
        ready = wait(server, file.parent / "llama-server.log")
        print(f"{case}: ready after {ready:.1f} s, answering ...", file=sys.stderr, flush=True)
        server.forget_touched()
        with ThreadPoolExecutor(int(slots)) as pool:
            timings = list(pool.map(lambda i: ask(server.url, 8 if i else words), range(int(slots))))
        files = server.touched_files()
    finally:
        server.ended.set()
        server.process.terminate()
        server.process.wait(30)
    measured = server.peak_anonymous + files
    return {
        "model": name,
        "quantization": facts.quantization,
        "context_size": int(context),
        "parallel_slots": int(slots),
        "file_mib": file.stat().st_size // MIB,
        "estimated_mib": expected.total // MIB,
        "measured_mib": measured // MIB,
        "error_percent": round(100 * (expected.total - measured) / measured, 1),
        "anonymous_mib": server.peak_anonymous // MIB,
        "touched_files_mib": files // MIB,
        "peak_resident_mib": server.peak_resident // MIB,
        "ready_seconds": round(ready, 1),
        "prompt_tokens": int(timings[0]["prompt_tokens"]),
        "parts_mib": {k: getattr(expected, k) // MIB for k in ("weights", "kv_cache", "compute", "process")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="SIZE:TYPE:CONTEXT:SLOTS")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root for its chroot (try: sudo -E make measure-memory)")
    rows = []
    for case in options.cases:
        rows.append(measure(case))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
