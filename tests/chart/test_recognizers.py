"""`boundary.recognizers.enabled`: one way for gateways, the operator knows of it, and nobody forges where it leads."""

import json
from typing import Any

from tests.chart.conftest import Objects, Render, one

from smallmodel_operator.runtime.settings import Settings

ON = ("--set", "boundary.recognizers.enabled=true")


def ways(objects: Objects) -> list[dict[str, Any]]:
    """Of gateways, to port 3000."""
    (policy,) = [o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "smallmodel-gateway"]
    return [rule for rule in policy["spec"]["egress"] if {"protocol": "TCP", "port": 3000} in rule["ports"]]


def told(objects: Objects) -> bool:
    """What the operator makes of its environment."""
    (container,) = one(objects, "Deployment", "smallmodel-operator")["spec"]["template"]["spec"]["containers"]
    found = {e["name"]: e["value"] for e in container["env"] if e["name"] == "SLM_RECOGNIZERS"}
    return Settings(recognizers=found.get("SLM_RECOGNIZERS", "false")).recognizers


def test_by_default_there_is_nothing_of_it(render: Render) -> None:
    objects = render("minimal")
    assert ways(objects) == []
    assert not told(objects)
    assert "recognizer" not in json.dumps([o for o in objects if o["kind"] != "CustomResourceDefinition"])


def test_with_it_gateways_reach_marked_pods_and_nobody_of_a_namespace_names_them(render: Render) -> None:
    objects = render("minimal", *ON)
    marked = {"smallmodel.dev/role": "recognizer"}
    to = [{"namespaceSelector": {}, "podSelector": {"matchLabels": marked}}]
    assert ways(objects) == [{"to": to, "ports": [{"protocol": "TCP", "port": 3000}]}]
    assert told(objects)
    policy = one(objects, "ValidatingAdmissionPolicy", "smallmodel-gateway-recognizers")
    assert policy["spec"]["matchConstraints"]["objectSelector"]["matchLabels"] == marked
    binding = one(objects, "ValidatingAdmissionPolicyBinding", "smallmodel-gateway-recognizers")
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
