"""Rights, compared with a golden file line by line: a new right is a change somebody has to look at."""

from pathlib import Path
from typing import Any

import pytest
from tests.chart.conftest import PROFILES, Objects, Render

GOLDEN = Path(__file__).parent / "golden"
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
def test_no_wildcards_and_no_secrets(render: Render, profile: str) -> None:
    rules = [rule for o in render(profile) if o["kind"] in ("ClusterRole", "Role") for rule in o["rules"]]
    assert rules
    for rule in rules:
        assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not any(resource.split("/")[0] in ("secrets", "configmaps") for resource in rule["resources"])
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_with_named_namespaces_nothing_of_models_is_cluster_wide(render: Render) -> None:
    (role,) = [
        o for o in render("namespaced") if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "smallmodel-operator"
    ]
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"computeprofiles", "nodes"}
