"""The real llama-server of the engine image on a file, with the operator's own arguments, under observation.

Needs root: it runs in a chroot of its own mount namespace, on loopback only.
"""

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.paths import cache
from smallmodel_operator.serving import revisions
from smallmodel_operator.serving.types import ServingRequest

LOAD_SECONDS = 900
WATCH_SECONDS = 0.05


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
    """A llama-server and what it took so far, in bytes."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    peak_anonymous: int = 0
    peak_resident: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def watch(self) -> None:
        while not self.ended.wait(WATCH_SECONDS):
            self.look()

    def look(self) -> None:
        """Read the kernel's own high-water mark (VmHWM), and how much of it is anonymous now."""
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

    def wait(self) -> float:
        """Seconds until it answers /health with 200.

        Raises:
            SystemExit: it ended before that, or takes too long; with the end of its log.
        """
        began = time.monotonic()
        while time.monotonic() - began < LOAD_SECONDS and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.1)
        raise SystemExit("llama-server did not become ready:\n" + "\n".join(self.log.read_text().splitlines()[-20:]))


@contextmanager
def serving(
    file: Path, context: int, slots: int, *more: str, threads: int = 0, cgroup: Path | None = None
) -> Iterator[Server]:
    """The engine on a file, started the way a pod starts it; `more` are arguments after the operator's."""
    request = ServingRequest(
        name="measured", namespace="", engine_image="", context_size=context, parallel_slots=slots, args=more, env=(),
        cpu_request="2", cpu_limit=None, threads=threads or os.cpu_count() or 1, memory_request="",
        memory_declared=False, memory_limit=None, node_selector={}, tolerations=(), replicas=1, artifact="",
        volume={}, mount={},
        model_path=f"/mnt/{file.name}",
    )  # fmt: skip
    (engine,) = revisions.REVISIONS[revisions.LATEST](request)["spec"]["containers"]
    arguments = list(engine["args"])
    key = arguments.index("--api-key-file")  # a file of a Secret in the pod
    del arguments[key : key + 2]
    with started(file, arguments, cgroup=cgroup) as server:
        yield server


@contextmanager
def started(file: Path, arguments: Sequence[str], *, cgroup: Path | None = None) -> Iterator[Server]:
    """The engine with these arguments; the file is in its /mnt."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = (
        '[ -z "$JOIN" ] || echo $$ >"$JOIN/cgroup.procs"; '
        'mount --make-rprivate / && mount --bind "$1" "$0/mnt" && mount -t proc proc "$0/proc" && '
        'mount --rbind /dev "$0/dev" && root=$0 && shift && exec chroot "$root" /usr/bin/llama-server "$@"'
    )
    words = [*arguments, "--host", "127.0.0.1", "--port", str(port)]
    log = file.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, str(engine_root()), str(file.parent), *words],
            stdout=output, stderr=output, env={**os.environ, "JOIN": str(cgroup or "")},
        )  # fmt: skip
    server = Server(process, port, log)
    watcher = threading.Thread(target=server.watch, daemon=True)
    watcher.start()
    try:
        yield server
    finally:
        server.ended.set()
        watcher.join()
        process.terminate()
        process.wait(60)
