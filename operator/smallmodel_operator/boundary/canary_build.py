"""The canary's policies and Jobs as plain dicts.

Three pods: one that stands for a model's (under the very policy models have), one that the policy admits, one that it
does not. None has a token, all are `restricted`, none lives longer than five minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from smallmodel_operator.api.names import (
    CANARY,
    CANARY_MODEL,
    LABEL_CANARY,
    LABEL_CANARY_ROLE,
    LABEL_MANAGED_BY,
    OPERATOR,
    ROLE_SERVER,
    labels,
)
from smallmodel_operator.boundary.build import pods_policy
from smallmodel_operator.boundary.nodes import CORDONED, Toleration, united
from smallmodel_operator.boundary.rules import View, egress, ingress
from smallmodel_operator.boundary.table import CANARIES
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.pod import container_security, pod_security

LIFE_SECONDS: Final = 300
"""Longest life of a Job, pulling the image included; the operator ends it long before."""
KEEP_SECONDS: Final = 600
"""Ended Jobs of an operator that died are removed after this long."""
CONTAINER: Final = "canary"


class Role(StrEnum):
    """Whom a pod of the canary stands for."""

    MODEL = "model"  # a model's pod: its policy lets nothing out, and only gateways and the operator in
    STRANGER = "stranger"  # any other pod of the cluster
    CALLER = "caller"  # one the model's policy admits; it leads the run


@dataclass(frozen=True, slots=True)
class CanaryRequest:
    """One run. `template` is the operator's own pod spec: pull secrets and tolerations are taken from it."""

    namespace: str
    image: str
    run: str
    owner: Object
    template: Object
    prefer: Sequence[tuple[str, tuple[str, ...]]] = ()
    """Where the model's pod should run, best first: (In | NotIn, names of nodes)."""
    tolerations: Sequence[Toleration] = ()
    """Those of all models together: where any of them may run the model's pod of the canary may run."""
    avoid: Sequence[str] = ()
    """Nodes on which a pod of the canary did not start: the other pods go elsewhere, if they can."""


def policies(namespace: str, owner: Object) -> tuple[dict[str, Any], ...]:
    """What the pods may do: the model's by the policy every model has, the others no more than they try."""
    view = View(inside_release=True)
    allowed: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": CANARY, "namespace": namespace, "labels": {LABEL_MANAGED_BY: OPERATOR}},
        "spec": {
            "podSelector": {"matchExpressions": [_either(Role.CALLER, Role.STRANGER)]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [rule for _, rule in ingress(CANARIES, view)],
            "egress": [rule for _, rule in egress(CANARIES, view)],
        },
    }
    made: tuple[dict[str, Any], ...] = (pods_policy(CANARY_MODEL, namespace, namespace), allowed)
    return tuple({**p, "metadata": {**p["metadata"], "ownerReferences": [_reference(owner)]}} for p in made)


def pod_labels(role: Role, run: str) -> dict[str, str]:
    """What a pod is to the policies. Services and policies of the chart select by its release too, so never these."""
    marks = {"app.kubernetes.io/name": CANARY, "app.kubernetes.io/component": "canary"}
    if role is Role.MODEL:
        marks = labels(CANARY_MODEL, ROLE_SERVER)
    elif role is Role.CALLER:
        marks |= admitted(pods_policy(CANARY_MODEL, "", ""))
    return {**marks, LABEL_CANARY: run, LABEL_CANARY_ROLE: role.value}


def admitted(policy: Object) -> dict[str, str]:
    """Labels by which a policy's first rule lets a pod in: read from it, so that the caller is whom models admit."""
    selector = policy["spec"]["ingress"][0]["from"][0]["podSelector"]
    terms = selector.get("matchExpressions") or ()
    return {
        **(selector.get("matchLabels") or {}),
        **{term["key"]: term["values"][-1] for term in terms if term["operator"] == "In"},
    }


def _either(*roles: Role) -> dict[str, Any]:
    return {"key": LABEL_CANARY_ROLE, "operator": "In", "values": sorted(role.value for role in roles)}


def job(role: Role, request: CanaryRequest, args: Sequence[str]) -> dict[str, Any]:
    """One pod of a run, as a Job: it ends by itself, and is removed, whatever becomes of the operator."""
    marks = {"app.kubernetes.io/name": CANARY, LABEL_MANAGED_BY: OPERATOR, LABEL_CANARY: request.run}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{CANARY}-{role}-{request.run}",
            "namespace": request.namespace,
            "labels": marks,
            "ownerReferences": [_reference(request.owner)],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LIFE_SECONDS,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "template": {"metadata": {"labels": pod_labels(role, request.run)}, "spec": _pod(role, request, args)},
        },
    }


def _pod(role: Role, request: CanaryRequest, args: Sequence[str]) -> dict[str, Any]:
    container = {
        "name": CONTAINER,
        "image": request.image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "env": [{"name": "SLM_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    if secrets := request.template.get("imagePullSecrets"):
        pod["imagePullSecrets"] = secrets
    # Where models run matters, not where the operator does: its node selector stays out.
    if tolerations := united(request.template.get("tolerations") or (), *_of_models(role, request)):
        pod["tolerations"] = tolerations
    if wishes := _wishes(_prefer(role, request)):
        pod["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wishes}}
    return pod


def _prefer(role: Role, request: CanaryRequest) -> Sequence[tuple[str, tuple[str, ...]]]:
    if role is Role.MODEL:
        return request.prefer
    return (("NotIn", tuple(request.avoid)),) if request.avoid else ()


def _of_models(role: Role, request: CanaryRequest) -> tuple[Sequence[Toleration], ...]:
    return (request.tolerations, (CORDONED,)) if role is Role.MODEL else ()


def _wishes(prefer: Sequence[tuple[str, tuple[str, ...]]]) -> list[dict[str, Any]]:
    """By the node's name and not its label, which need not be the same."""
    terms = []
    for weight, (operator, names) in zip((100, 50, 10), prefer, strict=False):
        # A term takes one name; several of In are one wish each, several of NotIn one wish together.
        fields = [{"key": "metadata.name", "operator": operator, "values": [name]} for name in names]
        groups = [fields] if operator == "NotIn" else [[field] for field in fields]
        terms += [{"weight": weight, "preference": {"matchFields": group}} for group in groups]
    return terms


def _reference(owner: Object) -> Mapping[str, Any]:
    """The operator's Deployment: with it goes what it made."""
    meta = owner["metadata"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
