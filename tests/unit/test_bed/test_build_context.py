"""What images are built from is made once as long as its inputs stay; when one changes, anew and beside it."""

import os
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hack.images.gateway import context
from hack.install import kept, wheels
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


def test_our_wheel_is_built_once_and_anew_after_a_change(sources: Path, builds: list[str]) -> None:
    first = wheels.own()
    assert wheels.own() == first
    assert len(builds) == 1
    _change(sources)
    assert (wheels.own() / "ours.whl").read_text() == "another\n"
    assert (first / "ours.whl").read_text() == builds[0], "whoever was given it may still read it"


def test_what_nobody_asked_for_in_an_hour_goes_with_the_next_build(sources: Path, builds: list[str]) -> None:
    first = wheels.own()
    os.utime(first, (0, 0))
    assert wheels.own().exists(), "asked for: it is as good as new"
    _change(sources)
    wheels.own()
    assert first.exists()
    os.utime(first, (0, 0))
    _describe(sources)
    wheels.own()
    assert not first.exists()
    assert len(list((sources / "dist" / "own").glob("wheel-*"))) == 2


def test_what_is_half_removed_is_not_taken_for_whole(
    sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheels.own()
    os.utime(first, (0, 0))
    _change(sources)

    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(kept.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wheels.own()
    assert not first.exists()
    wheels.own()
    assert len([path for path in (sources / "dist" / "own").iterdir() if path.is_dir()]) == 1


def test_a_build_that_failed_is_not_kept(sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    good = wheels._build_own

    def half(folder: Path) -> None:
        good(folder)
        raise InstallError("our wheel failed")

    monkeypatch.setattr(wheels, "_build_own", half)
    with pytest.raises(InstallError):
        wheels.own()
    assert [path for path in (sources / "dist" / "own").iterdir() if path.is_dir()] == []
    monkeypatch.setattr(wheels, "_build_own", good)
    wheels.own()
    assert len(builds) == 2


def test_a_wheel_whose_sources_changed_under_it_is_not_kept(
    sources: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = wheels._build_own

    def late(folder: Path) -> None:
        good(folder)
        _change(sources)

    monkeypatch.setattr(wheels, "_build_own", late)
    with pytest.raises(InstallError, match="try again"):
        wheels.own()
    assert list((sources / "dist" / "own").glob("wheel-*")) == []


def test_two_at_once_build_once(builds: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: wheels.own(), range(2))
    assert len(builds) == 1
    assert one == two
    assert (one / "ours.whl").read_text() == builds[0]


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


def _unpacked(tmp_path: Path, content: str, pruned: tuple[str, ...] = ("**/tests",)) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir(exist_ok=True)
    (folder / "kopf.whl").write_text(content)
    return context.unpacked("dependencies", folder, "3.11", "x86_64", pruned)


def test_wheels_are_unpacked_once(tmp_path: Path, unpacked: list[Path]) -> None:
    folder = _unpacked(tmp_path, "first")
    assert _unpacked(tmp_path, "first") == folder
    assert len(unpacked) == 1
    assert {str(p.relative_to(folder)) for p in folder.rglob("*")} == {"kopf", "kopf/code.py"}, "pruned"


def test_another_wheel_or_another_pruning_is_another_tree(tmp_path: Path, unpacked: list[Path]) -> None:
    _unpacked(tmp_path, "first")
    assert (_unpacked(tmp_path, "second") / "kopf" / "code.py").read_text() == "second"
    assert (_unpacked(tmp_path, "second", ()) / "kopf" / "tests" / "test_code.py").exists()
    assert len(unpacked) == 3


def test_what_was_interrupted_is_not_kept(sources: Path, tmp_path: Path, unpacked: list[Path]) -> None:
    with pytest.raises(InstallError):
        _unpacked(tmp_path, "broken")
    killed = sources / "dist" / "unpacked" / ".killed" / "new"
    killed.mkdir(parents=True)
    assert (_unpacked(tmp_path, "whole") / "kopf" / "code.py").read_text() == "whole"
    assert len([path for path in (sources / "dist" / "unpacked").iterdir() if path.is_dir()]) == 1


@pytest.fixture
def gateway(sources: Path, builds: list[str], unpacked: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the gateway's image is made of beside our wheel; returns the file that stands for Envoy."""
    (sources / "wheels").mkdir()
    (sources / "wheels" / "kopf.whl").write_text("whole")
    for name in ("envoy", "bodies.so"):
        (sources / name).write_text(name)
    monkeypatch.setattr(wheels, "downloaded", lambda *_: sources / "wheels")
    monkeypatch.setattr(context.envoy, "binary", lambda _: sources / "envoy")
    monkeypatch.setattr(context.bodies, "library", lambda _: sources / "bodies.so")
    return sources / "envoy"


def test_a_context_of_the_gateway_stays_as_it_is_while_another_one_is_made(gateway: Path, sources: Path) -> None:
    first = context.make()
    assert context.make() == first
    assert {path.name for path in first.iterdir()} == {"envoy", "bodies.so", "dependencies", "own", "slm"}
    seen = [first]
    for change in (lambda: _change(sources), lambda: gateway.write_text("a newer one")):
        change()
        seen.append(context.make())
    assert len(set(seen)) == 3
    assert (first / "envoy").read_text() == "envoy"
    assert (seen[2] / "envoy").read_text() == "a newer one"
    assert (seen[1] / "own" / "ours" / "code.py").read_text() == "another\n"


def test_a_context_of_the_operator_stays_as_it_is_while_another_one_is_made(gateway: Path, sources: Path) -> None:
    first = wheels.fetch()
    assert wheels.fetch() == first
    _change(sources)
    second = wheels.fetch()
    assert {str(path.relative_to(first)) for path in first.rglob("*.whl")} == {
        "wheels/dependencies/kopf.whl", "wheels/own/ours.whl",
    }  # fmt: skip
    read = [(folder / "wheels" / "own" / "ours.whl").read_text() for folder in (first, second)]
    assert read[1] == "another\n" != read[0]
