"""Images built by a real engine and pushed to a real registry on loopback: the digest told is the digest kept."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.install import example
from hack.install.images import Image, Podman
from hack.install.preflight import check_registry
from hack.install.steps import InstallError
from tests.fakes.registry import digest_of, own_store, start_registry

pytestmark = [
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed (apt-get install buildah)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    process, host = start_registry(tmp_path)
    yield host
    process.terminate()
    process.wait(10)


@pytest.fixture
def closed_registry(tmp_path: Path) -> Iterator[str]:
    """One that lets in `bot` with the password `right` only."""
    (tmp_path / "htpasswd").write_text("bot:$2b$04$GGpEWluGl1MORaliZWLEmevTx2Fn.WdUJoOLqCqb4nZ2bit48J9XG\n")
    process, host = start_registry(tmp_path, f"auth: {{htpasswd: {{realm: slm, path: {tmp_path}/htpasswd}}}}")
    yield host
    process.terminate()
    process.wait(10)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The smallest image there is, in a store of its own."""
    for name, value in own_store(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "hello").write_text("hello")
    (tmp_path / "Containerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY hello /hello\nUSER 65532:65532\n")
    return Image("hello", tmp_path / "Containerfile", tmp_path / "context", "scratch")


def test_the_digest_told_is_the_one_the_registry_serves(registry: str, image: Image) -> None:
    engine = Podman("buildah")
    reference = f"{registry}/slm/hello:0.1.0"
    engine.build(image, reference)
    digest = engine.push(reference, insecure=True)
    assert digest.startswith("sha256:")
    assert digest_of(registry, "slm/hello", digest) == digest_of(registry, "slm/hello", "0.1.0") == digest
    assert engine.push(reference, insecure=True) == digest


def test_a_refused_push_says_how_to_log_in_and_a_login_helps(
    closed_registry: str, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = tmp_path / "auth.json"
    logins.write_text("{}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(logins))
    engine = Podman("buildah")
    reference = f"{closed_registry}/slm/hello:0.1.0"
    engine.build(image, reference)
    with pytest.raises(InstallError, match=f"refused the push(.|\n)*docker login {closed_registry}"):
        engine.push(reference, insecure=True)
    login = base64.b64encode(b"bot:right").decode()
    logins.write_text(json.dumps({"auths": {closed_registry: {"auth": login}}}))
    check_registry(closed_registry, insecure=True)
    assert engine.push(reference, insecure=True).startswith("sha256:")


def test_a_build_that_fails_is_named(image: Image, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY missing /missing\n")
    with pytest.raises(InstallError, match="build of x/y:1 failed"):
        Podman("buildah").build(image, "x/y:1")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed (apt-get install skopeo)")
def test_the_first_examples_weights_keep_their_digest_in_a_registry(registry: str) -> None:
    reference = example.push(f"{registry}/slm", insecure=True)
    assert reference == f"{registry}/slm/support-weights@{example.named_digest()}"
    assert digest_of(registry, "slm/support-weights", "1") == example.named_digest()
    assert reference in example.manifest(f"{registry}/slm")
