"""A folder of safetensors from a model hub: listed, fetched file by file, checked, described. The hub is a fake that
speaks its HTTP API.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import safetensors_folder
from tests.fakes.gguf_file import build
from tests.fakes.hub import COMMIT, FolderHub, blob
from tests.fakes.source_site import Held, serve
from tests.unit.cli.test_inspect_weights import PICKLE

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_folder, fetch_weights, transfer
from smallmodel_operator.cli.convertible_folder import sums
from smallmodel_operator.cli.hub import Repository
from smallmodel_operator.cli.progress import Board
from smallmodel_operator.cli.resolve_weights import resolve
from smallmodel_operator.core.engine import GGUF, SAFETENSORS
from smallmodel_operator.core.facts import Progress, WeightsFacts
from smallmodel_operator.weights import convertible, result
from smallmodel_operator.weights.source import EITHER

SHARDS = {
    "model-1.safetensors": {"model.embed_tokens.weight": ("BF16", (128, 64))},
    "model-2.safetensors": {"model.norm.weight": ("F32", (64,))},
}
UNWANTED = ("README.md", "pytorch_model.bin", "modeling_bot.py", "onnx/model.onnx", "old/model-9.safetensors")


def published(root: Path) -> Path:
    """A repository as publishers leave it: two shards, their index, a tokenizer, and much that nobody needs."""
    safetensors_folder.write(root)
    (root / "model.safetensors").unlink()
    (root / "consolidated.safetensors").write_bytes(safetensors_folder.file())
    for name, tensors in SHARDS.items():
        (root / name).write_bytes(safetensors_folder.file(tensors))
    index(root, *SHARDS)
    (root / "tokenizer.json").write_text("{}")
    (root / "tokenizer.model").write_bytes(b"\x0a\x01")
    for name in UNWANTED:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(PICKLE)
    return root


def index(root: Path, *names: str) -> None:
    named = {f"tensor-{n}": name for n, name in enumerate(names)}
    (root / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": named}))


class Heard(Board):
    """All that was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Progress] = []

    def tell(self, progress: Progress) -> None:
        super().tell(progress)
        self.told.append(progress)


@dataclass
class Pod:
    """The download's pod, its claim, and the hub it is told of."""

    root: Path
    endpoint: str
    held: Held
    hub: type[FolderHub]
    board: Heard = field(default_factory=Heard)

    def fetch(self, layout: str = EITHER, file: str = "", **more: Any) -> tuple[int, Any]:
        edge = transfer.Edge(sleep=lambda _: None, chance=lambda: 0.5)
        where = Repository(self.endpoint, "org/bot", more.pop("revision", COMMIT), file)
        sha256 = more.pop("sha256", "")
        wish = fetch_weights.Download(where, sha256, str(self.folder), "hf:x", "uid-1", layout=layout, **more)
        code = fetch_weights.fetch(wish, self.root / "message", edge, self.board)
        return code, result.decode((self.root / "message").read_text())

    def refused(self, reason: Reason, *words: str, **more: Any) -> None:
        code, said = self.fetch(**more)
        assert isinstance(said, result.Failure), said
        assert (code, said.reason) == (result.EXIT_REFUSED, reason)
        assert [word for word in words if word not in said.message] == [], said.message
        assert not (self.folder / "safetensors").exists()

    @property
    def folder(self) -> Path:
        return self.root / "claim" / "hf-x"

    @property
    def there(self) -> set[str]:
        return {p.name for p in (self.folder / "safetensors").iterdir()}

    @property
    def fetched(self) -> list[str]:
        """Files that were asked for, in turn."""
        begin = f"/org/bot/resolve/{COMMIT}/"
        return [a.path.removeprefix(begin) for a in self.held.asked if a.path.startswith(begin)]


