"""Who talks to whom: the one table. Every NetworkPolicy and docs/reference/network.md are made from it.

What is not in a row is refused. A row counts on both sides: it lets the one out and lets the other let it in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from smallmodel_operator.api.names import (
    EGRESS,
    EGRESS_PORT,
    ENGINE_PORT,
    GATEWAY,
    LABEL_CANARY,
    LABEL_ROLE,
    OPERATOR,
    PROGRESS_PORT,
    RECOGNIZER_PORT,
    ROLE_CANDIDATE,
    ROLE_DOWNLOAD,
    ROLE_EVICT,
    ROLE_INSPECT,
    ROLE_QUANTIZE,
    ROLE_RECOGNIZER,
    ROLE_SERVER,
)
from smallmodel_operator.boundary.canary import KUBELET_PORT, METADATA


class Place(Enum):
    """Where a party is."""

    SYSTEM = "the release's namespace"
    MODELS = "namespaces of models"
    CLUSTER = "all namespaces"
    EGRESS = "the egress's namespace"
    BEYOND = "no pod that a policy could select"


@dataclass(frozen=True, slots=True)
class Party:
    """One who talks or listens. `labels` select its pods; `marked` is a label they have, whatever its value; `cidr` is
    where one is that is no pod and has a known address."""

    name: str
    place: Place
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    marked: str = ""
    cidr: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """One port of one protocol."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return str(self.number) if self.protocol == "TCP" else f"{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Row:
    """One who may talk to another. `when` names a value of the chart that has to be set for it."""

    who: Party
    whom: Party
    ports: tuple[Port, ...]
    why: str
    when: str = ""


_NAME: Final = "app.kubernetes.io/name"
_COMPONENT: Final = "app.kubernetes.io/component"

GATEWAYS: Final = Party("gateways", Place.SYSTEM, {_NAME: GATEWAY, _COMPONENT: "gateway"})
OPERATORS: Final = Party("operator", Place.SYSTEM, {_NAME: OPERATOR, _COMPONENT: "operator"})
RELEASE: Final = Party("uninstall hook", Place.SYSTEM, {_NAME: OPERATOR, _COMPONENT: "release"})
MODELS: Final = Party("pods of models", Place.MODELS, {LABEL_ROLE: ROLE_SERVER})
CANDIDATES: Final = Party("new versions of models", Place.MODELS, {LABEL_ROLE: ROLE_CANDIDATE})
INSPECTIONS: Final = Party("inspection Jobs", Place.MODELS, {LABEL_ROLE: ROLE_INSPECT})
QUANTIZATIONS: Final = Party("quantization Jobs", Place.MODELS, {LABEL_ROLE: ROLE_QUANTIZE})
DOWNLOADS: Final = Party("download Jobs", Place.MODELS, {LABEL_ROLE: ROLE_DOWNLOAD})
EVICTIONS: Final = Party("eviction Jobs", Place.MODELS, {LABEL_ROLE: ROLE_EVICT})
ANYBODY: Final = Party("every pod of the cluster", Place.CLUSTER)
API_SERVER: Final = Party("API server", Place.BEYOND)
DNS: Final = Party("DNS", Place.BEYOND)
PROMETHEUS: Final = Party("Prometheus", Place.BEYOND)
"""Where it is, and its port, the chart is told."""
SOURCES: Final = Party("the source of the weights", Place.BEYOND)
CANARIES: Final = Party("the canary's pods", Place.SYSTEM, marked=LABEL_CANARY)
"""But for the one in a model's place, which is a pod of a model."""
NODES: Final = Party("nodes", Place.BEYOND)
LEAVING: Final = Party("egress", Place.EGRESS, {_NAME: EGRESS, _COMPONENT: "egress"})
HOSTS: Final = Party("declared hosts", Place.BEYOND)
RECOGNIZERS: Final = Party("recognizers", Place.MODELS, {LABEL_ROLE: ROLE_RECOGNIZER})
"""Users' own pods, so their policies are theirs: what the row counts for is the gateways' side."""
CREDENTIALS: Final = Party("the cloud's metadata", Place.BEYOND, cidr=f"{METADATA[0]}/32")

PARTIES: Final = (
    GATEWAYS, OPERATORS, RELEASE, MODELS, CANDIDATES, INSPECTIONS, QUANTIZATIONS, DOWNLOADS, EVICTIONS, CANARIES,
)  # fmt: skip
"""Ours: each has policies for both directions."""

_API: Final = (Port(443), Port(6443))
_NAMES: Final = (Port(53, "UDP"), Port(53))
HTTPS: Final = Port(443)
_SCRAPED: Final = "prometheus.url"
_CANARY: Final = "boundary.canary.enabled"
_EGRESS: Final = "egress.enabled"
_RECOGNIZERS: Final = "boundary.recognizers.enabled"
_TRIED: Final = "the same attempt as a model's pod makes, by one who may"

EGRESS_ROWS: Final = (
    Row(GATEWAYS, LEAVING, (Port(EGRESS_PORT),), "requests that may leave, each with a pass", when=_EGRESS),
    Row(LEAVING, DNS, _NAMES, "finding declared hosts", when=_EGRESS),
    Row(LEAVING, HOSTS, (HTTPS,), "requests that may leave; the ports are those declared", when=_EGRESS),
)
"""Of the egress: the operator makes its policies, while some route has a target outside."""
ROWS: Final = (
    Row(ANYBODY, GATEWAYS, (Port(10080),), "requests to models; each shows a credential"),
    Row(ANYBODY, GATEWAYS, (Port(10443),), "the same over TLS", when="gateway.tls.secretName"),
    Row(GATEWAYS, MODELS, (Port(ENGINE_PORT),), "requests, with the engine's key"),
    Row(
        GATEWAYS,
        RECOGNIZERS,
        (Port(RECOGNIZER_PORT),),
        "texts of requests that may leave, if no names or health data are in them",
        when=_RECOGNIZERS,
    ),
    Row(OPERATORS, MODELS, (Port(ENGINE_PORT),), "golden prompts and how fast it is, with the engine's key"),
    Row(OPERATORS, CANDIDATES, (Port(ENGINE_PORT),), "golden prompts before they take traffic, the same way"),
    Row(GATEWAYS, GATEWAYS, (Port(10090),), "requests that wait for a model, when the own agent is gone"),
    Row(OPERATORS, GATEWAYS, (Port(10091),), "how much passes and what came of it, for sleep and objectives"),
    Row(OPERATORS, DOWNLOADS, (Port(PROGRESS_PORT),), "how far a download is"),
    Row(ANYBODY, GATEWAYS, (Port(10091),), "collecting metrics", when="metrics.service"),
    Row(ANYBODY, OPERATORS, (Port(8081),), "collecting metrics", when="metrics.service"),
    Row(GATEWAYS, API_SERVER, _API, "which models there are and where, keys, waking"),
    Row(OPERATORS, API_SERVER, _API, "its work"),
    Row(OPERATORS, PROMETHEUS, (Port(9090),), "what it has scraped of gateways, for objectives", when=_SCRAPED),
    Row(OPERATORS, DNS, _NAMES, "finding Prometheus", when=_SCRAPED),
    Row(RELEASE, API_SERVER, _API, "taking finalizers off before the chart goes"),
    Row(DOWNLOADS, DNS, _NAMES, "finding the source; not where its address is a number"),
    Row(DOWNLOADS, SOURCES, (HTTPS,), "the one file; the port is the one in `spec.source.uri`"),
    Row(CANARIES, CANARIES, (Port(ENGINE_PORT),), "trying what policies forbid, beside what they allow", when=_CANARY),
    Row(CANARIES, DNS, _NAMES, _TRIED, when=_CANARY),
    Row(CANARIES, API_SERVER, _API, _TRIED, when=_CANARY),
    Row(CANARIES, NODES, (Port(KUBELET_PORT),), _TRIED, when=_CANARY),
    Row(CANARIES, CREDENTIALS, (Port(METADATA[1]),), _TRIED, when=_CANARY),
    *EGRESS_ROWS,
)
