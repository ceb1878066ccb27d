"""The static check of the egress's Envoy: it leads to declared hosts as they are declared, and nowhere else. Pure.

Like the check of gateways it knows nothing of who made the configuration, and what is not on its list (`leaving.py`) is
a finding. What is on it is held against the declared hosts value by value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.boundary.declared import Declared
from smallmodel_operator.boundary.egress.grammar import PREFIX, Finding, Walk
from smallmodel_operator.boundary.egress.inside import Inside
from smallmodel_operator.boundary.egress.leaving import LEAVING

CHECK: Final = "check"
"""The cluster of who checks passes."""
WAY: Final = "x-slm-way"
"""The header a way is chosen by: only who checks may bring it."""
STREAM: Final = "|stream"
"""Behind a host's name: the way of its streams, which are waited for another time."""
_FILTERS: Final = ["header_to_metadata.v3.Config", "ext_authz.v3.ExtAuthz", "router.v3.Router"]
_LAST: Final = ["header_mutation.v3.HeaderMutation", "upstream_codec.v3.UpstreamCodec"]
_INJECTOR: Final = "credential_injector.v3.CredentialInjector"
_STAY: Final = (
    "accept", "authorization", "content-type", "cookie", "te", "traceparent", "user-agent", "x-forwarded-for",
    "x-request-id", "x-slm-pass", "x-slm-target", "x-slm-way", "x", "contents",
)  # fmt: skip
"""Names of headers, some of anybody's: none of them may leave as a caller wrote it."""
_SAID: Final = [("content-type", "application/json", "OVERWRITE_IF_EXISTS_OR_ADD")]
Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outward:
    """What one egress may be told. Paths of sockets, of a file and of a folder."""

    hosts: tuple[Declared, ...]
    admin_socket: str
    check_socket: str
    authorities: str
    credentials: str
    most_body: int
    """Bytes of the largest body that may leave."""


def outward_findings(bootstrap: Any, given: Outward) -> list[Finding]:
    """Every part of a whole configuration by which something could leave that should not, or nobody knows where to."""
    walk = Walk(Inside("", frozenset({given.admin_socket})))
    LEAVING(bootstrap, walk)
    if walk.found:
        return walk.found
    try:
        return [Finding((where,), what) for where, what in _differences(bootstrap, given)]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        return [Finding(("bootstrap",), f"a part is missing or has another form: {error!r}")]


def _differences(bootstrap: Value, given: Outward) -> Iterator[tuple[str, str]]:
    static = bootstrap["static_resources"]
    hosts = {host.name: host for host in given.hosts}
    names = [c["name"] for c in static["clusters"]]
    if sorted(names) != sorted([CHECK, *hosts]):
        yield "clusters", f"{', '.join(names)} are not who checks and the declared hosts"
        return
    for cluster in static["clusters"]:
        where = f"cluster {cluster['name']}"
        wrong = _host(cluster, hosts[cluster["name"]], given) if cluster["name"] in hosts else _check(cluster, given)
        yield from ((where, what) for what in wrong)
    secrets = {s["name"]: s["generic_secret"]["secret"]["filename"] for s in static["secrets"]}
    if secrets != {h.file: f"{given.credentials}/{h.file}" for h in given.hosts if h.credential}:
        yield "secrets", "they are not the credentials of the declared hosts"
    managers = [f["typed_config"] for li in static["listeners"] for c in li["filter_chains"] for f in c["filters"]]
    for manager in managers:
        yield from (("listener", what) for what in _manager(manager, hosts, given))


def _addresses(cluster: Value) -> list[Value]:
    return [e["endpoint"]["address"] for p in cluster["load_assignment"]["endpoints"] for e in p["lb_endpoints"]]


def _check(cluster: Value, given: Outward) -> Iterator[str]:
    if cluster["type"] != "STATIC" or _addresses(cluster) != [{"pipe": {"path": given.check_socket}}]:
        yield "who checks is not asked on the pod's own socket"


def _host(cluster: Value, host: Declared, given: Outward) -> Iterator[str]:
    if cluster["type"] != "STRICT_DNS":
        yield f"its type is {cluster['type']}, not STRICT_DNS"
    if _addresses(cluster) != [{"socket_address": {"address": host.host, "port_value": host.port}}]:
        yield f"it does not lead to {host.host}:{host.port}"
    if {n: v for n, v in cluster["transport_socket"]["typed_config"].items() if n != "@type"} != _tls(host, given):
        yield f"who answers does not have to prove to be {host.host}"
    (options,) = cluster["typed_extension_protocol_options"].values()
    filters = [f["typed_config"] for f in options["http_filters"]]
    expected = [_LAST[0], *([_INJECTOR] if host.credential else []), _LAST[1]]
    if [_kind(f) for f in filters] != expected or "http_protocol_options" not in options["explicit_http_config"]:
        yield "what is in front of it is not: headers removed, credential, HTTP/1"
        return
    yield from _headers(filters[0]["mutations"]["request_mutations"])
    if host.credential and not _injected(filters[1], host):
        yield "it does not get its credential, or may be asked without"


