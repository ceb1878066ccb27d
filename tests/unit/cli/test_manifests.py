"""Manifests as people write them, and what is said of those that are none."""

import io

import pytest
from tests.unit.cli.conftest import Write

from smallmodel_operator.cli.manifests import Unreadable, read


def test_documents_lists_and_empty_documents(write: Write) -> None:
    a, b = {"kind": "A", "metadata": {"name": "a"}}, {"kind": "B"}
    file = write(a, None, {"kind": "List", "items": [b, b]})
    assert [(w.rsplit("#", 1)[1], o) for w, o in read([file])] == [("1", a), ("3", b), ("3", b)]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"kind": "A"}'))
    assert list(read(["-"])) == [("-#1", {"kind": "A"})]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML"),
        ("just text", "not a Kubernetes object"),
        ("- 1", "not a Kubernetes object"),
        ("{}", "not a Kubernetes object"),
        ("kind: List\nitems: [1]", "an item is not an object"),
        ("kind: A\nmetadata: [1]", "`metadata` is not an object"),
        ("kind: A\nday: 2026-13-45", "not YAML"),
        ("kind: A\nmany: " + "1" * 5000, "not YAML"),
    ],
)
def test_what_is_no_manifest_is_named_with_its_place(
    tmp_path_factory: pytest.TempPathFactory, text: str, says: str
) -> None:
    file = tmp_path_factory.mktemp("m") / "bad.yaml"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r"bad\.yaml") as caught:
        list(read([str(file)]))
    assert says in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("m")
    with pytest.raises(Unreadable, match="No such file"):
        list(read([str(folder / "gone.yaml")]))
    (folder / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Unreadable, match="not YAML"):
        list(read([str(folder / "x")]))
