"""ModelRoutes the API must refuse or accept."""

import copy
from typing import Any

from tests.api.objects import Case

SMALL = {"name": "small", "smallModelRef": {"name": "bot"}}
LARGE = {"name": "large", "smallModelRef": {"name": "llm", "namespace": "shared"}}


def route(*targets: dict[str, Any], name: str = "desk", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targets": copy.deepcopy(list(targets)), **copy.deepcopy(spec)},
    }


def weighing(target: dict[str, Any], weight: int) -> dict[str, Any]:
    return {**target, "weight": weight}


def choosing(
    match: dict[str, Any], target: str = "large", ref: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A route with one rule; `ref`: of the classifier's ConfigMap."""
    classifier = {} if ref is None else {"classifier": {"configMapRef": ref}}
    rules = [{"name": "one", "match": match, "target": target}]
    return route(SMALL, LARGE, **{"default": "small", "rules": rules, **classifier, **spec})


TASKS = {"name": "departments"}
_ONLY_ONE = "must be unset where a target has a `weight`"
_WHO = "must name the target of requests that name none"

BAD_ROUTES = (
    Case("route-name-dot", route(SMALL, name="a.b"), "use - instead: a-b", "use - instead: a-b"),
    Case("route-name-long", route(SMALL, name="a" * 46), "a Service is named after it", "a Service is named after it"),
    Case("route-of-the-gateway", route(SMALL, name="smallmodel-gateway"), "the route's would lead nowhere",
         "the route's would lead nowhere"),
    Case("route-to-nowhere", route(), "targets", "targets"),
    Case("route-default-unknown", route(SMALL, LARGE, default="larger"), "must be the name of one of", "must be the"),
    Case("route-default-and-weights", route(weighing(SMALL, 1), LARGE, default="large"), _ONLY_ONE, _ONLY_ONE),
    Case("route-neither", route(SMALL, LARGE), _WHO, _WHO),
    Case("route-weights-of-nothing", route(weighing(SMALL, 0), weighing(LARGE, 0)), _WHO, _WHO),
    Case("route-weight-below", route(weighing(SMALL, -1)), "weight", "weight"),
    Case("route-weight-beyond", route(weighing(SMALL, 1001)), "weight", "weight"),
    Case("route-target-name", route({**SMALL, "name": "a/b"}), "name", "name"),
    Case("route-without-a-model", route({"name": "small"}), "smallModelRef", "smallModelRef"),
    *(
        Case(f"route-with-{field}", route(SMALL, **{field: value}), f'unknown field "spec.{field}"', field)
        for field, value in (
            ("escalation", {"order": ["large"]}),
            ("boundary", {"external": "Denied"}),
            ("budgets", [{"per": "Route"}]),
        )
    ),
    Case("rule-to-nowhere", choosing({"requires": ["Tools"]}, "larger"), "must be the name of one of", "must be the"),
    Case("rules-without-a-default", choosing({"requires": ["Tools"]}, default=""), "must name the target", "must name"),
    Case("rules-and-weights", route(weighing(SMALL, 1), LARGE, rules=[{"name": "r", "match": {"requires": ["Tools"]},
         "target": "large"}]), "weights cannot be combined with rules", "weights cannot be combined with rules"),
    Case("rule-by-class-without-a-classifier", choosing({"taskClass": "legal"}), "must be given where a rule has",
         "must be given where a rule has"),
    Case("classifier-that-nobody-asks", choosing({"requires": ["Tools"]}, ref=TASKS), "nobody would ask it",
         "nobody would ask it"),
    Case("rule-for-everything", choosing({}), "a rule for every request", "a rule for every request"),
    Case("rule-that-requires-nothing", choosing({"requires": []}), "a rule for every request", "a rule for every"),
    Case("rule-requires-the-unknown", choosing({"requires": ["Vision"]}), "Unsupported value", "requires"),
    Case("rule-by-adapter", choosing({"adapter": "hr"}), "unknown field", "adapter"),
    Case("rule-by-deadline", choosing({"deadlineMilliseconds": 200}), "unknown field", "deadlineMilliseconds"),
    Case("rule-context-below", choosing({"contextTokensOver": 0}), "contextTokensOver", "contextTokensOver"),
    Case("classifier-of-another-namespace", choosing({"taskClass": "legal"}, ref={**TASKS, "namespace": "shared"}),
         "unknown field", "namespace"),
    Case("classifier-threshold", choosing({"taskClass": "legal"}, classifier={"configMapRef": TASKS,
         "threshold": "1.5"}), "threshold", "threshold"),
    Case("route-to-the-outside", route({**SMALL, "external": {"url": "https://api.test/v1"}}), "unknown field",
         "external"),
)  # fmt: skip

GOOD_ROUTES = (
    Case("route", route(SMALL)),
    Case("route-with-a-default", route(SMALL, LARGE, default="large")),
    Case("route-with-weights", route(weighing(SMALL, 90), weighing(LARGE, 10))),
    Case("route-one-by-name-only", route(weighing(SMALL, 1), LARGE)),
    Case("route-of-one-with-a-weight", route(weighing(SMALL, 5))),
    Case("rule-by-class", choosing({"taskClass": "human resources", "requires": ["Tools", "JsonSchema"]}, ref=TASKS)),
    Case(
        "rule-by-class-and-key",
        choosing(
            {"taskClass": "legal"}, classifier={"configMapRef": {**TASKS, "key": "tasks-2.json"}, "threshold": "0.6"}
        ),
    ),
    Case("rule-by-length", choosing({"contextTokensOver": 2000}, target="small")),
    Case("rule-for-embeddings", choosing({"requires": ["Embeddings"]})),
)
