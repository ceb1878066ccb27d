"""Helm, run for real; its output parsed into objects."""

import pickle
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.binaries import BuildFailed, program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "smallmodel-operator"
PROFILES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))

Objects = list[dict[str, Any]]
Render = Callable[..., Objects]


@pytest.fixture(scope="session")
def helm() -> str:
    """The pinned Helm of the test bed; the one on the PATH where nothing can be built."""
    try:
        return program("helm")
    except BuildFailed as error:
        found = shutil.which("helm")
        if not found:
            pytest.skip(f"no helm on the PATH, and it cannot be built: {error}")
        return found


@pytest.fixture(scope="session")
def run_helm(helm: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=180)

    return run


@pytest.fixture(scope="session")
def render(run_helm: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """Objects of the chart with a values profile and further Helm arguments."""

    @cache
    def packed(profile: str, *arguments: str) -> bytes:
        """Reading its YAML, most of it the kinds' schemas, takes ten times as long as Helm's work and as unpacking."""
        values = CHART / "ci" / f"{profile}-values.yaml"
        command = ("template", "smallmodel", str(CHART), "-n", "smallmodel-system", "-f", str(values), *arguments)
        done = run_helm(*command)
        assert done.returncode == 0, done.stderr
        return pickle.dumps([found for found in yaml.load_all(done.stdout, yaml.CSafeLoader) if found])

    def objects(profile: str, *arguments: str) -> Objects:
        """The caller's own."""
        return list(pickle.loads(packed(profile, *arguments)))

    return objects


def one(objects: Objects, kind: str, name: str = "") -> dict[str, Any]:
    found = [o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"])]
    assert len(found) == 1, [(o["kind"], o["metadata"]["name"]) for o in objects]
    return found[0]
