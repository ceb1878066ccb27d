"""What is generated is committed and current; what was released stays compatible."""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import generate
from hack.cluster.paths import REPOSITORY
from hack.generate import files

from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import KINDS, schema, strict_errors

SNAPSHOT = Path(__file__).with_name("compat-v1alpha1.json")
SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))


def test_committed_files_are_current() -> None:
    """In one test: all of them are made together, and that takes longest."""
    stale = [str(path) for path, made in sorted(files().items()) if (REPOSITORY / path).read_text() != made]
    assert stale == [], "run `make generate`"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_sample_is_accepted(path: Path) -> None:
    obj = yaml.safe_load(path.read_text())
    assert strict_errors(obj) == []
    assert violations(obj) == []


def test_there_is_a_full_sample_of_each_kind() -> None:
    """Every spec field is set in a sample, so that a removed field breaks one. Fields may exclude each other."""
    samples = [yaml.safe_load(p.read_text()) for p in SAMPLES]
    for info in KINDS:
        used = {path for o in samples if o["kind"] == info.kind for path in _used(o["spec"])}
        missing = set(_paths(schema(info)["properties"]["spec"])) - used
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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["properties"].pop("suspend"), ".suspend: removed"),
        (lambda s: s["required"].append("replicas"), "newly required ['replicas']"),
        (lambda s: s["properties"]["replicas"].update(maximum=10), ".replicas: narrower maximum"),
        (lambda s: s["properties"]["suspend"].update(type="string"), ".suspend: another type"),
        (lambda s: s["properties"]["source"]["properties"]["uri"].update(enum=["x"]), ".uri: new enum"),
        (lambda s: s["properties"]["scaling"]["properties"]["mode"].update(enum=["Off"]), ".mode: narrower enum"),
    ],
)
def test_the_differ_sees_it(change: Callable[[dict[str, Any]], object], says: str) -> None:
    old = schema(KINDS[0])["properties"]["spec"]
    new = copy.deepcopy(old)
    change(new)
    [problem] = _incompatible(old, new, "spec")
    assert says in problem


def test_check_fails_when_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "REPOSITORY", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 1
    monkeypatch.setattr(sys, "argv", ["generate"])
    assert generate.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 0
    (tmp_path / "crds/kustomization.yaml").write_text("edited by hand\n")
    assert generate.main() == 1


def _incompatible(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[str]:
    if set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{path}: newly required {sorted(set(new['required']) - set(old.get('required', [])))}"
    if "enum" in old and not set(old["enum"]) <= set(new.get("enum", old["enum"])):
        yield f"{path}: narrower enum"
    if old.get("type") != new.get("type"):
        yield f"{path}: another type"
    if "enum" in new and "enum" not in old:
        yield f"{path}: new enum"
    yield from _narrower(old, new, path)
    for name, inner in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{path}.{name}: removed"
        else:
            yield from _incompatible(inner, new["properties"][name], f"{path}.{name}")
    if "items" in old:
        yield from _incompatible(old["items"], new.get("items", {}), f"{path}[]")


def _narrower(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[str]:
    for bound in ("maxLength", "maximum", "maxItems", "maxProperties"):
        if new.get(bound, inf) < old.get(bound, inf):
            yield f"{path}: narrower {bound}"
    for bound in ("minLength", "minimum", "minItems"):
        if new.get(bound, -inf) > old.get(bound, -inf):
            yield f"{path}: narrower {bound}"
