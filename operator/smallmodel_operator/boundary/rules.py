"""Rows of the table -> rules of NetworkPolicies, as plain dicts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smallmodel_operator.api.names import EGRESS
from smallmodel_operator.boundary.table import ROWS, Party, Place, Port, Row

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """From where a policy looks: the namespace of its pods, and the release's.

    In the release's own namespace its pods are selected without naming it; `release` labels tell two releases apart.
    """

    inside_release: bool
    release_namespace: str = ""
    release: tuple[tuple[str, str], ...] = ()


def ingress(party: Party, view: View, rows: Sequence[Row] = ROWS) -> list[tuple[str, Rule]]:
    """Who may come in: rules with the value of the chart each depends on (empty: none)."""
    return _rules("from", [(row, row.who) for row in rows if row.whom is party], view)


def egress(party: Party, view: View, rows: Sequence[Row] = ROWS) -> list[tuple[str, Rule]]:
    """What may be reached."""
    return _rules("to", [(row, row.whom) for row in rows if row.who is party], view)


def ports(numbers: Iterable[Port]) -> list[dict[str, Any]]:
    """As in a policy."""
    return [{"protocol": p.protocol, "port": p.number} for p in numbers]


def _rules(side: str, others: Sequence[tuple[Row, Party]], view: View) -> list[tuple[str, Rule]]:
    return [(row.when, {**_peer(side, other, view), "ports": ports(row.ports)}) for row, other in others]


def _peer(side: str, other: Party, view: View) -> Rule:
    """The other side; none where no policy can select it: then the ports alone count."""
    if other.cidr:
        return {side: [{"ipBlock": {"cidr": other.cidr}}]}
    return {side: [peer]} if (peer := dict(_selected(other, view))) else {}


def _selected(other: Party, view: View) -> Iterator[tuple[str, Any]]:
    if other.place is Place.BEYOND:
        return
    if other.place is Place.SYSTEM and not view.inside_release:
        yield "namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": view.release_namespace}}
    elif other.place is Place.EGRESS:
        yield "namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": EGRESS}}
    elif other.place is not Place.SYSTEM:
        yield "namespaceSelector", {}
    if other.labels:
        own = view.release if other.place is Place.SYSTEM else ()
        yield "podSelector", {"matchLabels": {**other.labels, **dict(own)}}
    if other.marked:
        yield "podSelector", {"matchExpressions": [{"key": other.marked, "operator": "Exists"}]}
