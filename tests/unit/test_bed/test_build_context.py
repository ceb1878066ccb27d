"""What images are built from is made once as long as its inputs stay, and anew as soon as one of them changes."""

import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hack.images.gateway import context
from hack.install import wheels
from hack.install.steps import ROOT, InstallError


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of few files, with a dist folder of its own."""
    root = tmp_path / "checkout"
    (root / wheels.PACKAGE / "core").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", f"{wheels.PACKAGE}/core/model.py"):
        (root / name).write_text(f"{name}\n")
    monkeypatch.setattr(wheels, "ROOT", root)
    monkeypatch.setattr(wheels, "DIST", root / "dist")
    monkeypatch.setattr(context, "DIST", root / "dist")
    return root


@pytest.fixture
def builds(sources: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each build of our wheel was made from; the wheel is the source itself."""
    made: list[str] = []

    def build(folder: Path) -> None:
        made.append((sources / wheels.PACKAGE / "core" / "model.py").read_text())
        folder.mkdir()
        (folder / "ours.whl").write_text(made[-1])

    monkeypatch.setattr(wheels, "_build_own", build)
    return made


def _add(root: Path) -> None:
    (root / wheels.PACKAGE / "new.json").write_text("")


def _change(root: Path) -> None:
    (root / wheels.PACKAGE / "core" / "model.py").write_text("another\n")


def _rename(root: Path) -> None:
    file = root / wheels.PACKAGE / "core" / "model.py"
    file.rename(file.with_name("models.py"))


def _make_executable(root: Path) -> None:
    (root / wheels.PACKAGE / "core" / "model.py").chmod(0o755)


def _describe(root: Path) -> None:
    (root / "pyproject.toml").write_text("another\n")


@pytest.mark.parametrize("change", [_add, _change, _rename, _make_executable, _describe])
def test_every_input_of_our_wheel_is_in_its_key(sources: Path, change: Callable[[Path], None]) -> None:
    before = wheels.own_key()
    assert wheels.own_key() == before
    change(sources)
    assert wheels.own_key() != before


def test_bytecode_is_no_input(sources: Path) -> None:
    before = wheels.own_key()
    (sources / wheels.PACKAGE / "__pycache__").mkdir()
    (sources / wheels.PACKAGE / "__pycache__" / "model.cpython-311.pyc").write_text("")
    assert wheels.own_key() == before


def test_the_build_has_no_input_that_the_key_does_not_know() -> None:
    made = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert made["tool"]["hatch"] == {"build": {"targets": {"wheel": {"packages": [wheels.PACKAGE]}}}}
    named = {made["project"]["readme"], *made["project"]["license-files"], "pyproject.toml", ".gitignore"}
    assert "dynamic" not in made["project"]
    outside = {path.name for path in wheels.own_inputs() if not path.is_relative_to(ROOT / wheels.PACKAGE)}
    assert outside == named


def test_our_wheel_is_built_once_and_anew_after_a_change(sources: Path, builds: list[str], tmp_path: Path) -> None:
    wheels.build_own(tmp_path / "one")
    wheels.build_own(tmp_path / "two")
    assert len(builds) == 1
    assert (tmp_path / "two" / "ours.whl").read_text() == builds[0]
    _change(sources)
    wheels.build_own(tmp_path / "three")
    assert (tmp_path / "three" / "ours.whl").read_text() == "another\n"
    assert [path.name for path in (sources / "dist" / "own").iterdir() if path.is_dir()] == [wheels.own_key()]


def test_a_build_that_failed_is_not_kept(
    sources: Path, builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = wheels._build_own

    def half(folder: Path) -> None:
        good(folder)
        raise InstallError("our wheel failed")

    monkeypatch.setattr(wheels, "_build_own", half)
    with pytest.raises(InstallError):
        wheels.build_own(tmp_path / "one")
    assert not (tmp_path / "one").exists()
    monkeypatch.setattr(wheels, "_build_own", good)
    wheels.build_own(tmp_path / "one")
    assert len(builds) == 2


def test_two_at_once_build_once(builds: list[str], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(wheels.build_own, (tmp_path / "one", tmp_path / "two")))
    assert len(builds) == 1
    assert {(tmp_path / name / "ours.whl").read_text() for name in ("one", "two")} == set(builds)


@pytest.fixture
def unpacked(sources: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders wheels were unpacked into: each wheel becomes a folder with its content."""
    made: list[Path] = []

    def unpack(files: list[Path], target: Path, python: str, machine: str) -> None:
        made.append(target)
        for file in files:
            (target / file.stem / "tests").mkdir(parents=True)
            (target / file.stem / "code.py").write_text(file.read_text())
            (target / file.stem / "tests" / "test_code.py").write_text("")
        if files and files[0].read_text() == "broken":
            raise InstallError("dependencies unpacked failed")

    monkeypatch.setattr(context, "unpack", unpack)
    return made


def _placed(tmp_path: Path, name: str, content: str, pruned: tuple[str, ...] = ("**/tests",)) -> Path:
    wheel = tmp_path / "kopf.whl"
    wheel.write_text(content)
    context.place([wheel], tmp_path / name / "dependencies", "3.11", "x86_64", pruned)
    return tmp_path / name / "dependencies"


def test_wheels_are_unpacked_once(tmp_path: Path, unpacked: list[Path]) -> None:
    one, two = _placed(tmp_path, "one", "first"), _placed(tmp_path, "two", "first")
    assert len(unpacked) == 1
    for folder in (one, two):
        assert {str(p.relative_to(folder)) for p in folder.rglob("*")} == {"kopf", "kopf/code.py"}, "pruned"


def test_another_wheel_or_another_pruning_is_another_tree(tmp_path: Path, unpacked: list[Path]) -> None:
    _placed(tmp_path, "one", "first")
    assert (_placed(tmp_path, "two", "second") / "kopf" / "code.py").read_text() == "second"
    assert (_placed(tmp_path, "three", "second", ()) / "kopf" / "tests" / "test_code.py").exists()
    assert len(unpacked) == 3


def test_what_was_interrupted_is_not_kept(sources: Path, tmp_path: Path, unpacked: list[Path]) -> None:
    with pytest.raises(InstallError):
        _placed(tmp_path, "one", "broken")
    killed = sources / "dist" / "unpacked" / ".killed" / "dependencies"
    killed.mkdir(parents=True)
    assert (_placed(tmp_path, "one", "whole") / "kopf" / "code.py").read_text() == "whole"
    assert len(list((sources / "dist" / "unpacked").iterdir())) == 1
