"""A file of a model hub: found, pinned, fetched from where it sends us, against a fake that speaks its HTTP API."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.connect_proxy import tunnelling
from tests.fakes.gguf_file import build
from tests.fakes.hub import COMMIT, TOKEN, Hub
from tests.fakes.source_site import Held, serve

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights, transfer
from smallmodel_operator.cli.hub import Repository
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import result

FILE = build()
SHA256 = hashlib.sha256(FILE).hexdigest()
LARGE = {"size": len(FILE), "oid": SHA256}
TREE = f"/api/models/org/bot/tree/{COMMIT}?recursive=true"


@dataclass
class Pod:
    """The download's pod: its claim, what is mounted, and the hub it is told of."""

    root: Path
    endpoint: str
    held: Held
    hub: type[Hub]
    pauses: list[float] = field(default_factory=list)

    def fetch(self, file: str = "", sha256: str = "", secret: str = "", revision: str = COMMIT) -> tuple[int, Any]:
        edge = transfer.Edge(sleep=self.pauses.append, chance=lambda: 0.5)
        where = Repository(self.endpoint, "org/bot", revision, file)
        wish = fetch_weights.Download(
            where, sha256, str(self.folder), "hf:x", "uid-1", "", secret, str(self.root / "secret")
        )
        code = fetch_weights.fetch(wish, self.root / "message", edge)
        return code, result.decode((self.root / "message").read_text())

    def refused(self, *words: str, **more: str) -> result.Failure:
        code, said = self.fetch(*words, **more)
        assert isinstance(said, result.Failure)
        assert code == result.EXIT_REFUSED
        assert not (self.folder / "model.gguf").exists()
        return said

    @property
    def folder(self) -> Path:
        return self.root / "hf-x"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.held.asked]


