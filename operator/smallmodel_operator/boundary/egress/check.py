"""From every listener to every address: the parts are walked one by one, then put together."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from smallmodel_operator.boundary.egress.doors import BOOTSTRAP, CERTIFICATES, LISTENER
from smallmodel_operator.boundary.egress.envoy import ASSIGNMENT, CLUSTER, ROUTES
from smallmodel_operator.boundary.egress.grammar import PREFIX, Finding, Node, Walk
from smallmodel_operator.boundary.egress.inside import PASS, WAY_OUT, Inside

START: Final = "bootstrap.json"
_ASSIGNMENT: Final = f"{PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
_CLUSTER: Final = f"{PREFIX}envoy.config.cluster.v3.Cluster"
_ROUTES: Final = f"{PREFIX}envoy.config.route.v3.RouteConfiguration"
_KINDS: Final[Mapping[str, Node]] = {
    f"{PREFIX}envoy.config.listener.v3.Listener": LISTENER,
    _ROUTES: ROUTES,
    _CLUSTER: CLUSTER,
    f"{PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret": CERTIFICATES,
    _ASSIGNMENT: ASSIGNMENT,
}
Path = tuple[str, ...]


def findings(files: Mapping[str, Any], inside: Inside) -> list[Finding]:
    """Every path of a whole configuration that leads outside, or nobody knows where.

    Args:
        files: `bootstrap.json` and all discovery files, endpoints included, by their path in `inside.folder`.
        inside: what may be connected to.
    """
    walk = Walk(inside, frozenset(files))
    parts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for name, value in files.items():
        if name == START:
            BOOTSTRAP(value, walk)
            parts[_CLUSTER] += _static(value)
        else:
            for part in _resources(name, value, walk):
                parts[part["@type"]].append(part)
    ways = _Ways(walk)
    clusters = {str(c.get("name", "")): c for c in parts[_CLUSTER]}
    checked = {str(a.get("cluster_name", "")) for a in parts[_ASSIGNMENT]}
    routes = {str(r.get("name", "")) for r in parts[_ROUTES]}
    found = [*ways.findings(clusters, routes), *_unchecked(clusters, checked)]
    return [ways.whole(f) for f in (*walk.found, *found)]


def endpoint_findings(target: str, file: Any, inside: Inside) -> list[Finding]:
    """The same of one model's endpoint file."""
    walk = Walk(inside)
    parts = _resources(target, file, walk)
    if [(p["@type"], p.get("cluster_name")) for p in parts] != [(_ASSIGNMENT, target)]:
        walk.report(f"this is not the list of endpoints of {target}")
    return walk.found


def _unchecked(clusters: Mapping[str, Mapping[str, Any]], checked: set[str]) -> list[Finding]:
    """Clusters whose endpoints are not among the files."""
    found = []
    for name, cluster in clusters.items():
        source = cluster.get("eds_cluster_config")
        service = (source.get("service_name") if isinstance(source, dict) else "") or name
        if cluster.get("type") != "STATIC" and (service != name or name not in checked):
            found.append(Finding((f"cluster {name}",), f"its endpoints ({service}) were not checked"))
    return found


def _static(bootstrap: Any) -> list[Mapping[str, Any]]:
    resources = bootstrap.get("static_resources") if isinstance(bootstrap, dict) else None
    found = resources.get("clusters") if isinstance(resources, dict) else None
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []


def _resources(name: str, value: Any, walk: Walk) -> list[Mapping[str, Any]]:
    """Walk all resources of a file; those of a known type."""
    with walk.at(name):
        listed = value.get("resources") if isinstance(value, dict) else None
        if not isinstance(listed, list) or value.keys() - {"resources", "version_info"}:
            walk.report("this is no discovery file")
            return []
    known = []
    for part in listed:
        node = _KINDS.get(str(part.get("@type", "")) if isinstance(part, dict) else "")
        if node is None:
            with walk.at(name):
                walk.report("a resource of a type that is not known to stay inside")
        else:
            node(part, walk)
            known.append(part)
    return known


class _Ways:
    """Who leads to which cluster: it turns a finding at a cluster into the path from a listener."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        doors: dict[str, list[Path]] = defaultdict(list)
        for path, routes in walk.routings:
            doors[f"routes {routes}"].append(path[:1])
        self._doors = doors
        self._to: dict[str, Path] = {}
        for path, cluster in walk.clusters:
            self._to.setdefault(f"cluster {cluster}", self._from_door(path))

    def _from_door(self, path: Path) -> Path:
        """The same path with the first listener that has these routes in front."""
        doors = self._doors.get(path[0]) if path else None
        return (*doors[0], *path) if doors else path

    def whole(self, finding: Finding) -> Finding:
        """With the way from a listener."""
        path = self._from_door(finding.path)
        cluster = path[1:] if path[:1] == ("bootstrap",) and path[1:] else path
        way = self._to.get(cluster[0]) if cluster else None
        return Finding((*way, *cluster) if way else path, finding.what)

    def findings(self, clusters: Collection[str], routes: Collection[str]) -> list[Finding]:
        """What is wrong with references: to what is not there, and by headers that callers could bring."""
        walk, found = self._walk, []
        for path, name in walk.routings:
            if name not in routes:
                found.append(Finding((*path, f"routes {name}"), "there are no such routes"))
        for path, name in walk.clusters:
            if name not in clusters:
                found.append(Finding((*path, f"cluster {name}"), "there is no such cluster"))
        stripped = frozenset.intersection(*walk.stripped) if walk.stripped else frozenset()
        for path, header in walk.steering:
            if not header.startswith(tuple(stripped)):
                found.append(Finding(path, f"a caller may choose the cluster with header {header!r}"))
            if header in walk.answered:
                found.append(Finding(path, f"who decides may choose the cluster with header {header!r}"))
        for path, name in walk.clusters:
            if name == WAY_OUT and not PASS.startswith(tuple(stripped)):
                found.append(Finding(path, "a caller may bring a pass"))
        return found
