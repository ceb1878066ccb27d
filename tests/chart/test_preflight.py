"""`make install` looks before it changes anything, and says what is wrong in words that help."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hack.install import preflight
from hack.install.steps import Access, InstallError
from tests.chart.conftest import ROOT

KUBECTL = """#!/bin/sh
echo "$@" >> "$KUBECTL_LOG"
case "$1" in
  version) [ -z "$SERVER" ] && {{ echo "dial tcp 10.0.0.1:6443: connection refused" >&2; exit 1; }}
           echo '{{"serverVersion": {{"gitVersion": "'$SERVER'"}}}}';;
  auth) echo "${{MAY:-yes}}"; [ "${{MAY:-yes}}" = yes ];;
  *) echo "unexpected $*" >&2; exit 9;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a kubectl that answers from the environment and writes down what it was asked, and a helm."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").write_text(KUBECTL.format())
    (tmp_path / "bin" / "helm").write_text('#!/bin/sh\necho "helm $@" >> "$KUBECTL_LOG"\nexit 9\n')
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    return tmp_path


def access(programs: Path, **env: str) -> Access:
    return Access(str(programs / "bin" / "kubectl"), env={"KUBECTL_LOG": str(programs / "log"), **env})


def install(programs: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("CLUSTER", "REGISTRY", "VALUES", "ENGINE")}
    path = f"{programs / 'bin'}:{clean['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "hack.install", *arguments], capture_output=True, text=True, check=False, cwd=ROOT,
        timeout=60, env={**clean, "PATH": path, "KUBECTL_LOG": str(programs / "log"), **env},
    )  # fmt: skip


def asked(programs: Path) -> str:
    log = programs / "log"
    return log.read_text() if log.exists() else ""


def test_no_registry_for_the_cluster_at_hand(programs: Path) -> None:
    done = install(programs, "install", "--cluster", "current", SERVER="v1.36.3")
    assert done.returncode == 1
    assert "REGISTRY is empty" in done.stderr
    assert "make install REGISTRY=registry.internal/slm" in done.stderr
    assert asked(programs) == ""


@pytest.mark.parametrize("registry", ["https://registry.internal/slm", "registry.internal/slm:1.0", "a b", "r/UPPER"])
def test_a_registry_that_is_none(programs: Path, registry: str) -> None:
    done = install(programs, "install", "--cluster", "current", "--registry", registry, SERVER="v1.36.3")
    assert done.returncode == 1
    assert f"REGISTRY={registry} is not host[:port][/folder]" in done.stderr


def test_an_unknown_cluster(programs: Path) -> None:
    done = install(programs, "install", "--cluster", "minikube")
    assert done.returncode == 1
    assert "known: current, kind, testbed" in done.stderr


def test_a_values_file_that_is_not_there(programs: Path) -> None:
    done = install(programs, "install", "--cluster", "current", "--registry", "r.internal", "--values", "mine.yaml")
    assert done.returncode == 1
    assert "mine.yaml, which is not a file" in done.stderr


def test_no_cluster(programs: Path) -> None:
    done = install(programs, "install", "--cluster", "current", "--registry", "r.internal/slm")
    assert done.returncode == 1
    assert "The cluster does not answer" in done.stderr
    assert "connection refused" in done.stderr
    assert "KUBECONFIG" in done.stderr


def test_an_old_server_is_named_before_anything_is_changed(programs: Path) -> None:
    done = install(programs, "install", "--cluster", "current", "--registry", "r.internal/slm", SERVER="v1.33.9")
    assert done.returncode == 1
    assert "Kubernetes v1.33.9; 1.34 or later is needed. Nothing was changed." in done.stderr
    assert asked(programs).splitlines() == ["version -o json --request-timeout=10s"]


def test_no_rights(programs: Path) -> None:
    with pytest.raises(InstallError, match="may not create customresourcedefinitions") as refused:
        preflight.check_cluster(access(programs, SERVER="v1.36.3", MAY="no"))
    assert "cluster-admin" in str(refused.value)


@pytest.mark.parametrize("version", ["v1.34.0", "v1.36.3", "v1.35.2-gke.100", "v1.34.1+k3s1"])
def test_supported_servers(programs: Path, version: str) -> None:
    assert preflight.check_cluster(access(programs, SERVER=version)) == version


class Registry(BaseHTTPRequestHandler):
    """Answers /v2/ as a registry does: 200 with the right login, else 401."""

    login = ""
    scheme = "Basic realm=x"

    def do_GET(self) -> None:
        good = not self.login or self.headers.get("Authorization") == f"Basic {self.login}"
        self.send_response(200 if good else 401)
        if not good:
            self.send_header("WWW-Authenticate", self.scheme)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Registry]]]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    handler = type("Handler", (Registry,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def store_login(folder: Path, host: str, password: str) -> str:
    login = base64.b64encode(f"bot:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
    return login


def test_a_registry_that_answers(registry: tuple[str, type[Registry]]) -> None:
    preflight.check_registry(f"{registry[0]}/slm", insecure=True)


def test_a_registry_that_wants_a_login(registry: tuple[str, type[Registry]]) -> None:
    registry[1].login = "x"
    with pytest.raises(InstallError, match=f"{registry[0]} wants a login: run `docker login {registry[0]}`"):
        preflight.check_registry(f"{registry[0]}/slm", insecure=True)


def test_a_login_that_is_right_and_one_that_is_not(registry: tuple[str, type[Registry]], tmp_path: Path) -> None:
    registry[1].login = store_login(tmp_path, registry[0], "right")
    preflight.check_registry(registry[0], insecure=True)
    store_login(tmp_path, registry[0], "wrong")
    with pytest.raises(InstallError, match="refuses your login"):
        preflight.check_registry(registry[0], insecure=True)
    registry[1].scheme = 'Bearer realm="https://auth.internal"'
    preflight.check_registry(registry[0], insecure=True)  # the token service decides, at the push


def test_a_registry_without_tls(registry: tuple[str, type[Registry]]) -> None:
    with pytest.raises(InstallError, match=r"cannot be reached.*INSECURE_REGISTRY=1"):
        preflight.check_registry(registry[0], insecure=False)


def test_a_registry_that_is_not_there() -> None:
    with pytest.raises(InstallError, match=r"127\.0\.0\.1:9 cannot be reached: .*refused"):
        preflight.check_registry("127.0.0.1:9/slm", insecure=True)
