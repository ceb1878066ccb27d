"""What a gateway may connect to, for the static check of its configuration: what its state names, nothing else."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from smallmodel_operator.boundary.egress import Inside, endpoint_findings, findings
from smallmodel_operator.gateway.state import WAY_OUT, State
from smallmodel_operator.gateway.xds import scripts
from smallmodel_operator.gateway.xds.site import Site


def inside(state: State, site: Site) -> Inside:
    """The sockets of the pod, the endpoints of models as EndpointSlices name them (view.py judges those), and peers."""
    return Inside(
        folder=str(site.folder),
        pipes=frozenset(
            {site.admin_socket, site.agent_socket, site.decide_socket, site.judged_socket, site.xds_socket}
        ),
        instead=site.instead_socket,
        judged=site.judged_socket,
        models={target: frozenset((e.address, e.port) for e in pods) for target, pods in state.endpoints.items()},
        gateways=frozenset((peer, site.activator_port) for peer in state.peers),
        programs=_programs(),
        libraries=frozenset({str(site.bodies)}),
        egress=frozenset((e.address, e.port) for e in state.egress),
    )


def leaks(state: State, site: Site, files: Mapping[str, Any], target: str = "") -> list[str]:
    """Every path that leads outside, as a sentence: of the whole configuration, or of one model's endpoint file."""
    within = inside(state, site)
    if target:
        return [str(f) for name in files for f in endpoint_findings(target, files[name], within)]
    return [str(f) for f in findings(files, within)]


def strangers(state: State, site: Site, upstreams: Mapping[str, frozenset[tuple[str, int]]]) -> list[str]:
    """Every address that is outside, of those Envoy says its clusters lead to; a socket of the pod has port 0."""
    within = inside(state, site)
    out = within.egress | {(within.instead, 0)}
    around = frozenset({*within.gateways, *((path, 0) for path in within.pipes)})

    def of(name: str) -> frozenset[tuple[str, int]]:
        return within.models.get(name, frozenset())

    return [
        f"cluster {name}: {address}:{port} is none of its pods, and no gateway"
        for name, addresses in sorted(upstreams.items())
        for address, port in sorted(addresses - (out if name == WAY_OUT else around | of(name)))
    ]


@cache
def _programs() -> frozenset[str]:
    names = (scripts.DOOR, scripts.TARGET, scripts.DECIDED)
    more = (scripts.HMAC, scripts.TARGET_HMAC, scripts.DECIDED_HMAC)
    return frozenset(
        {*map(scripts.default, names), *map(scripts.program, (*names, *more, scripts.FAILURE, scripts.JUDGE))}
    )
