"""The download Job's command against a real HTTPS server with a private authority, on loopback."""

import errno
import fcntl
import hashlib
import shutil
import socket
import ssl
import urllib.request
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.bad_line import Line, stretched
from tests.fakes.gguf_file import TENSORS, build
from tests.fakes.source_site import Held, serve

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights, request, transfer
from smallmodel_operator.cli.progress import Board
from smallmodel_operator.core.facts import Progress, WeightsFacts
from smallmodel_operator.weights import download, result

HEAD = build(tensors=[*TENSORS[:-1], ("output_norm.weight", (300_000,), "F32")])
FILE = HEAD[:-1_000_000] + b"".join(i.to_bytes(4) for i in range(250_000))
"""Every place in it is different, so that a piece in the wrong place is another file."""
SHA256 = hashlib.sha256(FILE).hexdigest()
FOLDER = f"sha256-{SHA256}"
SIZE = len(FILE)


@dataclass
class Served:
    """The server, and its address."""

    port: int
    held: Held

    def url(self, path: str = "file.gguf") -> str:
        return f"https://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def site(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    file = tmp_path / "served.gguf"
    file.write_bytes(FILE)
    with serve(keys, file) as (port, held):
        yield Served(port, held)


@dataclass
class Claim:
    """A folder in the claim, and the command that fills it. Nobody sleeps: the pauses are noted."""

    root: Path
    ca_file: str = ""
    stall: float = 30.0
    pauses: list[float] = field(default_factory=list)
    board: Board = field(default_factory=Board)
    shown: list[Progress] = field(default_factory=list)
    """What somebody who asks in each pause hears."""

    def __post_init__(self) -> None:
        self.folder = self.root / FOLDER
        self.message = self.root / "termination-log"
        self.file = self.folder / "model.gguf"
        self.part = self.folder / "model.part"
        self.note = self.folder / "model.part.json"

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.shown.append(self.board.progress)

    def fetch(self, url: str, sha256: str = SHA256) -> tuple[int, Any]:
        edge = transfer.Edge(sleep=self.sleep, chance=lambda: 0.5, stall=self.stall)
        wish = fetch_weights.Download(url, sha256, str(self.folder), "sha256:a", "uid-1", self.ca_file)
        code = fetch_weights.fetch(wish, self.message, edge, self.board)
        text = self.message.read_text()
        assert len(text.encode()) <= result.MAX_BYTES
        return code, result.decode(text)

    def refused(self, url: str, sha256: str = SHA256) -> tuple[int, result.Failure]:
        code, said = self.fetch(url, sha256)
        assert isinstance(said, result.Failure)
        assert not self.file.exists(), "nothing half-made"
        return code, said

    def left(self, data: bytes) -> None:
        """What an earlier pod left."""
        self.folder.mkdir()
        self.part.write_bytes(data)


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    return Claim(tmp_path)


