"""The checker itself can fail."""

import copy
from typing import Any

import pytest
from tests.golden.pod_security import violations

from smallmodel_operator.core.pod import container_security, pod_security

GOOD: dict[str, Any] = {
    "securityContext": pod_security(),
    "containers": [{"name": "c", "securityContext": container_security()}],
    "volumes": [{"name": "v", "image": {"reference": "x"}}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(GOOD)
    where: Any = spec
    *way, last = path.split(".")
    for step in way:
        where = where[int(step)] if step.isdigit() else where[step]
    where[last] = value
    return spec


def test_the_baseline_passes() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("hostPID", True),
        ("securityContext.runAsNonRoot", False),
        ("securityContext.runAsUser", 0),
        ("securityContext.seccompProfile", {"type": "Unconfined"}),
        ("securityContext.sysctls", [{"name": "x"}]),
        ("volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
        ("containers.0.securityContext", {}),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", True),
        ("containers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        ("containers.0.securityContext.capabilities", {"drop": ["NET_RAW"]}),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.ports", [{"hostPort": 80}]),
        ("initContainers", [{"name": "i"}]),
    ],
)
def test_each_rule_is_checked(path: str, value: Any) -> None:
    assert violations(changed(path, value)) != []
