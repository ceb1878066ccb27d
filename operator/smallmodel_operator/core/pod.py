"""The pod baseline: what Pod Security `restricted` asks of every pod we make."""

from typing import Any, Final

from smallmodel_operator.api.names import API_VERSION

USER_ID: Final = 65532


def pod_security() -> dict[str, Any]:
    """Pod-level security context. A fresh dict each time: builders may not share mutable parts."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Container-level security context."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def owner_reference(name: str, uid: str, kind: str = "SmallModel") -> dict[str, Any]:
    """Reference of a child to its owner, a SmallModel or ModelRoute: deletion of that deletes the child."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
