"""Weights are put into the distribution project's own registry over HTTPS, and copied from there as a Job does."""

import json
import platform
from pathlib import Path
from typing import Any

import pytest
from hack.install import example
from tests.fakes.registry import start_registry
from tests.unit.cli.test_copy_weights import LOGIN, USERS
from tests.unit.cli.test_fetch_weights import FILE

from smallmodel_operator.cli import push as module
from smallmodel_operator.cli.copy_weights import Copy, copy
from smallmodel_operator.cli.push import push
from smallmodel_operator.weights import result


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's own logins are read."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "bot-Q8_0.gguf"
    file.write_bytes(FILE)
    return file


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def copied(uri: str, keys: Path, into: Path) -> dict[str, bytes]:
    """What a Job that copies the image brings; it checks the manifest and each blob against its digest."""
    wish = Copy(uri.removeprefix("oci://"), into / "claim" / "oci-x", str(keys / "ca.crt"), into)
    assert copy(wish, lambda: result.EXIT_FOUND, into / "message") == result.EXIT_FOUND
    return {p.relative_to(wish.files).as_posix(): p.read_bytes() for p in wish.files.rglob("*") if p.is_file()}


def test_a_file_is_pushed_and_copied_from_there_by_its_digest(
    host: str, keys: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(weights, f"{host}/models/bot:1", str(keys / "ca.crt"), "json") == 0
    told = said(capsys)
    assert told["uri"] == f"oci://{host}/models/bot@{told['digest']}"
    assert told["files"] == ["bot-Q8_0.gguf"]
    assert copied(told["uri"], keys, tmp_path) == {"bot-Q8_0.gguf": FILE}


def test_the_same_files_are_the_same_digest_and_not_sent_again(
    host: str, keys: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    asked = module.Door.ask

    def ask(door: module.Door, method: str, url: str, *rest: Any) -> tuple[int, str]:
        sent.append(method)
        return asked(door, method, url, *rest)

    monkeypatch.setattr(module.Door, "ask", ask)
    assert push(weights, f"{host}/twice/bot:1", str(keys / "ca.crt"), "table") == 0
    first = capsys.readouterr().out
    assert sent.count("PUT") == 3
    sent.clear()
    weights.touch()
    assert push(weights, f"{host}/twice/bot", str(keys / "ca.crt"), "table") == 0
    assert capsys.readouterr().out == first
    assert sent.count("PUT") == 1, "the manifest alone, under the tag `latest`"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="hack.images notes the machine's architecture")
def test_the_first_examples_weights_are_the_image_its_manifest_names(
    host: str, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(example.WEIGHTS, f"{host}/slm/support-weights", str(keys / "ca.crt"), "json") == 0
    assert said(capsys)["digest"] == example.named_digest()


def test_of_a_folder_goes_what_an_engine_reads(
    host: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    (folder / ".git").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "LICENSE", "modeling.py", ".git/config.json"):
        (folder / name).write_bytes(name.encode())
    assert push(folder, f"{host}/models/folder:1", str(keys / "ca.crt"), "json") == 0
    uri = said(capsys)["uri"]
    assert set(copied(uri, keys, tmp_path)) == {"model.safetensors", "config.json", "tokenizer.json", "LICENSE"}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["model.safetensors", "pytorch_model.bin"], "pytorch_model.bin is a pickle by its name"),
        (["config.json"], "holds neither a *.gguf nor a *.safetensors"),
        ([], "holds neither"),
        (["bad.gguf"], "bad.gguf"),
    ],
)
def test_what_would_not_be_served_is_not_pushed(
    names: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"nothing")
    assert push(folder, "127.0.0.1:1/models/bot", "", "table") == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("reference", ["bot", "models/bot:1", "https://h/bot", f"h.test/bot@sha256:{'a' * 64}"])
def test_a_reference_without_a_registry_is_refused(
    reference: str, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(weights, reference, "", "table") == 1
    assert "must be REGISTRY/REPOSITORY[:TAG]" in capsys.readouterr().err


def test_a_registry_with_a_password(
    keys: Path, weights: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "users").write_text(USERS)
    process, host = start_registry(tmp_path, f"auth: {{htpasswd: {{realm: x, path: {tmp_path / 'users'}}}}}", keys)
    try:
        assert push(weights, f"{host}/bot", str(keys / "ca.crt"), "table") == 1
        assert f"`docker login {host}`" in capsys.readouterr().err
        (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
        assert push(weights, f"{host}/bot", str(keys / "ca.crt"), "yaml") == 0
        out = capsys.readouterr()
        assert f"uri: oci://{host}/bot@sha256:" in out.out
        assert "pass" not in out.out + out.err
    finally:
        process.kill()
        process.wait()


def test_a_registry_that_is_down_or_not_trusted_is_named(
    host: str, keys: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(weights, "127.0.0.1:1/bot", str(keys / "ca.crt"), "table") == 1
    assert "127.0.0.1:1: [Errno 111] Connection refused. Run it again." in capsys.readouterr().err
    assert push(weights, f"{host}/bot", "", "table") == 1
    assert "--ca-file" in capsys.readouterr().err