@pytest.fixture
def pod(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    file = tmp_path / "served.gguf"
    file.write_bytes(FILE)
    files = {"README.md": {"size": 10}, "bot.gguf": LARGE, "config.json": {"size": 3}}
    hub = type("OneHub", (Hub,), {"files": files})
    with serve(keys, file, hub) as (port, held):
        yield Pod(tmp_path, f"https://127.0.0.1:{port}", held, hub)


def test_the_only_gguf_is_found_and_its_sum_is_the_hubs(pod: Pod) -> None:
    code, facts = pod.fetch()
    assert code == result.EXIT_FOUND
    assert isinstance(facts, WeightsFacts)
    assert (facts.sha256, facts.file, facts.claim) == (SHA256, "model.gguf", "uid-1")
    assert (pod.folder / "model.gguf").read_bytes() == FILE
    assert pod.paths[0] == TREE
    assert pod.paths[-2:] == [f"/org/bot/resolve/{COMMIT}/bot.gguf", "/cdn/file.gguf?Signature=abc&Expires=1"]


def test_what_was_fetched_keeps_its_sum_without_the_hub(pod: Pod) -> None:
    pod.fetch()
    pod.held.asked.clear()
    code, facts = pod.fetch()
    assert (code, facts.sha256, pod.held.asked) == (result.EXIT_FOUND, SHA256, [])
    assert (pod.folder / "model.gguf.sha256").read_text() == f"{SHA256}  model.gguf\n"


def test_file_and_sum_are_enough_for_a_mirror_without_the_api(pod: Pod) -> None:
    assert pod.fetch("bot.gguf", SHA256)[0] == result.EXIT_FOUND
    assert not [path for path in pod.paths if path.startswith("/api/")]


def test_a_name_with_odd_characters_is_asked_for_as_it_is(pod: Pod) -> None:
    pod.hub.files = {"my models/bot#1 50%.gguf": LARGE}
    assert pod.fetch("my models/bot#1 50%.gguf")[0] == result.EXIT_FOUND


def test_another_file_than_the_hub_said_is_refused(pod: Pod) -> None:
    pod.held.file.write_bytes(FILE[:-1] + b"x")
    said = pod.refused()
    assert said.reason is Reason.DIGEST_MISMATCH


def test_a_sum_the_hub_does_not_confirm_is_refused_before_the_download(pod: Pod) -> None:
    said = pod.refused(sha256="b" * 64)
    assert said.reason is Reason.DIGEST_MISMATCH
    assert not [path for path in pod.paths if path.startswith("/cdn/")]


@pytest.mark.parametrize(
    ("files", "file", "reason", "words"),
    [
        ({"a.gguf": LARGE, "b/c.gguf": LARGE}, "", Reason.WEIGHTS_AMBIGUOUS, "2 GGUF files (a.gguf, b/c.gguf)"),
        ({"model.safetensors": LARGE}, "", Reason.WEIGHTS_NOT_FOUND, "it has: model.safetensors"),
        ({"model.safetensors": LARGE}, "", Reason.WEIGHTS_NOT_FOUND, "set `spec.quantization`"),
        ({}, "", Reason.WEIGHTS_NOT_FOUND, "it is empty"),
        ({"bot.gguf": LARGE}, "bott.gguf", Reason.WEIGHTS_NOT_FOUND, "no file 'bott.gguf'"),
        ({"bot.gguf": {"size": 9}}, "", Reason.DOWNLOAD_FAILED, "`spec.source.sha256`"),
        ({"bot.gguf": {"size": 9, "oid": "x"}}, "", Reason.DOWNLOAD_FAILED, "`spec.source.sha256`"),
    ],
)
def test_what_cannot_be_told_is_refused(pod: Pod, files: dict[str, Any], file: str, reason: Reason, words: str) -> None:
    pod.hub.files = files
    said = pod.refused(file)
    assert said.reason is reason
    assert words in said.message


def test_a_token_opens_a_private_repository_and_goes_to_the_hub_alone(pod: Pod) -> None:
    pod.hub.private = True
    said = pod.refused()
    assert said.reason is Reason.SOURCE_UNAUTHORIZED
    assert "no such repository, or it is private" in said.message
    assert "credentialsSecretRef" in said.message
    (pod.root / "secret").mkdir()
    (pod.root / "secret" / "token").write_text(f"{TOKEN}\n")
    pod.held.asked.clear()
    assert pod.fetch(secret="hub")[0] == result.EXIT_FOUND
    assert {a.authorization for a in pod.held.asked if not a.path.startswith("/cdn/")} == {f"Bearer {TOKEN}"}
    assert {a.authorization for a in pod.held.asked if a.path.startswith("/cdn/")} == {""}


def test_a_gated_repository_says_what_to_do(pod: Pod) -> None:
    pod.hub.gated = True
    said = pod.refused()
    assert said.reason is Reason.SOURCE_FORBIDDEN
    assert "Accept its terms" in said.message


def test_a_commit_that_is_not_there(pod: Pod) -> None:
    said = pod.refused(revision="f" * 40)
    assert said.reason is Reason.SOURCE_NOT_FOUND
    assert f"Asked for: `org/bot` at `{'f' * 40}`" in said.message
    assert "name a Secret with `token`" in said.message


def test_a_repository_that_is_not_there_is_named_with_what_to_check(pod: Pod) -> None:
    pod.held.answers = [(404, {"X-Error-Code": "RepoNotFound"})]
    said = pod.refused()
    assert said.reason is Reason.SOURCE_NOT_FOUND
    assert "no such repository, or it is private. Correct `spec.source.uri`, or name a Secret" in said.message
    assert f"Asked for: `org/bot` at `{COMMIT}`." in said.message


def test_a_file_that_a_mirror_does_not_have_is_named(pod: Pod) -> None:
    pod.held.answers = [(404, {})]
    said = pod.refused("gone.gguf", SHA256)
    assert said.reason is Reason.SOURCE_NOT_FOUND
    assert f"Asked for: `org/bot/gone.gguf` at `{COMMIT}`. Where it is private, name a Secret" in said.message


@pytest.mark.parametrize("entries", [{}, {"other": "x"}, {"username": "me"}])
def test_a_secret_that_is_missing_or_holds_nothing_usable_is_named(pod: Pod, entries: dict[str, str]) -> None:
    (pod.root / "secret").mkdir()
    for name, value in entries.items():
        (pod.root / "secret" / name).write_text(value)
    said = pod.refused(secret="hub")
    assert said.reason is Reason.SECRET_NOT_FOUND
    assert "'hub'" in said.message
    assert pod.held.asked == []


def test_a_token_that_is_none_is_not_sent_and_not_told(pod: Pod) -> None:
    (pod.root / "secret").mkdir()
    (pod.root / "secret" / "token").write_text("geheim\r\nX-Other: 1")
    said = pod.refused(secret="hub")
    assert said.reason is Reason.SECRET_INVALID
    assert "geheim" not in said.message
    assert pod.held.asked == []


def test_name_and_password_are_shown_too(pod: Pod) -> None:
    (pod.root / "secret").mkdir()
    (pod.root / "secret" / "username").write_text("me")
    (pod.root / "secret" / "password").write_text("pass")
    assert pod.fetch(secret="files")[0] == result.EXIT_FOUND
    assert pod.held.asked[0].authorization == "Basic bWU6cGFzcw=="


def test_a_hub_in_trouble_is_asked_again(pod: Pod) -> None:
    pod.held.answers = [(503, {}), (429, {"Retry-After": "3"})]
    assert pod.fetch()[0] == result.EXIT_FOUND
    assert pod.pauses == [0.75, 3.5]


def test_what_is_no_hub_is_said(pod: Pod) -> None:
    pod.held.answers = [(200, {})] * 20
    code, said = pod.fetch()
    assert (code, said.reason) == (result.EXIT_PASSING, Reason.SOURCE_FAILING)
    assert "does not answer like a model hub" in said.message


def through(monkeypatch: pytest.MonkeyPatch, proxy: str, past: str = "") -> None:
    """The environment as the Job's pod has it."""
    for name in ("no_proxy", "https_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    if past:
        monkeypatch.setenv("NO_PROXY", past)


def test_everything_goes_through_the_proxy_but_what_is_excepted(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    port = pod.endpoint.rpartition(":")[2]
    with tunnelling() as (proxy, asked):
        through(monkeypatch, f"http://127.0.0.1:{proxy}", past="localhost")
        assert pod.fetch()[0] == result.EXIT_FOUND
    assert set(asked) == {f"127.0.0.1:{port}"}, "the other host is excepted"
    with tunnelling() as (proxy, asked):
        through(monkeypatch, f"http://127.0.0.1:{proxy}")
        (pod.folder / "model.gguf").unlink()
        assert pod.fetch()[0] == result.EXIT_FOUND
    assert set(asked) == {f"127.0.0.1:{port}", f"localhost:{port}"}


def test_a_proxy_that_is_down_is_named(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    through(monkeypatch, "http://127.0.0.1:1")
    code, said = pod.fetch()
    assert (code, said.reason) == (result.EXIT_PASSING, Reason.SOURCE_UNREACHABLE)
    assert "through the proxy 127.0.0.1:1" in said.message
    assert pod.held.asked == []
