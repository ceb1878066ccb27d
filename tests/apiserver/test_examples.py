"""Every example is accepted by a real API server as it stands: nothing unknown, nothing refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FILES = [
    str(path.relative_to(EXAMPLES))
    for path in sorted(EXAMPLES.rglob("*.yaml"))
    if any("smallmodel.dev/" in line or line.startswith("kind: Pod") for line in path.read_text().splitlines())
    and "example.com/pool" not in path.name
    and "gitops/argocd" not in str(path)
    and "gitops/flux" not in str(path)
]


@pytest.mark.both_minors
@pytest.mark.parametrize("file", FILES)
def test_an_example_is_applied(plane: ControlPlane, file: str) -> None:
    text = (EXAMPLES / file).read_text()
    objects = [o for o in yaml.safe_load_all(text) if o]
    for space in {o["metadata"]["namespace"] for o in objects if o["metadata"].get("namespace")}:
        _make(plane, space)
    said = plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(objects)
    assert "warning" not in said.lower()
    # Applied again, a manifest changes nothing: the API server added no owner of our fields. All that is there is told.
    again = json.loads(plane.kubectl("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-", stdin=text))
    there = {_name(live): live for live in (again["items"] if again["kind"] == "List" else [again])}
    assert there.keys() == {_name(wanted) for wanted in objects}
    for wanted in objects:
        live = there[_name(wanted)]
        assert contains(live.get("spec", {}), wanted.get("spec", {})), f"{wanted['kind']} was changed on its way in"
    # Namespaces stay: examples may share one, and what is being left takes nothing new for a while.
    rest = yaml.safe_dump_all(o for o in objects if o["kind"] != "Namespace")
    plane.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=rest)


_MADE: set[tuple[Path, str]] = set()


def _make(plane: ControlPlane, space: str) -> None:
    """Once for all examples in it: each kubectl takes half a second of a processor."""
    if (plane.kubeconfig, space) not in _MADE:
        plane.kubectl("create", "namespace", space, check=False)
        _MADE.add((plane.kubeconfig, space))


def _name(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def contains(live: object, wanted: object) -> bool:
    """Whether everything wanted is there; a server may add defaults."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and contains(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) >= len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)


def test_all_examples_are_here() -> None:
    folders = {file.split("/")[0] for file in FILES}
    assert folders == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
