"""The ecosystem's API conventions, enforced by a walk over the generated schemas."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from smallmodel_operator.api.schema import KINDS, KindInfo, definition
from smallmodel_operator.api.schema import schema as of_kind

Node = dict[str, Any]
ABBREVIATIONS = re.compile(r"(Ms|Secs|Sec|Mins|Num|Cfg|Desc|Msg)$")


def _walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from _walk(inner, f"{path}.{name}")
    if "items" in node:
        yield from _walk(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _walk(node["additionalProperties"], f"{path}{{}}")


schema = cache(of_kind)
"""It is only read here, and deriving it takes longest."""


def _fields(info: KindInfo) -> list[tuple[str, Node]]:
    found = [(path, node) for path, node in _walk(schema(info)) if path and not path.startswith(".metadata")]
    assert len(found) > 10
    return found


# A loop each, and no test for each of a thousand fields: these took longer to be told apart than to run.


@pytest.mark.parametrize("info", KINDS, ids=lambda i: i.kind)
def test_fields(info: KindInfo) -> None:
    for path, node in _fields(info):
        _field(path, node)


def _field(path: str, node: Node) -> None:
    name = re.sub(r"(\[\]|\{\})$", "", path.rpartition(".")[2])
    assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name), f"{path}: camelCase"
    assert not ABBREVIATIONS.search(name), f"{path}: no abbreviations, units in full"
    assert node["type"] in {"string", "integer", "boolean", "object", "array"}, f"{path}: no floats"
    if not path.endswith(("[]", "{}")):
        assert node.get("description"), f"{path}: every field says what it is"
    forbidden = {"$ref", "anyOf", "oneOf", "title", "const", "nullable", "uniqueItems"} & set(node)
    assert not forbidden, f"{path}: structural"
    assert node.get("additionalProperties") is not False, path


@pytest.mark.parametrize("info", KINDS, ids=lambda i: i.kind)
def test_bounds(info: KindInfo) -> None:
    for path, node in _fields(info):
        _bounds(path, node)


def _bounds(path: str, node: Node) -> None:
    match node["type"]:
        case "string":
            assert "maxLength" in node or "enum" in node, path
        case "integer":
            assert "minimum" in node, path
            assert "maximum" in node or path.startswith(".status"), path
        case "array":
            assert "maxItems" in node, path
            assert node.get("x-kubernetes-list-type") in {"atomic", "map", "set"}, path
            if node["x-kubernetes-list-type"] == "map":
                keys = node["x-kubernetes-list-map-keys"]
                assert all(k in node["items"]["required"] for k in keys), path
        case "object":
            assert "additionalProperties" not in node or "maxProperties" in node, path


@pytest.mark.parametrize("info", KINDS, ids=lambda i: i.kind)
def test_definition(info: KindInfo) -> None:
    crd = definition(info)
    [version] = crd["spec"]["versions"]
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert names["categories"] == ["smallmodel-all"], (
        "not the plural: `kubectl get smallmodels -w` would be several kinds"
    )
    assert version["storage"]
    columns = {c["name"] for c in version["additionalPrinterColumns"]}
    assert "Age" in columns
    known = {p for p, _ in _walk(schema(info))}
    for column in version["additionalPrinterColumns"]:
        plain = re.sub(r"\[[^\]]*\]", "[]", column["jsonPath"])
        assert plain in known or plain.startswith(".metadata."), f"{column['name']} shows a field that does not exist"


def test_scale_subresource() -> None:
    [version] = definition(KINDS[0])["spec"]["versions"]
    scale = version["subresources"]["scale"]
    known = {p for p, _ in _walk(schema(KINDS[0]))}
    assert {scale["specReplicasPath"], scale["statusReplicasPath"], scale["labelSelectorPath"]} <= known
    spec = schema(KINDS[0])["properties"]["spec"]["properties"]
    assert spec["replicas"]["default"] == 1, "without a default /scale answers 500"


def test_rules_name_field_and_fix() -> None:
    for info in KINDS:
        for path, node in _walk(schema(info)):
            for rule in node.get("x-kubernetes-validations", []):
                assert "`" in rule["message"], f"{path}: fields stand in back-quotes"
                assert len(rule["message"]) > 40, f"{path}: says what to do"
                assert re.search(r"must|required", rule["message"])
