"""`spec.boundary` of a ModelRoute as values, and the labels of one of its requests. Pure.

A label is what a caller says of its request, and counts only from callers the route trusts. Everything that is not
plainly said is no label, and a request without a label stays inside.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from smallmodel_operator.routing.detect.recognizer import Recognizer
from smallmodel_operator.routing.policy import Boundary, External, Trusted

LABEL_HEADER: Final = "x-data-label"
"""Where a trusted caller says the labels of one request, separated by commas."""
MOST_SAID: Final = 1024
"""Characters of that header that are read; a longer one says nothing that counts."""
DETECTORS: Final = ("Pii", "Pci", "Secrets")
"""Of a boundary that names none; the CRD has the same default."""


def boundary(namespace: str, route: str, spec: Mapping[str, Any]) -> Boundary:
    """The boundary of a route with this `spec`, as it is in the API server; what an older object lacks has the CRD's
    default."""
    given = spec.get("boundary") or {}
    return Boundary(
        External(given.get("external", "Denied")),
        tuple(given.get("detectors", DETECTORS)),
        tuple(given.get("labels", ())),
        tuple((one["name"], one["regex"]) for one in given.get("patterns", ())),
        tuple(given.get("denyTerms", ())),
        tuple(_trusted(namespace, route, one) for one in given.get("trusted", ())),
        tuple(map(_recognizer, given.get("recognizers", ()))),
    )


def _recognizer(entry: Mapping[str, Any]) -> Recognizer:
    service = entry.get("service") or {}
    return Recognizer(
        entry["name"],
        tuple(entry["detectors"]),
        service.get("name", ""),
        (entry.get("smallModelRef") or {}).get("name", ""),
        service.get("language", "en"),
        tuple(service.get("entities", ())),
        float(service.get("minScore", "0.5")),
        int(entry.get("timeoutMilliseconds", 500)),
    )


def _trusted(namespace: str, route: str, entry: Mapping[str, Any]) -> Trusted:
    return Trusted(_who(namespace, route, entry), tuple(entry.get("labels", ())), tuple(entry.get("mayLabel", ())))


def _who(namespace: str, route: str, entry: Mapping[str, Any]) -> str:
    if account := entry.get("serviceAccount"):
        return f"sa:{account['namespace']}/{account['name']}"
    if key := entry.get("apiKey"):
        return f"key:{namespace}/{route}/{key}"
    return f"ns:{entry['namespace']}"


def labels(given: Boundary, caller: str, said: Sequence[str]) -> frozenset[str]:
    """The labels of a request; none: it stays inside.

    Args:
        given: the route's boundary.
        caller: who sends it, as gateways call callers (`key:<namespace>/<name>`, `sa:<namespace>/<name>`, …).
        said: the values of its header `x-data-label`.
    """
    names = _names(caller)
    entries = [entry for entry in given.trusted if entry.who in names]
    if sum(map(len, said)) > MOST_SAID:
        return frozenset()
    spoken = {label.strip() for value in said for label in value.split(",")} - {""}
    standing = {label for entry in entries for label in entry.labels}
    may = standing.union(*(entry.may_label for entry in entries))
    return frozenset(standing | spoken) if spoken <= may else frozenset()


def _names(caller: str) -> Iterable[str]:
    """What entries may call a caller. A namespace's are its ServiceAccounts and the keys of its models and routes, not
    keys that somebody brought, which open single models."""
    kind, _, path = caller.partition(":")
    namespace, _, rest = path.partition("/")
    if kind in ("sa", "key") and namespace and rest and "/" not in rest:
        return {caller, f"ns:{namespace}"}
    return {caller}
