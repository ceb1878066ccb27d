"""Every name the operator gives or reads: group, labels, annotations, field managers, object names."""

import hashlib
import json
from typing import Any, Final

GROUP: Final = "smallmodel.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

OPERATOR: Final = "smallmodel-operator"
"""Field manager, User-Agent and `app.kubernetes.io/managed-by` are one name (cert-manager's rule)."""

SYSTEM_NAMESPACE: Final = "smallmodel-system"
FINALIZER: Final = f"{GROUP}/finalizer"

LABEL_MODEL: Final = f"{GROUP}/model"
LABEL_ROUTE: Final = f"{GROUP}/route"
"""On what belongs to a ModelRoute; `smallmodel.dev/model` is of SmallModels only."""
LABEL_ROLE: Final = f"{GROUP}/role"
LABEL_ARTIFACT: Final = f"{GROUP}/artifact"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

ANNOTATION_INPUTS: Final = f"{GROUP}/template-inputs"
"""Hash of what the user asked for; while it stays, the pod template stays, whatever operator version runs."""
ANNOTATION_REVISION: Final = f"{GROUP}/engine-revision"
"""Number of the template builder that made this pod template; see serving/revisions.py."""
ANNOTATION_PROVE: Final = f"{GROUP}/prove"
"""On the ClusterBoundary: each gateway proves that nothing leads outside through it, and answers with this word."""

ROLE_SERVER: Final = "server"
ROLE_INSPECT: Final = "inspect"
ROLE_DOWNLOAD: Final = "download"
ROLE_EVICT: Final = "evict"
ROLE_QUANTIZE: Final = "quantize"
ROLE_CANDIDATE: Final = "candidate"
"""A new version that answers golden prompts and takes no traffic: no Service selects it."""

ROLE_RECOGNIZER: Final = "recognizer"
"""Not ours: pods of a user's program that routes ask, on RECOGNIZER_PORT."""
RECOGNIZER_PORT: Final = 3000
"""Where Presidio's analyzer listens."""

BOUNDARY: Final = "cluster"
"""Name of the one ClusterBoundary."""

GATEWAY: Final = "smallmodel-gateway"
"""Service, StatefulSet and ServiceAccount of the gateway, and the audience of tokens for it."""
RESERVED_NAMES: Final = (GATEWAY, f"{GATEWAY}-pods")
"""The gateway's two Services: a host that begins with one is the gateway itself, in whatever namespace."""
EGRESS: Final = "smallmodel-egress"
"""Namespace of the only pod with a way out that sees requests, and the name of all its objects there."""
EGRESS_PORT: Final = 10095
"""Where gateways send what may leave."""
EGRESS_HTTP_PORT: Final = 10096
"""/healthz, /readyz and /metrics of who checks passes there."""
GATEWAY_KEYS: Final = "smallmodel-gateway-keys"
"""Secret with the hashes of all callers' keys: the only one a gateway reads."""
OPERATOR_KEYS: Final = "smallmodel-operator-keys"
"""Secret with what callers' keys are made of: only the operator reads it."""
ENGINE_KEY_FILE: Final = "key"
"""Entry of Secret `<model>-engine-key`, and name of the file in the engine's pod."""

CANARY: Final = "smallmodel-canary"
"""Jobs of the canary and its policy; docs/explanation/boundary.md."""
CANARY_MODEL: Final = "smallmodel.canary"
"""The model whose pod the canary plays; names of real ones have no dots."""
LABEL_CANARY: Final = f"{GROUP}/canary"
"""Which run of the canary an object belongs to."""
LABEL_CANARY_ROLE: Final = f"{GROUP}/canary-role"
"""Whom a pod of the canary stands for."""

SPEND: Final = "smallmodel-spend"
"""ConfigMap with what was spent; the operator's alone."""
PRICES: Final = "smallmodel-prices"
"""ConfigMap with a cloud's prices, from the chart or by hand."""
PRICES_KEY: Final = "prices.yaml"
"""Its entry."""

WEIGHTS_CLAIM: Final = "smallmodel-weights"
MAX_MODEL_NAME: Final = 45
"""45 + the longest suffix (`-download-` + 8) is 63, the limit of a DNS label and a label value."""

ENGINE_PORT: Final = 8080
SERVICE_PORT: Final = 80
PROGRESS_PORT: Final = 8082
"""Where a download's pod says how far it is."""


def short_hash(value: Any) -> str:
    """First 8 hex digits of the SHA-256 of the value's canonical JSON."""
    return digest(value)[:8]


def digest(value: Any) -> str:
    """SHA-256, in hex, of the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def step_name(model: str, step: str, key: str) -> str:
    """Name of a Job of the model, `<model>-<step>-<hash8>`; `key` is whatever makes the step's work unique."""
    return f"{model}-{step}-{short_hash(key)}"


def selector(model: str) -> dict[str, str]:
    """The immutable labels a model's server pods are selected by."""
    return {LABEL_MODEL: model, LABEL_ROLE: ROLE_SERVER}


def route_labels(route: str) -> dict[str, str]:
    """Labels of every object made for a ModelRoute."""
    return {
        "app.kubernetes.io/name": "smallmodel",
        "app.kubernetes.io/instance": route,
        "app.kubernetes.io/component": "route",
        LABEL_MANAGED_BY: OPERATOR,
        LABEL_ROUTE: route,
    }


def labels(model: str, role: str) -> dict[str, str]:
    """Labels of every object made for a model. The parent's own labels are never copied."""
    return {
        "app.kubernetes.io/name": "smallmodel",
        "app.kubernetes.io/instance": model,
        "app.kubernetes.io/component": role,
        LABEL_MANAGED_BY: OPERATOR,
        LABEL_MODEL: model,
        LABEL_ROLE: role,
    }
