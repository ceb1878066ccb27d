"""An image is copied from the distribution project's own registry over HTTPS; a fake only where that does not lie.

The copies go on where they broke off, take the manifest of the node's architecture, and leave nothing half-made.
"""

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fakes.bad_line import Line, stretched
from tests.fakes.registry import Pushed, start_registry
from tests.fakes.source_site import Held, Site, serve
from tests.unit.cli.test_fetch_weights import FILE, SIZE
from tests.unit.cli.test_unpack import tar

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights, resolve_weights, transfer
from smallmodel_operator.cli.copy_weights import Copy, copy
from smallmodel_operator.cli.inspect_weights import inspect
from smallmodel_operator.cli.progress import Board
from smallmodel_operator.core.facts import Progress, WeightsFacts
from smallmodel_operator.weights import image, result

TAR = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"
LOGIN = base64.b64encode(b"slm:pass:word").decode()
USERS = "slm:$2y$05$abcdefghijklmnopqrstuuDIEddBSuRWBBEY6g5zv60IAP5bSSfki\n"
"""That password's."""


@pytest.fixture(scope="module")
def pushed(host: str, keys: Path) -> Pushed:
    return Pushed(host, keys)


@dataclass
class Pod:
    """The Job's pod with its claim. Nobody sleeps: the pauses are noted."""

    root: Path
    keys: Path
    machine: str = "x86_64"
    path: str = ""
    stall: float = 30.0
    pauses: list[float] = field(default_factory=list)
    board: Board = field(default_factory=Board)
    shown: list[Progress] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / "claim" / "oci-x"

    @property
    def edge(self) -> transfer.Edge:
        return transfer.Edge(sleep=self.sleep, chance=lambda: 0.5, stall=self.stall)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.shown.append(self.board.progress)

    def login(self, host: str, **entry: str) -> None:
        (self.root / "secrets").mkdir(exist_ok=True)
        (self.root / "secrets" / "0.json").write_text(json.dumps({"auths": {host: entry or {"auth": LOGIN}}}))

    def copy(self, reference: str) -> tuple[int, Any]:
        message = self.root / "message"
        secrets = self.root / "secrets"
        wish = Copy(reference, self.folder, str(self.keys / "ca.crt"), secrets, self.machine)
        code = copy(
            wish, lambda: inspect(str(wish.files), self.path, "sha256:a", "", "uid-1", message_file=message), message,
            self.edge, self.board,
        )  # fmt: skip
        return code, result.decode(message.read_text())

    def refused(self, reference: str) -> result.Failure:
        _, said = self.copy(reference)
        assert isinstance(said, result.Failure), said
        return said

    def resolve(self, name: str) -> Any:
        message = self.root / "message"
        wish = fetch_weights.Download(
            image.name(name), "", "", "", ca_file=str(self.keys / "ca.crt"), credentials=str(self.root / "secrets")
        )
        resolve_weights.resolve(wish, f"oci://{name}", message, self.edge)
        return result.decode(message.read_text())

    @property
    def files(self) -> dict[str, bytes]:
        files = self.folder / "files"
        return {p.relative_to(files).as_posix(): p.read_bytes() for p in files.rglob("*") if p.is_file()}


