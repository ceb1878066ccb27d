"""Build the programs of the test bed from Go modules, once, cached by the hash of what they are built from.

A build writes to a temporary folder that is renamed when it is complete, under a lock: concurrent builders wait
for each other, an interrupted one leaves nothing that looks finished.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.paths import TOOLS, cache

KUBERNETES = {"1.36": "1.36.3", "1.34": "1.34.4"}
"""Minor -> patch release: the newest supported and the oldest, for the API server tier."""


@dataclass(frozen=True, slots=True)
class Tool:
    """How a set of programs is built.

    `module`: folder under hack/tools with the go.mod to build in; empty: `go install package@version`.
    `packages`: program name -> package. `links`: further names of the first program (multi-call binaries).
    """

    packages: dict[str, str]
    module: str = ""
    version: str = ""
    links: tuple[str, ...] = ()
    ldflags: str = "-s -w"
    seconds: int = 60
    tags: str = ""


def _kube_flags(version: str) -> str:
    stamp = "k8s.io/component-base/version"
    major, minor, _ = version.split(".")
    return (
        f"-s -w -X {stamp}.gitVersion=v{version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor} "
        f"-X {stamp}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=v{version}"
    )


_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
RECIPES: dict[str, Tool] = {
    "kube": Tool(
        {"kube": "./cmd/kube"},
        module="go",
        links=(*_COMPONENTS, "kubelet", "kube-proxy", "kubectl"),
        ldflags=_kube_flags(KUBERNETES["1.36"]),
        seconds=400,
    ),
    "kube-1.34": Tool(
        {"kube": "."}, module="kube134", links=_COMPONENTS, ldflags=_kube_flags(KUBERNETES["1.34"]), seconds=300
    ),
    "coredns": Tool({"coredns": "./cmd/coredns"}, module="go", seconds=40),
    "helm": Tool({"helm": "helm.sh/helm/v4/cmd/helm"}, module="go", seconds=90),
    "etcd": Tool({"etcd": "."}, module="etcd", seconds=90),
    "containerd": Tool(
        {
            "containerd": "github.com/containerd/containerd/v2/cmd/containerd",
            "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "ctr": "github.com/containerd/containerd/v2/cmd/ctr",
        },
        version="v2.4.2",
        seconds=120,
        tags="no_btrfs no_zfs no_devmapper",
    ),
    "registry": Tool(
        {"registry": "github.com/distribution/distribution/v3/cmd/registry"}, version="v3.0.0", seconds=60
    ),
    "versitygw": Tool({"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, version="v1.8.0", seconds=120),
    "argocd": Tool(
        {"argocd": "."}, module="argocd", links=("argocd-application-controller", "argocd-repo-server"), seconds=180
    ),
    "calico": Tool(
        {
            "calico-felix": "github.com/projectcalico/calico/felix/cmd/calico-felix",
            "calico": "github.com/projectcalico/calico/cni-plugin/cmd/calico",
        },
        module="calico",
        seconds=200,
    ),
    "load": Tool({"load": "."}, module="load", seconds=20),
    "kwok": Tool({"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, version="v0.8.0", seconds=120),
}


class BuildFailed(Exception):  # noqa: N818 - says what happened
    """A program could not be built; the message ends with the compiler's own words."""


def ensure(name: str) -> Path:
    """Folder with the programs of a tool, built if need be (progress on standard error).

    Raises:
        BuildFailed: no Go, no network for a first build, or a compiler error.
    """
    tool = RECIPES[name]
    target = cache() / "bin" / f"{name}-{_digest(tool)}"
    if (target / ".complete").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".complete").exists():
            _build(name, tool, target)
    return target


def program(tool: str, name: str = "") -> str:
    """Path of one program of a tool."""
    return str(ensure(tool) / (name or tool))


def module_folder(tool: str, module: str) -> Path:
    """Where a Go module lies that a tool is built from, in the tool's version of it: for files that are not programs.

    Raises:
        BuildFailed: it is not there and cannot be downloaded.
    """
    words = ["go", "mod", "download", "-json", module]
    done = subprocess.run(words, cwd=TOOLS / RECIPES[tool].module, capture_output=True, text=True)
    if done.returncode:
        raise BuildFailed(f"`{' '.join(words)}` failed:\n{done.stderr.strip()[-1500:]}")
    return Path(json.loads(done.stdout)["Dir"])


def _digest(tool: Tool) -> str:
    parts = [repr(tool)]
    if tool.module:
        root = TOOLS / tool.module
        wanted = [root / "go.mod", root / "go.sum"]
        for package in tool.packages.values():
            if package.startswith("."):
                wanted += sorted((root / package).glob("*.go"))
        parts += [hashlib.sha256(p.read_bytes()).hexdigest() for p in wanted]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _build(name: str, tool: Tool, target: Path) -> None:
    if shutil.which("go") is None:
        raise BuildFailed(f"{name} is built with Go, which is not installed: install Go 1.26 or newer")
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        for command, package in tool.packages.items():
            _compile(name, tool, command, package, out)
        for link in tool.links:
            (out / link).symlink_to(next(iter(tool.packages)))
        (out / ".complete").touch()
        out.rename(target)


def _compile(name: str, tool: Tool, command: str, package: str, out: Path) -> None:
    flags = ["-trimpath", "-ldflags", tool.ldflags, *(["-tags", tool.tags] if tool.tags else [])]
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOBIN": str(out)}
    if tool.module:
        words, where = ["go", "build", *flags, "-o", str(out / command), package], TOOLS / tool.module
    else:
        words, where = ["go", "install", *flags, f"{package}@{tool.version}"], out
    with _Progress(f"building {name}" if name == command else f"building {name}: {command}", tool.seconds):
        done = subprocess.run(words, cwd=where, env=env, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise BuildFailed(f"`{' '.join(words[:2])} {package}` failed:\n{tail}")


class _Progress:
    """A line on standard error that moves while a build is silent, so that six minutes do not look like a hang."""

    def __init__(self, what: str, expected: int) -> None:
        self._what, self._expected = what, expected
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._started = time.monotonic()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        end = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{end}{self._what}: {time.monotonic() - self._started:.0f} s", file=sys.stderr, flush=True)

    def _run(self) -> None:
        tty = sys.stderr.isatty()
        while not self._end.wait(0.5 if tty else 30):
            past = time.monotonic() - self._started
            text = f"{self._what} ... {past:.0f} s of about {self._expected} s (once; then cached)"
            print(f"\r\033[K{text}" if tty else text, end="" if tty else "\n", file=sys.stderr, flush=True)