@pytest.fixture
def pod(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    hub = type("OneHub", (FolderHub,), {"root": published(tmp_path / "repository"), "listed": {}})
    with serve(keys, tmp_path / "none", hub) as (port, held):
        yield Pod(tmp_path, f"https://127.0.0.1:{port}", held, hub)


def test_what_is_needed_is_fetched_checked_and_described(pod: Pod) -> None:
    code, facts = pod.fetch()
    assert isinstance(facts, WeightsFacts), facts
    assert code == result.EXIT_FOUND
    small = {"config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer.model"}
    assert pod.there == {*small, "tokenizer_config.json", *SHARDS}, "no pickle, no code, no weights twice"
    assert (facts.format, facts.file, facts.quantization) == (SAFETENSORS, "safetensors", "BF16")
    assert (facts.claim, facts.parameters) == ("uid-1", 128 * 64 + 64)
    assert facts.sha256 == convertible.digest(sums(pod.folder / "safetensors")), "as a folder in a claim is summed up"
    for line in (pod.folder / "safetensors.sha256").read_text().splitlines():
        sha256, _, name = line.partition("  ")
        assert hashlib.sha256((pod.folder / name).read_bytes()).hexdigest() == sha256
    assert not set(pod.fetched) & {*UNWANTED, "consolidated.safetensors"}
    pod.held.asked.clear()
    assert pod.fetch() == (code, facts)
    assert pod.held.asked == [], "what is there is asked of nobody"


def test_an_engine_for_safetensors_takes_the_same_folder(pod: Pod) -> None:
    _, facts = pod.fetch(SAFETENSORS)
    assert isinstance(facts, WeightsFacts)
    assert (facts.format, facts.file) == (SAFETENSORS, "safetensors")
    pod.held.asked.clear()
    assert pod.fetch(EITHER)[1].sha256 == facts.sha256
    assert pod.held.asked == []


def test_a_folder_of_the_repository(pod: Pod) -> None:
    inner = safetensors_folder.write(pod.hub.root / "v2")
    (inner / "tokenizer.json").write_text("{}")
    assert isinstance(pod.fetch(file="v2")[1], WeightsFacts)
    assert pod.there == {"config.json", "model.safetensors", "tokenizer_config.json", "tokenizer.json"}
    assert {os.path.dirname(path) for path in pod.fetched} == {"v2"}


def test_a_gguf_file_is_taken_where_there_is_one(pod: Pod) -> None:
    (pod.hub.root / "bot.gguf").write_bytes(build())
    _, facts = pod.fetch()
    assert isinstance(facts, WeightsFacts), facts
    assert (facts.format, facts.file) == (GGUF, "model.gguf")
    assert pod.fetched == ["bot.gguf"]


def test_without_a_ladder_safetensors_are_not_fetched_and_the_way_is_said(pod: Pod) -> None:
    pod.refused(Reason.WEIGHTS_NOT_FOUND, "no *.gguf", "set `spec.quantization`", layout=GGUF)
    assert pod.fetched == []


def test_progress_is_of_all_files_together(pod: Pod) -> None:
    pod.fetch()
    whole = sum(file.stat().st_size for file in (pod.folder / "safetensors").iterdir())
    told = [p for p in pod.board.told if p.total == whole]
    assert told[-1].done == whole
    assert [p.done for p in told] == sorted(p.done for p in told)


def test_a_pod_that_takes_over_goes_on_with_the_file_and_within_it(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (pod.hub.root / "model-1.safetensors").stat().st_size
    monkeypatch.setattr(fetch_weights.fetch_folder.download, "pause", lambda *_: None)
    pod.held.cut = [10**9] * len(pod.hub.entries())
    edge_of = 6  # the small files and the index come first
    pod.held.cut[edge_of - 1] = whole // 2
    code, said = pod.fetch()
    assert (code, said.reason) == (result.EXIT_PASSING, Reason.SOURCE_UNREACHABLE)
    assert pod.fetched[-1] == "model-1.safetensors"
    pod.held.cut.clear()
    pod.held.asked.clear()
    pod.board.told.clear()
    assert pod.fetch()[0] == result.EXIT_FOUND
    assert pod.fetched == ["model-1.safetensors", "model-2.safetensors"]
    ranges = [a.range for a in pod.held.asked if a.path.startswith("/cdn/model-1")]
    assert ranges == [f"bytes={whole // 2}-"]
    assert min(p.done for p in pod.board.told if p.total) >= whole // 2, "what was there counts"


def test_room_for_all_of_it_is_looked_for_before_the_first_shard(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_folder, "KEEP_FREE", 10**18)
    code, said = pod.fetch()
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.CLAIM_FULL)
    assert said.needed_bytes > 10**18
    assert pod.fetched == ["model.safetensors.index.json"]


@pytest.mark.parametrize("name", ["config.json", "model-2.safetensors", "tokenizer.model"])
def test_another_content_than_the_list_says_is_refused(pod: Pod, name: str) -> None:
    entry = pod.hub.entry(pod.hub.root / name)
    false = {"lfs": {**entry["lfs"], "oid": "b" * 64}} if "lfs" in entry else {"oid": "b" * 40}
    pod.hub.listed = {name: false}
    pod.refused(Reason.DIGEST_MISMATCH, f"`{name}`", "its own list")
    assert not (pod.folder / "safetensors.part" / name).exists()


@pytest.mark.parametrize(
    ("false", "says"),
    [
        ({"size": 7}, "two lengths"),
        ({"size": -1}, "no length"),
        ({"size": "big"}, "no length"),
        ({"lfs": {"oid": "x", "size": 7}}, "no SHA-256"),
        ({"lfs": "yes"}, "no SHA-256"),
        ({"lfs": None, "oid": "x"}, "no SHA-1"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_before_the_file(pod: Pod, false: dict[str, Any], says: str) -> None:
    pod.hub.listed = {"model-2.safetensors": false}
    pod.refused(Reason.DOWNLOAD_FAILED, "`model-2.safetensors`", says)
    assert pod.fetched == ["model.safetensors.index.json"]


@pytest.mark.parametrize("size", [3, 10**6])
def test_another_length_than_the_list_says_is_refused(pod: Pod, size: int) -> None:
    pod.hub.listed = {"config.json": {"size": size}}
    pod.refused(Reason.DOWNLOAD_FAILED, "by the hub's list", str(size))


def test_a_file_listed_twice(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = pod.hub.entries()
    monkeypatch.setattr(pod.hub, "entries", staticmethod(lambda: [*entries, entries[-1]]))
    pod.refused(Reason.DOWNLOAD_FAILED, "twice")


def test_a_shard_that_the_index_names_and_the_list_lacks(pod: Pod) -> None:
    index(pod.hub.root, *SHARDS, "model-3.safetensors")
    pod.refused(Reason.WEIGHTS_INVALID, "`model-3.safetensors`", "named by `model.safetensors.index.json`")
    assert pod.fetched == ["model.safetensors.index.json"]


def test_an_index_that_leads_out_of_the_folder(pod: Pod) -> None:
    index(pod.hub.root, "../model-1.safetensors")
    pod.refused(Reason.WEIGHTS_INVALID, "is damaged")


@pytest.mark.parametrize(
    ("gone", "reason", "says"),
    [
        (["config.json"], Reason.WEIGHTS_NOT_FOUND, "no config.json"),
        (["tokenizer.json", "tokenizer.model"], Reason.WEIGHTS_NOT_FOUND, "no tokenizer"),
    ],
)
def test_what_lacks_is_named_before_anything_is_fetched(pod: Pod, gone: list[str], reason: Reason, says: str) -> None:
    pod.hub.listed = {name: {"type": "gone"} for name in gone}
    pod.refused(reason, says)
    assert pod.fetched == []


def test_pickles_alone_are_refused_for_what_they_are(pod: Pod) -> None:
    gone = ("consolidated.safetensors", "model.safetensors.index.json", *SHARDS)
    pod.hub.listed = {name: {"type": "gone"} for name in gone}
    pod.refused(Reason.UNSAFE_FORMAT, "`pytorch_model.bin`", layout=SAFETENSORS)
    assert pod.fetched == []


def test_code_is_refused_before_the_weights_come(pod: Pod) -> None:
    config = pod.hub.root / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "x.Y"}}))
    pod.refused(Reason.WEIGHTS_INVALID, "`config.json` asks for Python code")
    assert not [name for name in pod.fetched if name.endswith(".safetensors")]


def test_a_commit_there_is_not_a_gated_and_a_private_repository(pod: Pod) -> None:
    pod.refused(Reason.SOURCE_NOT_FOUND, "no such commit", revision="f" * 40)
    pod.hub.gated = True
    pod.refused(Reason.SOURCE_FORBIDDEN, "Accept its terms")
    pod.hub.private = True
    pod.refused(Reason.SOURCE_UNAUTHORIZED, "credentialsSecretRef")


def test_what_was_found_once_is_held_when_it_is_fetched_again(pod: Pod) -> None:
    assert isinstance(pod.fetch(sha256="c" * 64)[1], result.Failure)
    _, said = pod.fetch(sha256="c" * 64)
    assert (said.reason, "A commit cannot change" in said.message) == (Reason.DIGEST_MISMATCH, True)
    _, facts = pod.fetch()
    assert pod.fetch(sha256=facts.sha256)[1] == facts


def test_a_small_file_that_was_changed_in_the_claim_is_fetched_again(pod: Pod) -> None:
    pod.fetch(sha256="c" * 64)
    left = pod.folder / "safetensors.part" / "config.json"
    left.write_bytes(left.read_bytes().replace(b"llama", b"lxama"))
    _, facts = pod.fetch()
    assert isinstance(facts, WeightsFacts)
    there, published = (folder / "config.json" for folder in (pod.folder / "safetensors", pod.hub.root))
    assert blob(there.read_bytes()) == blob(published.read_bytes())


@pytest.mark.parametrize(("layout", "file"), [(EITHER, ""), (SAFETENSORS, ""), (SAFETENSORS, "v2")])
def test_a_branch_of_a_folder_is_frozen_by_its_commit(pod: Pod, layout: str, file: str) -> None:
    where = Repository(pod.endpoint, "org/bot", "main", file)
    wish = fetch_weights.Download(where, "", str(pod.folder), "", layout=layout)
    assert resolve(wish, "hf://org/bot@main", pod.root / "message", transfer.Edge()) == result.EXIT_FOUND
    said = result.decode((pod.root / "message").read_text())
    assert said == result.Pinned(f"hf://org/bot@{COMMIT}{f'/{file}' if file else ''}", "")
    assert pod.fetched == []