def test_a_download_is_checked_described_and_says_how_far_it_is(
    site: Served, claim: Claim, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = claim.fetch(site.url())
    assert code == result.EXIT_FOUND
    assert isinstance(facts, WeightsFacts)
    assert (facts.artifact, facts.file, facts.claim) == ("sha256:a", "model.gguf", "uid-1")
    assert claim.file.read_bytes() == FILE
    assert not claim.part.exists()
    assert not claim.note.exists()
    assert claim.file.stat().st_mode & 0o777 == 0o644
    assert "100 %" in capsys.readouterr().out


def test_what_is_there_is_not_fetched_again(site: Served, claim: Claim) -> None:
    claim.fetch(site.url())
    assert claim.fetch(site.url("404"))[0] == result.EXIT_FOUND
    assert len(site.held.asked) == 1


def test_a_broken_connection_is_continued_where_it_ended(site: Served, claim: Claim) -> None:
    site.held.cut = [SIZE // 2, SIZE // 4]
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert site.held.ranges == ["", f"bytes={SIZE // 2}-", f"bytes={SIZE // 2 + SIZE // 4}-"]
    assert [a.if_range for a in site.held.asked] == ["", site.held.tag, site.held.tag]
    assert site.held.sent == SIZE
    assert claim.file.read_bytes() == FILE
    assert claim.pauses == [0.375, 0.375], "a line that brings something is tried again at once"


def test_the_next_pod_goes_on_where_the_last_one_ended(site: Served, claim: Claim) -> None:
    half = SIZE // 2
    site.held.cut = [half, *[0] * download.TRIES]
    code, said = claim.refused(site.url())
    assert (code, said.reason, said.passing) == (result.EXIT_PASSING, Reason.SOURCE_UNREACHABLE, True)
    assert claim.part.stat().st_size == half
    assert sum(claim.pauses) < 200
    site.held.asked.clear()
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert [(a.range, a.if_range) for a in site.held.asked] == [(f"bytes={half}-", site.held.tag)]
    assert site.held.sent == SIZE
    assert claim.file.read_bytes() == FILE


def test_a_bad_line_costs_next_to_nothing_twice(site: Served, claim: Claim) -> None:
    """Drops, a stall and a redirect; the same with 1 GB and 200 ms is tests/unit/cli/test_bad_line.py."""
    line = Line(site.port, drop_bytes=SIZE // 5, stall_at=SIZE // 2)
    claim.stall = 3.0
    with stretched(line) as port:
        assert claim.fetch(f"https://127.0.0.1:{port}/to-other")[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE
    assert line.drops >= 4
    assert line.stalls == 1
    assert line.delivered < 1.1 * SIZE, "what is over is TLS: the file is small"


def test_a_server_without_ranges_sends_it_all_again(site: Served, claim: Claim) -> None:
    site.held.cut = [SIZE // 2]
    assert claim.fetch(site.url("no-range"))[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE


def test_a_server_without_ranges_on_a_line_that_drops_is_given_up(site: Served, claim: Claim) -> None:
    site.held.cut = [SIZE // 2] * 20
    assert claim.refused(site.url("no-range"))[0] == result.EXIT_PASSING
    assert len(site.held.asked) == 1 + download.TRIES, "to bring the same bytes again is no progress"


def test_another_etag_each_time_does_not_begin_anew(site: Served, claim: Claim) -> None:
    """Several machines behind one name give one file different ETags."""
    site.held.cut = [SIZE // 2, 0, SIZE // 4]
    assert claim.fetch(site.url("tags"))[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE
    assert site.held.sent <= SIZE + 64 * 2**10


def test_without_an_etag_it_is_continued_too(site: Served, claim: Claim) -> None:
    site.held.cut = [SIZE // 2]
    assert claim.fetch(site.url("no-tag"))[0] == result.EXIT_FOUND
    assert [a.if_range for a in site.held.asked] == ["", ""]
    assert site.held.sent == SIZE


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(site: Served, claim: Claim) -> None:
    claim.left(b"x" * 1000)
    claim.note.write_text('{"total": 2000, "tag": "\\"old\\""}')
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert site.held.ranges == ["bytes=1000-"], "the answer itself is the whole file"
    assert claim.file.read_bytes() == FILE


@pytest.mark.parametrize("note", ["", "{", "[]", '{"total": "1", "tag": 2}'])
def test_a_note_that_is_not_whole_counts_for_nothing(site: Served, claim: Claim, note: str) -> None:
    claim.left(FILE[:1000])
    claim.note.write_text(note)
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert [(a.range, a.if_range) for a in site.held.asked] == [("bytes=1000-", "")]


def test_a_complete_rest_of_an_earlier_try_is_used(site: Served, claim: Claim) -> None:
    claim.left(FILE)
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert site.held.asked == []


@pytest.mark.parametrize("left", [b"x" * 100, FILE + b"more"])
def test_a_rest_of_another_file_is_thrown_away_once(site: Served, claim: Claim, left: bytes) -> None:
    claim.left(left)
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert site.held.ranges == [f"bytes={len(left)}-", ""]
    assert claim.file.read_bytes() == FILE


def test_another_file_is_refused_with_both_sums_and_leaves_nothing(site: Served, claim: Claim) -> None:
    site.held.file.write_bytes(b"another file")
    code, said = claim.refused(site.url())
    assert (code, said.reason, said.passing) == (result.EXIT_REFUSED, Reason.DIGEST_MISMATCH, False)
    assert SHA256 in said.message
    assert hashlib.sha256(b"another file").hexdigest() in said.message
    assert not claim.part.exists()
    assert len(site.held.asked) == 1, "all of it came over one connection: there is no doubt"


def test_another_file_over_several_connections_is_fetched_twice_before_the_server_is_blamed(
    site: Served, claim: Claim
) -> None:
    site.held.file.write_bytes(FILE[:-1] + b"x")
    claim.left(FILE[:1000])
    code, said = claim.refused(site.url())
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.DIGEST_MISMATCH)
    assert site.held.ranges == ["bytes=1000-", ""]


def test_a_file_that_is_no_gguf_is_refused(site: Served, claim: Claim) -> None:
    site.held.file.write_bytes(b"another file")
    code, said = claim.fetch(site.url(), hashlib.sha256(b"another file").hexdigest())
    assert code == result.EXIT_REFUSED
    assert said.reason is Reason.WEIGHTS_INVALID


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.SOURCE_UNAUTHORIZED),
        (403, Reason.SOURCE_FORBIDDEN),
        (404, Reason.SOURCE_NOT_FOUND),
        (410, Reason.SOURCE_NOT_FOUND),
        (418, Reason.DOWNLOAD_FAILED),
    ],
)
def test_what_the_user_must_change_is_not_tried_again(site: Served, claim: Claim, status: int, reason: Reason) -> None:
    code, said = claim.refused(site.url(str(status)))
    assert (code, said.reason, said.passing) == (result.EXIT_REFUSED, reason, False)
    assert str(status) in said.message
    assert "spec.source.uri" in said.message
    assert len(site.held.asked) == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("500", Reason.SOURCE_FAILING),
        ("503", Reason.SOURCE_FAILING),
        ("408", Reason.SOURCE_FAILING),
        ("429", Reason.SOURCE_RATE_LIMITED),
    ],
)
def test_what_may_pass_is_tried_again_for_a_bounded_time(site: Served, claim: Claim, how: str, reason: Reason) -> None:
    code, said = claim.refused(site.url(how))
    assert (code, said.reason, said.passing) == (result.EXIT_PASSING, reason, True)
    assert len(site.held.asked) == download.TRIES
    assert claim.pauses == sorted(claim.pauses)
    assert sum(claim.pauses) < download.WAIT_HERE


def test_trouble_that_passes_is_gone(site: Served, claim: Claim) -> None:
    site.held.answers = [(500, {}), (502, {}), (429, {"Retry-After": "7"})]
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert claim.pauses == [0.75, 1.5, 7.5], "what the server asks for, and a little, so that not all come at once"


def test_a_server_that_asks_for_more_than_a_job_waits_is_left_alone(site: Served, claim: Claim) -> None:
    site.held.answers = [(429, {"Retry-After": "3600"})]
    code, said = claim.refused(site.url())
    assert (code, said.reason, said.after_seconds) == (result.EXIT_LATER, Reason.SOURCE_RATE_LIMITED, 3600)
    assert "3600 s" in said.message
    assert claim.pauses == []


def test_a_chunked_answer_that_is_cut_is_not_taken_for_whole(site: Served, claim: Claim) -> None:
    site.held.cut = [SIZE // 2]
    assert claim.fetch(site.url("chunked"))[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE
    assert len(site.held.asked) == 2


def test_a_server_that_goes_silent_is_asked_again_and_then_named(
    site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TRIES", 2)
    claim.stall = 2.0
    code, said = claim.refused(site.url("silent"))
    assert (code, said.reason, said.passing) == (result.EXIT_PASSING, Reason.SOURCE_STALLED, True)
    assert f"127.0.0.1:{site.port}" in said.message
    assert len(site.held.asked) == 2


def test_redirects_are_followed_to_https_only(site: Served, claim: Claim) -> None:
    code, said = claim.refused(site.url("to-http"))
    assert code == result.EXIT_REFUSED
    assert "not https" in said.message
    assert "secret" not in said.message
    assert claim.fetch(site.url("to-file"))[0] == result.EXIT_FOUND


@pytest.mark.parametrize(("path", "sent_on"), [("to-file", True), ("to-other", False)])
def test_credentials_stay_with_the_host_they_are_for(site: Served, path: str, sent_on: bool) -> None:
    secret = {"Authorization": "Bearer geheim"}
    with request.open_url(request.Wanted(site.url(path), show=lambda _: secret), {}, 30) as answer:
        assert answer.status == 200
    first, second = site.held.asked
    assert first.authorization == "Bearer geheim"
    assert (second.authorization == "Bearer geheim") is sent_on
    assert (second.host == first.host) is sent_on


@pytest.mark.parametrize(
    ("source", "target", "followed"),
    [
        ("https://a.example/m", "https://cdn.example/m", True),
        ("https://a.example/m", "https://cdn.example:443/m", True),
        ("https://a.example:8443/m", "https://a.example:8443/n", True),
        ("https://a.example:8443/m", "https://cdn.example/m", True),
        ("https://a.example/m", "https://cdn.example:8443/m", False),
    ],
)
def test_redirects_stay_on_ports_the_policy_lets_out(source: str, target: str, followed: bool) -> None:
    """Else the download would wait for an answer that cannot come, and not say why."""
    asked, handler = urllib.request.Request(source), request._OnlyHttps()
    if followed:
        assert handler.redirect_request(asked, None, 302, "", {}, target).full_url == target
    else:
        with pytest.raises(request.Trouble, match=r"port 8443 of cdn\.example; a download reaches the port in `spec"):
            handler.redirect_request(asked, None, 302, "", {}, target)


def test_only_https_is_fetched(site: Served, claim: Claim) -> None:
    for url in ("http://127.0.0.1/x", "file:///etc/passwd"):
        assert claim.refused(url)[0] == result.EXIT_REFUSED
    assert site.held.asked == []


def test_an_unknown_authority_names_the_way_out(site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    code, said = claim.refused(site.url())
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_UNTRUSTED)
    assert "not accepted" in said.message
    assert "ca.crt" in said.message


def test_a_private_authority_is_trusted_besides_the_public_ones(
    site: Served, claim: Claim, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    claim.ca_file = str(keys / "ca.crt")
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    public = ssl.create_default_context().cert_store_stats()["x509_ca"]
    assert request.trust(claim.ca_file).cert_store_stats()["x509_ca"] == public + 1


def test_an_authority_that_is_none_is_named(site: Served, claim: Claim) -> None:
    claim.ca_file = __file__
    assert "not a PEM certificate" in claim.refused(site.url())[1].message


def test_a_server_that_is_down(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    code, said = claim.refused("https://127.0.0.1:1/m.gguf?token=geheim")
    assert (code, said.reason) == (result.EXIT_PASSING, Reason.SOURCE_UNREACHABLE)
    assert "127.0.0.1:1" in said.message
    assert "geheim" not in said.message
    assert len(claim.pauses) == download.TRIES - 1


def test_a_full_claim_is_said_before_the_download(site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    code, said = claim.refused(site.url())
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.CLAIM_FULL)
    assert f"({SIZE} bytes)" in said.message
    assert "(1000 bytes) are free" in said.message
    assert "Enlarge" in said.message
    assert not claim.part.exists()


def test_a_claim_that_fills_up_meanwhile(site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer.os, "fsync", full)
    said = claim.refused(site.url())[1]
    assert said.reason is Reason.CLAIM_FULL
    assert "full" in said.message


def test_a_server_that_sends_for_ever_is_stopped(site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_BYTES", 1000)
    for path in ("file.gguf", "chunked"):
        code, said = claim.refused(site.url(path))
        assert code == result.EXIT_REFUSED
        assert "larger than" in said.message


def test_pods_that_want_the_same_file_fetch_it_once(site: Served, claim: Claim, tmp_path: Path) -> None:
    def fetch(number: int) -> int:
        wish = fetch_weights.Download(site.url(), SHA256, str(claim.folder), "sha256:a", "uid-1")
        return fetch_weights.fetch(wish, tmp_path / f"message-{number}")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fetch, range(4))) == {result.EXIT_FOUND}
    assert len(site.held.asked) == 1
    assert claim.file.read_bytes() == FILE


def test_whoever_asks_hears_how_far_it_is_and_what_is_in_the_way(site: Served, claim: Claim) -> None:
    half = SIZE // 2
    site.held.cut = [half, 0, 0]
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    first, second, third = claim.shown
    assert (first.done, first.total, first.reason) == (half, SIZE, ""), "one break that brought something is no news"
    assert {(s.done, s.reason) for s in (second, third)} == {(half, Reason.SOURCE_UNREACHABLE)}
    assert (claim.board.progress.done, claim.board.progress.reason) == (SIZE, "")


def test_the_command_answers_while_it_downloads(
    site: Served, claim: Claim, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch_weights, "MESSAGE_FILE", claim.message)
    wish = fetch_weights.Download(site.url(), SHA256, str(claim.folder), "sha256:a")
    assert fetch_weights.answer_and_fetch(wish, 0) == result.EXIT_FOUND
    assert claim.file.exists()
    assert "nobody can ask" not in capsys.readouterr().out


def locked(claim: Claim) -> bool:
    """Whether a pod holds the folder."""
    with (claim.folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@dataclass
class Between(Claim):
    """A claim in which something happens in the first pause."""

    happens: Callable[[], Any] = lambda: None
    held: list[bool] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.held.append(self.folder.exists() and locked(self))
        if len(self.pauses) == 1:
            self.happens()


def test_a_pod_with_another_source_is_served_while_the_first_ones_is_silent(
    site: Served, claim: Claim, tmp_path: Path
) -> None:
    """The first held the claim's folder until its Job ended, 9 to 15 minutes later."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = f"https://127.0.0.1:{silent.getsockname()[1]}/file.gguf"
        first = Between(tmp_path, stall=1.0, happens=lambda: claim.fetch(site.url()))
        code, facts = first.fetch(dead)
    assert claim.file.read_bytes() == FILE
    assert (code, isinstance(facts, WeightsFacts)) == (result.EXIT_FOUND, True), "what came is the first's, too"
    assert first.shown[0].reason == Reason.SOURCE_UNREACHABLE.value
    assert site.held.ranges == [""], "once"


def test_what_another_pod_brought_in_a_pause_is_gone_on_with(site: Served, claim: Claim, tmp_path: Path) -> None:
    def half() -> None:
        site.held.cut = [SIZE // 2, *[0] * download.TRIES]
        assert claim.fetch(site.url())[0] == result.EXIT_PASSING
        site.held.asked.clear()

    site.held.answers = [(503, {})]
    assert Between(tmp_path, happens=half).fetch(site.url())[0] == result.EXIT_FOUND
    assert site.held.ranges == [f"bytes={SIZE // 2}-"]
    assert site.held.sent == SIZE
    assert claim.file.read_bytes() == FILE


def test_the_folder_is_let_go_in_pauses_after_tries_that_brought_nothing_only(site: Served, tmp_path: Path) -> None:
    site.held.cut = [SIZE // 2, SIZE // 4, 0]
    claim = Between(tmp_path)
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert claim.held == [True, True, False], "a line that brings something, however often it breaks, goes on alone"


def test_a_folder_that_is_evicted_in_a_pause_is_made_anew(site: Served, tmp_path: Path) -> None:
    claim = Between(tmp_path)
    claim.happens = lambda: shutil.rmtree(claim.folder)
    site.held.answers = [(503, {})]
    assert claim.fetch(site.url())[0] == result.EXIT_FOUND
    assert claim.file.read_bytes() == FILE


def test_two_pods_with_sources_that_answer_bring_the_file_once(site: Served, claim: Claim, tmp_path: Path) -> None:
    others = [Claim(tmp_path / name) for name in ("a", "b")]
    for one in others:
        one.root.mkdir()
        one.folder, one.file = claim.folder, claim.file
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda one: one.fetch(site.url())[0], others))
    assert codes == [result.EXIT_FOUND] * 2
    assert site.held.ranges == [""]