def _tls(host: Declared, given: Outward) -> dict[str, Any]:
    validation = {
        "trusted_ca": {"filename": given.authorities},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host.host}}],
    }
    context = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["http/1.1"],
        "validation_context": validation,
    }
    return {"sni": host.host, "common_tls_context": context}


def _kind(value: Value) -> str:
    return str(value["@type"]).removeprefix(PREFIX).removeprefix("envoy.extensions.filters.http.")


def _headers(mutations: list[Value]) -> Iterator[str]:
    """First all but what may leave is removed, then constants are added."""
    first, *rest = mutations
    pattern = first["remove_on_match"]["key_matcher"]["safe_regex"]["regex"]
    if left := [name for name in _STAY if not re.fullmatch(pattern, name)]:
        yield f"a caller's {', '.join(left)} would leave"
    added = [(m["append"]["header"]["key"], m["append"]["header"]["value"], m["append"]["append_action"]) for m in rest]
    if added != _SAID:
        yield "more than constants is added to a request"


def _injected(filter_: Value, host: Declared) -> bool:
    generic = filter_["credential"]["typed_config"]
    named = (generic["credential"]["name"], generic["header"]) == (host.file, "authorization")
    return named and filter_["overwrite"] is True and filter_["allow_request_without_credential"] is False


def _manager(manager: Value, hosts: Mapping[str, Declared], given: Outward) -> Iterator[str]:
    filters = [f["typed_config"] for f in manager["http_filters"]]
    if [_kind(f) for f in filters] != _FILTERS or any("disabled" in f for f in manager["http_filters"]):
        yield "not every request is asked about before it is sent on"
        return
    yield from _asked(filters[1], given)
    early = [m for e in manager["early_header_mutation_extensions"] for m in e["typed_config"]["mutations"]]
    if {"remove": WAY} not in early:
        yield f"a caller may bring {WAY}"
    if manager["codec_type"] != "HTTP1":
        yield "requests with trailers come in"
    (routes,) = manager["route_config"]["virtual_hosts"]
    matcher = routes["matcher"]
    tree = matcher["matcher_tree"]
    if tree["input"]["typed_config"]["header_name"] != WAY:
        yield "a way is chosen by another header than who checks says"
    elsewhere = matcher["on_no_match"]["action"]["typed_config"]["route"]
    if elsewhere.keys() != {"cluster_header", "cluster_not_found_response_code"} or not any(
        m == {"remove": elsewhere["cluster_header"]} for m in early
    ):
        yield "without a way a request leads somewhere"
    ways = {name: action["action"]["typed_config"]["route"] for name, action in tree["exact_match_map"]["map"].items()}
    yield from _ways(ways, hosts)


def _ways(ways: dict[str, Value], hosts: Mapping[str, Declared]) -> Iterator[str]:
    """Of each host two, each as it is declared, and no other."""
    for name, host in hosts.items():
        for own, silence in ((name, host.silence.answer), (name + STREAM, host.silence.stream)):
            way = ways.pop(own, {})
            said = (way.get("cluster"), way.get("host_rewrite_literal"), way.get("prefix_rewrite"))
            if said != (name, host.host, f"{host.path}/") or "cluster_header" in way:
                yield f"the way {own} does not lead to its host"
            if way.get("retry_policy") != {"num_retries": 0, "per_try_timeout": f"{silence}s"}:
                yield f"what goes the way {own} is sent more than once, or is waited for as nobody declared"
    if ways:
        yield f"there are ways to no declared host: {', '.join(sorted(ways))}"


def _asked(authz: Value, given: Outward) -> Iterator[str]:
    body = authz["with_request_body"]
    service = authz["http_service"]
    if authz["failure_mode_allow"] is not False or service["server_uri"]["cluster"] != CHECK:
        yield "a request goes on when nobody answers whether it may"
    if body["allow_partial_message"] is not False or not 0 < body["max_request_bytes"] <= given.most_body:
        yield "who checks does not see what is sent on, whole"
    if authz["clear_route_cache"] is not True:
        yield "the way is chosen before who checks has said it"
    upstream = service["authorization_response"]["allowed_upstream_headers"]["patterns"]
    if upstream != [{"exact": WAY}]:
        yield "who checks may say more than the way"