@pytest.fixture
def pod(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    monkeypatch.setenv("no_proxy", "*")
    return Pod(tmp_path, keys)


def layered(pushed: Pushed, name: str = "bot", tag: str = "v1") -> str:
    """An image as `docker build` makes it: an archive for each step, some of it compressed."""
    first = tar(("models/old.gguf", b"old"), ("bin/sh", b"#!"))
    second = tar(("models/bot.gguf", FILE), ("models/.wh.old.gguf", b""), ("LICENSE", b"Apache-2.0"))
    return pushed.image(
        name, tag, pushed.blob(name, gzip.compress(first), f"{TAR}+gzip"), pushed.blob(name, second, TAR)
    )


def test_an_image_is_copied_once_and_described(host: str, pushed: Pushed, pod: Pod) -> None:
    digest = layered(pushed)
    code, said = pod.copy(f"{host}/bot@{digest}")
    assert code == result.EXIT_FOUND
    assert isinstance(said, WeightsFacts)
    assert (said.file, said.file_bytes, said.claim) == ("models/bot.gguf", SIZE, "uid-1")
    assert pod.files == {"models/bot.gguf": FILE, "LICENSE": b"Apache-2.0"}
    assert sorted(p.name for p in pod.folder.iterdir()) == [".lock", "copied.json", "files"]
    total = pod.board.progress.total
    assert (pod.board.progress.done, total > SIZE) == (total, True), "all layers together"
    assert pod.copy(f"127.0.0.1:1/bot@{digest}") == (code, said), "it is there: nobody is asked"


def test_an_artifact_of_plain_files_is_copied(host: str, pushed: Pushed, pod: Pod) -> None:
    layers = [
        pushed.blob("raw", FILE, "application/vnd.docker.ai.gguf.v3"),
        pushed.blob("raw", b"{}", "application/octet-stream", **{TITLE: "extra/config.json"}),
        pushed.blob("raw", b"\x80", "application/octet-stream", **{TITLE: "pytorch_model.bin"}),
    ]
    code, said = pod.copy(f"{host}/raw@{pushed.image('raw', 'v1', *layers)}")
    assert (code, said.file) == (result.EXIT_FOUND, "model.gguf")
    assert pod.files == {"model.gguf": FILE, "extra/config.json": b"{}"}


@pytest.mark.parametrize(("machine", "holds"), [("x86_64", b"{}"), ("aarch64", b"[]")])
def test_of_an_index_the_nodes_own_manifest_is_copied(
    host: str, pushed: Pushed, pod: Pod, machine: str, holds: bytes
) -> None:
    entries = []
    for architecture, config in (("arm64", b"[]"), ("amd64", b"{}")):
        blob = pushed.blob("both", tar(("m.gguf", FILE), ("config.json", config)), TAR)
        media = "application/vnd.oci.image.manifest.v1+json"
        empty = pushed.blob("both", b"{}", "application/vnd.oci.image.config.v1+json")
        made = pushed.manifest("both", architecture, {"mediaType": media, "config": empty, "layers": [blob]})
        entries.append({**made, "platform": {"os": "linux", "architecture": architecture}})
    index = pushed.manifest("both", "v1", {"mediaType": INDEX, "manifests": entries})
    pod.machine = machine
    assert pod.copy(f"{host}/both@{index['digest']}")[0] == result.EXIT_FOUND
    assert pod.files["config.json"] == holds
    pod.machine, pod.root = "s390x", pod.root / "other"
    pod.root.mkdir()
    assert pod.refused(f"{host}/both@{index['digest']}").reason is Reason.WEIGHTS_NOT_FOUND


def test_a_copy_goes_on_where_the_line_broke_and_where_another_pod_ended(host: str, pushed: Pushed, pod: Pod) -> None:
    digest = layered(pushed)
    line = Line(int(host.rpartition(":")[2]), drop_bytes=SIZE // 3)
    with stretched(line) as port:
        assert pod.copy(f"127.0.0.1:{port}/bot@{digest}")[0] == result.EXIT_FOUND
    assert line.drops >= 2
    assert line.delivered < SIZE * 1.5, "nothing came twice"
    assert pod.files["models/bot.gguf"] == FILE


def test_what_an_earlier_pod_left_is_not_asked_for_again(host: str, pushed: Pushed, pod: Pod) -> None:
    """Its first layer is unpacked; of the second there is half, and a file that a broken unpacking left."""
    digest = layered(pushed)
    second = tar(("models/bot.gguf", FILE), ("models/.wh.old.gguf", b""), ("LICENSE", b"Apache-2.0"))
    blobs, models = pod.folder / "blobs", pod.folder / "files" / "models"
    blobs.mkdir(parents=True)
    models.mkdir(parents=True)
    (pod.folder / "copied.json").write_text('{"layers": 1, "whole": false, "pickle": ""}')
    (models / "old.gguf").write_bytes(b"old")
    (models / "bot.gguf").write_bytes(FILE[:99])
    (blobs / f"{hashlib.sha256(second).hexdigest()}.part").write_bytes(second[: SIZE // 2])
    line = Line(int(host.rpartition(":")[2]))
    with stretched(line) as port:
        assert pod.copy(f"127.0.0.1:{port}/bot@{digest}")[0] == result.EXIT_FOUND
    assert line.delivered < SIZE * 0.7
    assert pod.files == {"models/bot.gguf": FILE, "LICENSE": b"Apache-2.0"}


def test_an_image_of_pickles_is_refused_for_what_it_holds(host: str, pushed: Pushed, pod: Pod) -> None:
    blob = pushed.blob("pickled", tar(("pytorch_model.bin", b"\x80"), ("config.json", b"{}")), TAR)
    said = pod.refused(f"{host}/pickled@{pushed.image('pickled', 'v1', blob)}")
    assert (said.reason, "pytorch_model.bin" in said.message) == (Reason.UNSAFE_FORMAT, True)


def test_an_image_that_is_not_there_and_a_registry_that_is_down(host: str, pod: Pod) -> None:
    said = pod.refused(f"{host}/none@sha256:{'5' * 64}")
    assert said.reason is Reason.SOURCE_NOT_FOUND
    assert "the registry has no such image" in said.message
    down = pod.refused(f"127.0.0.1:1/bot@sha256:{'5' * 64}")
    assert (down.reason, down.passing) == (Reason.SOURCE_UNREACHABLE, True)
    assert not pod.files


def test_an_authority_nobody_trusts(host: str, pod: Pod, tmp_path: Path) -> None:
    pod.keys = tmp_path
    assert pod.refused(f"{host}/bot@sha256:{'5' * 64}").reason is Reason.SOURCE_UNTRUSTED


def test_a_claim_without_room_says_how_much_it_takes(
    host: str, pushed: Pushed, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = layered(pushed)
    usage = shutil.disk_usage(pod.root)._replace(free=transfer.KEEP_FREE + SIZE * 3 // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    said = pod.refused(f"{host}/bot@{digest}")
    assert said.reason is Reason.CLAIM_FULL
    assert said.needed_bytes > 2 * SIZE, "the archive lies beside what is in it"


def test_a_registry_with_a_password(keys: Path, pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(USERS)
    process, host = start_registry(tmp_path, f"auth: {{htpasswd: {{realm: x, path: {tmp_path / 'users'}}}}}", keys)
    try:
        reference = f"{host}/bot@{layered(Pushed(host, keys, LOGIN))}"
        said = pod.refused(reference)
        assert said.reason is Reason.SOURCE_UNAUTHORIZED
        assert "imagePullSecrets" in said.message
        pod.login(host, auth=base64.b64encode(b"slm:wrong").decode())
        assert pod.refused(reference).reason is Reason.SOURCE_UNAUTHORIZED
        pod.login(host, identitytoken="x")
        assert pod.refused(reference).reason is Reason.SECRET_INVALID
        pod.login(host)
        assert pod.copy(reference)[0] == result.EXIT_FOUND
        assert pod.resolve(f"{host}/bot:v1").uri == f"oci://{reference}"
    finally:
        process.kill()
        process.wait()


def test_a_tag_is_the_digest_it_is_now_and_what_was_frozen_stays(host: str, pushed: Pushed, pod: Pod) -> None:
    digest = layered(pushed, "moves")
    frozen = pod.resolve(f"{host}/moves:v1")
    assert frozen == result.Pinned(f"oci://{host}/moves@{digest}", "")
    other = pushed.image("moves", "v1", pushed.blob("moves", tar(("new.gguf", FILE)), TAR))
    assert pod.resolve(f"{host}/moves:v1").uri == f"oci://{host}/moves@{other}"
    assert pod.copy(frozen.uri.removeprefix("oci://"))[1].file == "models/bot.gguf"
    gone = pod.resolve(f"{host}/moves:v2")
    assert gone.reason is Reason.SOURCE_NOT_FOUND


class Lying(Site):
    """A registry that speaks the wire format and behaves as the repository's name says."""

    manifest: ClassVar[bytes] = b""
    blob: ClassVar[bytes] = b""
    tokens: ClassVar[list[str]] = []
    """Given out, in turn; the last one counts."""

    def do_GET(self) -> None:
        parts, shown = urlsplit(self.path), self.headers.get("Authorization", "")
        self.held.asked.append(parts.path)  # type: ignore[arg-type]
        if parts.path == "/token":
            return self._token(parse_qs(parts.query), shown)
        how, kind = parts.path.split("/")[2:4]
        if how == "token" and (not self.tokens or shown != f"Bearer {self.tokens[-1]}"):
            realm = f'Bearer realm="https://{self.headers["Host"]}/token",service="reg"'
            return self._status(401, {"WWW-Authenticate": realm})
        if how.isdigit():
            return self._status(int(how), {"Retry-After": "7"} if how == "429" else {})
        if how == "silent":
            self.held.silent.wait(60)
        data = self.manifest if kind == "manifests" else self.blob
        return self._give(data[:-1] + b" " if how == f"lies-{kind}" else data)

    def _token(self, query: dict[str, list[str]], shown: str) -> None:
        if shown != f"Basic {LOGIN}" or query != {"service": ["reg"], "scope": ["repository:token:pull"]}:
            return self._status(401, {})
        self.tokens.append(f"t{len(self.tokens)}")
        return self._give(json.dumps({"token": self.tokens[-1], "expires_in": 300}).encode())

    def _give(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def liar(keys: Path, pod: Pod) -> Iterator[tuple[str, str, Held, type[Lying]]]:
    """Where it listens, its image's digest, what it was asked, and itself."""
    blob = tar(("m.gguf", FILE))
    layer = {"mediaType": TAR, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}
    manifest = json.dumps({"schemaVersion": 2, "layers": [layer]}).encode()
    kind = type("OneLiar", (Lying,), {"manifest": manifest, "blob": blob, "tokens": []})
    with serve(keys, pod.root / "none", kind) as (port, held):
        yield f"127.0.0.1:{port}", f"sha256:{hashlib.sha256(manifest).hexdigest()}", held, kind


Liar = tuple[str, str, Held, type[Lying]]


@pytest.mark.parametrize("what", ["lies-manifests", "lies-blobs"])
def test_other_bytes_than_the_digest_names_are_never_used(liar: Liar, pod: Pod, what: str) -> None:
    said = pod.refused(f"{liar[0]}/{what}@{liar[1]}")
    assert said.reason is Reason.DIGEST_MISMATCH
    assert "nothing of them was used" in said.message
    assert not pod.files
    assert not list(pod.folder.glob("blobs/*"))


@pytest.mark.parametrize(
    ("status", "reason", "passing"),
    [
        (401, Reason.SOURCE_UNAUTHORIZED, False), (403, Reason.SOURCE_FORBIDDEN, False),
        (404, Reason.SOURCE_NOT_FOUND, False), (429, Reason.SOURCE_RATE_LIMITED, True),
        (500, Reason.SOURCE_FAILING, True), (503, Reason.SOURCE_FAILING, True),
    ],
)  # fmt: skip
def test_each_refusal_has_its_own_reason(liar: Liar, pod: Pod, status: int, reason: Reason, passing: bool) -> None:
    said = pod.refused(f"{liar[0]}/{status}@{liar[1]}")
    assert (said.reason, said.passing) == (reason, passing)
    assert liar[0] in said.message
    assert bool(pod.pauses) == passing, "asked again only where it helps"
    assert all(pause >= 7 for pause in pod.pauses) or status != 429


def test_a_silent_registry_is_given_up(liar: Liar, pod: Pod) -> None:
    pod.stall = 0.05
    assert pod.refused(f"{liar[0]}/silent@{liar[1]}").reason is Reason.SOURCE_STALLED


def test_a_token_is_asked_for_with_the_pull_secret_and_renewed(liar: Liar, pod: Pod) -> None:
    host, digest, _, kind = liar
    assert pod.refused(f"{host}/token@{digest}").reason is Reason.SOURCE_UNAUTHORIZED
    assert not kind.tokens
    pod.login(host)
    assert pod.copy(f"{host}/token@{digest}")[0] == result.EXIT_FOUND
    assert len(kind.tokens) == 1, "one for all of it"


def test_a_token_that_ends_early_is_asked_for_anew(liar: Liar, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    host, digest, _, kind = liar
    pod.login(host)
    give = kind._give

    def revoke(self: Lying, data: bytes) -> None:
        give(self, data)
        if data == kind.manifest:
            kind.tokens.append("revoked")

    monkeypatch.setattr(kind, "_give", revoke)
    assert pod.copy(f"{host}/token@{digest}")[0] == result.EXIT_FOUND
    assert kind.tokens == ["t0", "revoked", "t2"]


def test_a_token_from_a_port_no_policy_opens_is_not_waited_for(
    liar: Liar, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(self: Lying) -> None:
        self._status(401, {"WWW-Authenticate": 'Bearer realm="https://auth.test:8443/token"'})

    monkeypatch.setattr(liar[3], "do_GET", elsewhere)
    said = pod.refused(f"{liar[0]}/token@{liar[1]}")
    assert (said.reason, "port 8443 of auth.test" in said.message) == (Reason.DOWNLOAD_FAILED, True)
