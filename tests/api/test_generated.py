"""What is generated is committed and current; what was released stays compatible."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.paths import REPOSITORY
from hack.generate import files

from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import KINDS, schema, strict_errors

SNAPSHOT = Path(__file__).with_name("compat-v1alpha1.json")
SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(files()), ids=str)
def test_committed_file_is_current(path: Path) -> None:
    assert (REPOSITORY / path).read_text() == files()[path], "run `make generate`"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_sample_is_accepted(path: Path) -> None:
    obj = yaml.safe_load(path.read_text())
    assert strict_errors(obj) == []
    assert violations(obj) == []


def test_there_is_a_full_sample_of_each_kind() -> None:
    """Every spec field is set in a sample, so that a removed field breaks one."""
    samples = {o["kind"]: o for o in (yaml.safe_load(p.read_text()) for p in SAMPLES)}
    for info in KINDS:
        missing = set(_paths(schema(info)["properties"]["spec"])) - set(_used(samples[info.kind]["spec"]))
        assert not missing, f"{info.kind}: {sorted(missing)}"


def _paths(node: dict[str, Any], path: str = "") -> list[str]:
    made = []
    for name, inner in node.get("properties", {}).items():
        made += [f"{path}.{name}", *_paths(inner.get("items", inner), f"{path}.{name}")]
    return made


def _used(value: Any, path: str = "") -> list[str]:
    if isinstance(value, list):
        return [p for item in value for p in _used(item, path)]
    if not isinstance(value, dict):
        return []
    return [p for k, v in value.items() for p in (f"{path}.{k}", *_used(v, f"{path}.{k}"))]


def test_compatible_with_the_release() -> None:
    """No field vanishes, no field becomes required, no enum narrows."""
    released = json.loads(SNAPSHOT.read_text())
    for info in KINDS:
        problems = list(_incompatible(released[info.kind], schema(info), info.kind))
        assert not problems, problems


def _incompatible(old: dict[str, Any], new: dict[str, Any], path: str) -> Any:
    if set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{path}: newly required {sorted(set(new['required']) - set(old.get('required', [])))}"
    if "enum" in old and not set(old["enum"]) <= set(new.get("enum", old["enum"])):
        yield f"{path}: narrower enum"
    for bound, worse in (
        ("maxLength", lambda a, b: b < a),
        ("maximum", lambda a, b: b < a),
        ("minimum", lambda a, b: b > a),
    ):
        if bound in old and bound in new and worse(old[bound], new[bound]):
            yield f"{path}: narrower {bound}"
    for name, inner in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{path}.{name}: removed"
        else:
            yield from _incompatible(inner, new["properties"][name], f"{path}.{name}")
    if "items" in old:
        yield from _incompatible(old["items"], new.get("items", {}), f"{path}[]")
