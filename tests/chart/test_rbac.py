"""Rights, compared with a golden file line by line: a new right is a change somebody has to look at."""

from pathlib import Path
from typing import Any

import pytest
from tests.chart.conftest import PROFILES, Objects, Render

from smallmodel_operator.audit.content.shards import SHARDS, secret_name

GOLDEN = Path(__file__).parent / "golden"
BUDGETS = [f"smallmodel-budgets-{number}" for number in range(4)]
CONFIG_MAPS = (
    ((), ("get",)),
    ((), ("create",)),
    (("smallmodel-spend",), ("get", "update")),
    (("smallmodel-prices",), ("get",)),
    (("smallmodel-egress",), ("get", "patch", "delete")),
    (tuple(BUDGETS), ("get",)),
    (tuple(BUDGETS), ("get", "patch")),
)
"""Golden prompts by the name a model gives; what was spent; the cloud's prices; the egress's hosts; budgets.
Never listed, never watched."""
KINDS = ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")


def lines(objects: Objects) -> list[str]:
    found = []
    for o in objects:
        if o["kind"] not in KINDS:
            continue
        where = "/".join(filter(None, (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])))
        found += [f"{where}: {rule_text(rule)}" for rule in o.get("rules", ())]
        if "roleRef" in o:
            subjects = ", ".join(f"{s['kind']} {s['namespace']}/{s['name']}" for s in o["subjects"])
            found.append(f"{where}: {o['roleRef']['kind']} {o['roleRef']['name']} to {subjects}")
    return sorted(found)


def rule_text(rule: dict[str, Any]) -> str:
    names = f" only {','.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
    return f"{','.join(rule['apiGroups']) or 'core'} {','.join(rule['resources'])}{names}: {','.join(rule['verbs'])}"


@pytest.mark.parametrize("profile", ["minimal", "namespaced"])
def test_rights_are_the_golden_ones(render: Render, profile: str) -> None:
    want = (GOLDEN / f"rbac-{profile}.txt").read_text().splitlines()
    assert lines(render(profile)) == want


@pytest.mark.parametrize("profile", PROFILES)
def test_no_wildcards_and_secrets_by_name_only(render: Render, profile: str) -> None:
    rules = [rule for o in render(profile) if o["kind"] in ("ClusterRole", "Role") for rule in o["rules"]]
    assert rules
    for rule in rules:
        assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        if "configmaps" in rule["resources"]:
            assert (tuple(rule.get("resourceNames", ())), tuple(rule["verbs"])) in CONFIG_MAPS
        if {"list", "watch"} & set(rule["verbs"]) and "secrets" in rule["resources"]:
            # A list or watch of one Secret by its name; without the name it would be all of them.
            assert rule["resourceNames"] == ["smallmodel-gateway-keys"]
            assert rule["resources"] == ["secrets"]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_with_named_namespaces_nothing_of_models_is_cluster_wide(render: Render) -> None:
    roles = [o for o in render("namespaced") if o["kind"] == "ClusterRole"]
    mine = [o for o in roles if o["metadata"]["name"].startswith(("smallmodel-operator", "smallmodel-gateway"))]
    found = {o["metadata"]["name"]: {resource for rule in o["rules"] for resource in rule["resources"]} for o in mine}
    assert found == {
        "smallmodel-operator": {"computeprofiles", "nodes", "clusterboundaries", "clusterboundaries/status"},
        "smallmodel-gateway": {"clusterboundaries", "clusterboundaries/status"},
    }


def test_a_gateway_changes_nothing_but_a_scale_what_it_counts_and_keys_of_subjects(render: Render) -> None:
    mine = [o for o in render("minimal") if "Role" in o["kind"] and o["metadata"]["name"] == "smallmodel-gateway"]
    assert {o["kind"] for o in mine} == {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    writes = [
        (resource, verb)
        for o in mine
        for rule in o.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    ]
    assert writes == [
        ("clusterboundaries/status", "patch"), ("deployments/scale", "patch"), ("secrets", "patch"),
        ("configmaps", "patch"),
    ]  # fmt: skip
    (keys,) = [r for o in mine for r in o.get("rules", ()) if "secrets" in r["resources"] and "patch" in r["verbs"]]
    assert keys["resourceNames"] == [secret_name(shard) for shard in range(SHARDS)]
    assert keys["verbs"] == ["get", "patch"], "none is made, listed or deleted"
    read = {resource for o in mine for rule in o.get("rules", ()) for resource in rule["resources"]}
    needed = {"clusterboundaries", "clusterboundaries/status", "smallmodels", "modelroutes", "endpointslices"}
    needed |= {"deployments/scale"}
    assert read == {*needed, "secrets", "configmaps"}, "nothing it does not use"
    by_name, counted = [rule for o in mine for rule in o.get("rules", ()) if "configmaps" in rule["resources"]]
    assert by_name["verbs"] == ["get"], "those a route names, and no list of them"
    assert (counted["resourceNames"], counted["verbs"]) == (BUDGETS, ["get", "patch"])


@pytest.mark.parametrize("profile", PROFILES)
def test_what_gateways_count_is_kept_and_no_upgrade_changes_it(render: Render, profile: str) -> None:
    found = [o for o in render(profile) if o["kind"] == "ConfigMap" and "-budgets-" in o["metadata"]["name"]]
    assert [o["metadata"]["name"] for o in found] == BUDGETS
    for config_map in found:
        assert config_map["metadata"]["namespace"] == "smallmodel-system"
        assert config_map["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert config_map.keys() == {"apiVersion", "kind", "metadata"}, "its data is the gateways'"
