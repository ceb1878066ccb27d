"""Clusters of one machine: numbers never clash, names of another cache folder are refused."""

import threading
from pathlib import Path

import pytest
from hack.cluster import registry


@pytest.fixture(autouse=True)
def _list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FILE", tmp_path / "clusters.json")
    monkeypatch.setenv("SLM_CACHE", str(tmp_path / "cache"))


def test_numbers_stay_and_differ() -> None:
    assert [registry.number(n) for n in ("a", "b", "a", "c")] == [0, 1, 0, 2]
    registry.forget("b")
    assert registry.number("d") == 1


def test_a_name_of_another_cache_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    registry.number("demo")
    monkeypatch.setenv("SLM_CACHE", str(tmp_path / "other"))
    assert registry.number("mine") == 1
    with pytest.raises(registry.Taken, match="CLUSTER_NAME"):
        registry.number("demo")


def test_the_name_of_a_cluster_whose_cache_folder_was_deleted_is_free_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry.number("other")
    registry.number("demo")
    monkeypatch.setenv("SLM_CACHE", str(tmp_path / "mine"))
    assert registry.number("demo") == 1
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("SLM_CACHE", str(tmp_path / "third"))
    with pytest.raises(registry.Taken):
        registry.number("demo")


def test_there_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST", 2)
    registry.number("a")
    registry.number("b")
    with pytest.raises(registry.Taken, match="cluster-down"):
        registry.number("c")


def test_the_second_says_that_it_waits_and_waits(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with registry.alone("demo"):
            order.append("second")

    other = threading.Thread(target=second)
    with registry.alone("demo"):
        with registry.alone("another"):
            order.append("another name is free")
        other.start()
        other.join(0.3)
        order.append("first")
    other.join(10)
    assert order == ["another name is free", "first", "second"]
    assert "'demo' is being brought up or taken down elsewhere" in capsys.readouterr().err
