"""What a source that may move holds now: asked of a fake hub, or fetched from a real HTTPS server on loopback."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.hub import COMMIT, TOKEN, Hub
from tests.fakes.source_site import Held, Site, serve
from tests.unit.cli.test_fetch_weights import FILE, SHA256, SIZE

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights, transfer
from smallmodel_operator.cli.hub import Repository
from smallmodel_operator.cli.resolve_weights import resolve
from smallmodel_operator.weights import result


@dataclass
class Pod:
    """The Job's pod, its claim, and the server it is told of."""

    root: Path
    endpoint: str
    held: Held
    hub: type[Hub]
    pauses: list[float] = field(default_factory=list)

    def ask(self, where: str | Repository, sha256: str = "", secret: str = "") -> tuple[int, Any]:
        edge = transfer.Edge(sleep=self.pauses.append, chance=lambda: 0.5)
        credentials = str(self.root / "secret")
        wish = fetch_weights.Download(where, sha256, str(self.folder), "", "", "", secret, credentials)
        code = resolve(wish, "https://weights.test/m.gguf", self.root / "message", edge)
        return code, result.decode((self.root / "message").read_text())

    def file(self, path: str = "file.gguf") -> tuple[int, Any]:
        return self.ask(f"{self.endpoint}/{path}")

    def branch(self, name: str = "main", file: str = "", **more: str) -> tuple[int, Any]:
        return self.ask(Repository(self.endpoint, "org/bot", name, file), **more)

    @property
    def claim(self) -> Path:
        return self.root / "claim"

    @property
    def folder(self) -> Path:
        return self.claim / "moving-x"

    @property
    def home(self) -> Path:
        return self.claim / f"sha256-{SHA256}"


@pytest.fixture
def pod(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    file = tmp_path / "served.gguf"
    file.write_bytes(FILE)
    files = {"README.md": {"size": 10}, "bot.gguf": {"size": SIZE, "oid": SHA256}}
    hub = type("OneHub", (Hub,), {"files": files})
    with serve(keys, file, hub) as (port, held):
        yield Pod(tmp_path, f"https://127.0.0.1:{port}", held, hub)


@pytest.fixture
def site(pod: Pod, keys: Path) -> Iterator[Pod]:
    """The same with a plain web server."""
    with serve(keys, pod.held.file, Site) as (port, held):
        yield Pod(pod.root, f"https://127.0.0.1:{port}", held, pod.hub)


def test_a_branch_is_the_commit_it_is_now_and_nothing_is_fetched(pod: Pod) -> None:
    code, said = pod.branch()
    assert (code, said) == (result.EXIT_FOUND, result.Pinned(f"hf://org/bot@{COMMIT}/bot.gguf", SHA256))
    assert pod.held.asked[0].path == "/api/models/org/bot/revision/main"
    assert not [asked for asked in pod.held.asked if asked.path.startswith("/cdn/")]
    assert pod.branch(file="bot.gguf", sha256="b" * 64)[1].uri == f"hf://org/bot@{COMMIT}/bot.gguf"


def test_a_branch_there_is_not_and_a_repository_that_is_private(pod: Pod) -> None:
    code, said = pod.branch("gone")
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_NOT_FOUND)
    pod.hub.private = True
    assert pod.branch()[1].reason is Reason.SOURCE_UNAUTHORIZED
    (pod.root / "secret").mkdir()
    (pod.root / "secret" / "token").write_text(TOKEN)
    assert pod.branch(secret="hub")[0] == result.EXIT_FOUND


@pytest.mark.parametrize("said", [{}, {"sha": "main"}, {"sha": 7}, []])
def test_a_hub_that_answers_nonsense_is_asked_again_and_not_believed(pod: Pod, said: Any) -> None:
    pod.hub.revisions = {"main": said}
    code, failure = pod.branch()
    assert (code, failure.reason) == (result.EXIT_PASSING, Reason.SOURCE_FAILING)
    assert len(pod.pauses) == transfer.download.TRIES - 1


def test_a_file_is_named_by_its_bytes_and_lies_where_a_download_looks(site: Pod) -> None:
    code, said = site.file()
    assert (code, said) == (result.EXIT_FOUND, result.Pinned("https://weights.test/m.gguf", SHA256))
    assert not site.folder.exists()
    wish = fetch_weights.Download(f"{site.endpoint}/404", SHA256, str(site.home), f"sha256:{SHA256}")
    assert fetch_weights.fetch(wish, site.root / "message") == result.EXIT_FOUND, "it is there, nothing is asked"
    assert len(site.held.asked) == 1


def test_a_broken_line_goes_on_where_one_etag_says_it_is_one_file(site: Pod) -> None:
    site.held.cut = [SIZE // 2, SIZE // 4]
    assert site.file()[1].sha256 == SHA256
    assert site.held.sent < SIZE * 1.05
    assert [asked.if_range for asked in site.held.asked] == ["", '"one"', '"one"']


@pytest.mark.parametrize("path", ["no-tag.gguf", "tags.gguf", "no-range.gguf"])
def test_bytes_of_two_answers_are_never_mixed_where_nothing_says_they_are_of_one_file(site: Pod, path: str) -> None:
    """Another file of the same length takes the place of the first while it is fetched."""
    site.held.cut = [SIZE // 2]
    other = FILE[: SIZE // 2] + bytes(100) + FILE[SIZE // 2 + 100 :]
    first = site.held.file.read_bytes

    def swap(seconds: float) -> None:
        assert first() == FILE
        site.held.file.write_bytes(other)

    site.pauses = type("Swapping", (list,), {"append": staticmethod(swap)})()
    said = site.file(path)[1]
    assert said.sha256 == hashlib.sha256(other).hexdigest()


def test_what_an_earlier_pod_left_is_gone_on_with_only_by_its_etag(site: Pod) -> None:
    site.folder.mkdir(parents=True)
    (site.folder / "model.part").write_bytes(bytes(1000))
    assert site.file()[1].sha256 == SHA256
    assert site.held.ranges == [""]


def test_an_error_page_is_not_frozen(site: Pod) -> None:
    site.held.file.write_bytes(b"<html>Sorry, we are moving house.</html>")
    code, said = site.file()
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.WEIGHTS_INVALID)
    assert not list(site.claim.glob("sha256-*"))


def test_what_is_there_by_that_name_stays(site: Pod) -> None:
    site.home.mkdir(parents=True)
    (site.home / "model.gguf").write_bytes(b"the same by its name")
    assert site.file()[1].sha256 == SHA256
    assert (site.home / "model.gguf").read_bytes() == b"the same by its name"


def test_a_name_that_no_uri_can_have_is_refused(pod: Pod) -> None:
    pod.hub.files = {"bött.gguf": {"size": SIZE, "oid": SHA256}}
    code, said = pod.branch()
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.DOWNLOAD_FAILED)
    assert "cannot be named" in said.message
