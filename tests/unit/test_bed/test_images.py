"""`make images`: what the chart is told of images that were pushed without a cluster."""

import argparse

import pytest
from hack.install import __main__ as install
from hack.install import preflight
from hack.install.release import Placed
from hack.install.steps import InstallError


def options(**changes: object) -> argparse.Namespace:
    said = {"cluster": "current", "registry": "registry.internal/slm", "insecure_registry": False, **changes}
    return argparse.Namespace(**said)


def test_what_helm_needs_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    looked: list[str] = []
    placed = Placed("registry.internal/slm", f"sha256:{'a' * 64}", "registry.internal/slm/e@sha256:b", "r/g@sha256:c")
    monkeypatch.setattr(preflight, "check_registry", lambda registry, *, insecure: looked.append(registry))
    monkeypatch.setattr(install, "build_and_place", lambda _, registry: placed)
    install.push_images(options())
    assert looked == ["registry.internal/slm"], "what is wrong is said before anything is built"
    out = capsys.readouterr().out
    for value in (f"image.digest=sha256:{'a' * 64}", "gateway.image=r/g@sha256:c", "defaultProfile.engineImage="):
        assert f"--set-string {value}" in out


@pytest.mark.parametrize(("changes", "says"), [({"cluster": "kind"}, "leave CLUSTER out"), ({"registry": ""}, "empty")])
def test_it_pushes_to_a_registry_and_nowhere_else(changes: dict[str, str], says: str) -> None:
    with pytest.raises(InstallError, match=says):
        install.push_images(options(**changes))
