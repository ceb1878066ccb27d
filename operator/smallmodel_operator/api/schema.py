"""pydantic models -> structural OpenAPI v3 schemas and CustomResourceDefinitions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from smallmodel_operator.api.change_rules import ALL_RULES
from smallmodel_operator.api.names import GROUP, VERSION
from smallmodel_operator.api.rule import Rule
from smallmodel_operator.api.v1alpha1.clusterboundary import ClusterBoundary
from smallmodel_operator.api.v1alpha1.common import ApiModel
from smallmodel_operator.api.v1alpha1.computeprofile import ComputeProfile
from smallmodel_operator.api.v1alpha1.modelroute import ModelRoute
from smallmodel_operator.api.v1alpha1.smallmodel import SmallModel

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KindInfo:
    """What a CRD says besides its schema. Columns are (name, type, JSON path, priority)."""

    kind: str
    plural: str
    short: str
    model: type[ApiModel]
    namespaced: bool
    columns: tuple[tuple[str, str, str, int], ...]
    selectable: tuple[str, ...] = ()
    scale: bool = False


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


KINDS: Final = (
    KindInfo(
        "SmallModel", "smallmodels", "slm", SmallModel, True,
        (
            ("Ready", "string", _condition("Ready", "status"), 0),
            ("Reason", "string", _condition("Ready", "reason"), 0),
            ("Pending", "string", ".status.pending", 0),
            ("Replicas", "integer", ".status.readyReplicas", 0),
            ("Engine", "string", ".spec.engine.name", 0),
            ("Quant", "string", ".status.weights.quantization", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
            ("Cost", "string", ".status.cost.monthToDate", 1),
            ("Profile", "string", ".spec.compute.profileRef.name", 1),
            ("Endpoint", "string", ".status.endpoint.url", 1),
            ("Message", "string", _condition("Ready", "message"), 1),
        ),
        (".spec.compute.profileRef.name", ".spec.engine.name"),
        True,
    ),
    KindInfo(
        "ComputeProfile", "computeprofiles", "cprofile", ComputeProfile, False,
        (
            ("CPU", "string", ".spec.perReplica.cpu", 0),
            ("Memory-Limit", "string", ".spec.perReplica.memoryLimit", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
            ("Images", "string", ".spec.engines[*].image", 1),
        ),
    ),
    KindInfo(
        "ClusterBoundary", "clusterboundaries", "cboundary", ClusterBoundary, False,
        (
            ("Inference", "string", ".spec.inference", 0),
            ("External", "string", ".spec.external", 0),
            ("Reason", "string", ".spec.reason", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ),
    ),
    KindInfo(
        "ModelRoute", "modelroutes", "mroute", ModelRoute, True,
        (
            ("Ready", "string", _condition("Ready", "status"), 0),
            ("Reason", "string", _condition("Ready", "reason"), 0),
            ("Pending", "string", ".status.pending", 0),
            ("Default", "string", ".spec.default", 0),
            ("Targets", "string", ".spec.targets[*].name", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
            ("Endpoint", "string", ".status.endpoint.url", 1),
            ("Message", "string", _condition("Ready", "message"), 1),
        ),
    ),
)  # fmt: skip


def definition(info: KindInfo) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(info)},
        "additionalPrinterColumns": [_column(*c) for c in info.columns],
    }
    if info.selectable:
        version["selectableFields"] = [{"jsonPath": p} for p in info.selectable]
    if "status" in version["schema"]["openAPIV3Schema"]["properties"]:
        version["subresources"] = {"status": {}}
    if info.scale:
        version["subresources"]["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    names = {
        "kind": info.kind,
        "listKind": f"{info.kind}List",
        "plural": info.plural,
        "singular": info.kind.lower(),
        "shortNames": [info.short],
        "categories": ["smallmodel-all"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{info.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if info.namespaced else "Cluster",
            "versions": [version],
        },
    }


def schema(info: KindInfo) -> Schema:
    """Structural schema of a kind, with its CEL rules."""
    raw = info.model.model_json_schema(by_alias=True)
    made = _structural(raw, raw.get("$defs", {}))
    header = {
        "apiVersion": {"type": "string", "maxLength": 128, "description": "Version of this representation."},
        "kind": {"type": "string", "maxLength": 63, "description": "Kind of this object."},
        # The bound is Kubernetes' own; CEL's cost estimate needs to be told.
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
    }
    made["properties"] = {**header, **made["properties"]}
    for rule in ALL_RULES:
        if rule.kind == info.kind:
            place = _place(made, rule.at)
            entry = {"rule": rule.cel, "message": rule.message}
            if isinstance(rule, Rule) and rule.expression:
                entry["messageExpression"] = rule.expression
            place.setdefault("x-kubernetes-validations", []).append(entry)
    return made


def strict_errors(obj: Mapping[str, Any]) -> list[str]:
    """Unknown fields and wrong types, as a strict API server reports them, one line each."""
    info = next((k for k in KINDS if k.kind == obj.get("kind")), None)
    if info is None:
        return [f"kind: {obj.get('kind')!r} is not one of {', '.join(k.kind for k in KINDS)}"]
    body = {k: v for k, v in obj.items() if k != "status"}
    found = sorted(_validator(info).iter_errors(body), key=lambda e: list(map(str, e.absolute_path)))
    return [f"{'.'.join(map(str, e.absolute_path)) or '.'}: {e.message}" for e in found]


@cache
def _validator(info: KindInfo) -> "Draft202012Validator":
    """Made once a kind, for files with many objects: deriving the schema takes longest by far."""
    from jsonschema import Draft202012Validator, validators

    checks = {"x-kubernetes-list-type": _duplicates}
    strict: Any = validators.extend(Draft202012Validator, checks)  # type: ignore[no-untyped-call]
    return cast("Draft202012Validator", strict(_closed(schema(info))))


def _duplicates(_: object, kind: str, found: Any, node: Schema) -> "Iterator[ValidationError]":
    """Elements of a list that the API server takes for the same: equal ones of a set, those of one name of a map."""
    from jsonschema import ValidationError

    if not isinstance(found, list) or kind not in ("map", "set"):
        return
    keys, seen = node.get("x-kubernetes-list-map-keys", ()), set[str]()
    for number, one in enumerate(found):
        if kind == "map" and not isinstance(one, Mapping):
            continue
        shown = json.dumps({k: one[k] for k in keys if k in one} if kind == "map" else one, sort_keys=True)
        if shown in seen:
            yield ValidationError(f"Duplicate value: {shown}", path=[number])
        seen.add(shown)


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


def _structural(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """One node without references, titles and nulls."""
    node = _resolved(node, definitions)
    made: Schema = {}
    if "const" in node:
        made["enum"] = [node["const"]]
    for key in ("type", "description", "enum", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems",
                "minimum", "maximum", "minProperties", "maxProperties", "default"):  # fmt: skip
        if key in node and not (key == "default" and node[key] is None):
            made[key] = node[key]
    made.update({k: v for k, v in node.items() if k.startswith("x-kubernetes-")})
    if "properties" in node:
        made["properties"] = {k: _structural(v, definitions) for k, v in node["properties"].items()}
        if node.get("required"):
            made["required"] = sorted(node["required"])
        _default_objects(made["properties"])
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        made["items"] = _structural(node["items"], definitions)
    if "description" in made:
        made["description"] = " ".join(made["description"].split())
    return made


def _resolved(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "anyOf" in node:
        options = [o for o in node["anyOf"] if o.get("type") != "null"]
        node = {**options[0], **{k: v for k, v in node.items() if k != "anyOf"}}
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**_resolved(target, definitions), **{k: v for k, v in node.items() if k != "$ref"}}
    if "propertyNames" in node:
        node = {k: v for k, v in node.items() if k != "propertyNames"}
    return node


_NO_DEFAULT: Final = ("status", "endpoint", "weights", "memory", "latency", "tools")


def _default_objects(properties: dict[str, Schema]) -> None:
    """An optional object whose fields have defaults gets the default {}: without it theirs would not apply.

    Not `latency` and `tools`: there has to be a bound in each, and none is the default.
    """
    for name, node in properties.items():
        inner = node.get("properties")
        if inner and not node.get("required") and name not in _NO_DEFAULT:
            node["default"] = {}


def _place(root: Schema, at: str) -> Schema:
    node = root
    for part in filter(None, at.split(".")):
        name, _, many = part.partition("[")
        node = node["properties"][name]
        if many:
            node = node["items"]
    return node


def _closed(node: Schema) -> Schema:
    """The schema with unknown fields forbidden, for lint."""
    made = {k: v for k, v in node.items() if k.startswith("x-kubernetes-list-") or not k.startswith("x-kubernetes-")}
    if "properties" in made:
        made["properties"] = {k: v if k == "metadata" else _closed(v) for k, v in made["properties"].items()}
        made["additionalProperties"] = False
    if "items" in made:
        made["items"] = _closed(made["items"])
    return made
